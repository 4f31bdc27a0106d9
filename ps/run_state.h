/* run_state - all that the server holds of a run. The fields are those of the files that work on a run, from run.c
 * down to checkpoint_files.c; server.c and main.c pass it on.
 *
 * Threads: one. */
#ifndef PS_RUN_STATE_H
#define PS_RUN_STATE_H

#include "common/config/config.h"
#include "common/optim/plateau.h"
#include "common/slots/adapted.h"
#include "common/wire/message.h"
#include "ps/costs.h"
#include "ps/ledger.h"
#include "ps/progress.h"
#include "ps/store.h"
#include "ps/wal.h"

/* What goes on counting when a run is continued: a checkpoint holds it beside values and moments. */
typedef struct RunState {
    int64_t version;
    int64_t evaluated; /* newest version with an evaluation; -1: none */
    double loss_total, loss_since; /* sums of the steps' mean losses: all, since the last log line */
    int64_t logged; /* step of the last log line */
    int64_t tokens, tokens_since;
    double seconds, seconds_logged; /* of training: now, at the last log line */
    double best;
    int64_t best_step; /* -1: none */
    int64_t worse; /* evaluations in a row that were no improvement */
    bool stop_early;
    int64_t skipped, skipped_since; /* steps that were not applied (train.on_nan: skip): all, since the last log line */
    Plateau plateau; /* where the learning rate follows evaluations */
    StepLedger ledger;
    json_t *history; /* log_history, owned */
} RunState;

/* A push that was refused in this step (weigh.h). */
typedef struct Suspect {
    int64_t step;
    Range range; /* empty: none */
    char host[WIRE_NAME];
} Suspect;

typedef struct Run {
    Config config;
    char *text; /* effective run file */
    char *folder; /* output_dir; a copy, as config_set may renew the config's texts */
    int lock; /* descriptor of the folder, locked while the run is open; -1 */
    Adapted adapted;
    Store store;
    Wal wal;
    uint64_t id;
    HelloFacts facts;
    uint64_t plan; /* what the workers compute (facts_plan) */
    uint64_t basis; /* the same, whatever the run's length: what its checkpoints are bound to */
    int64_t M, per_epoch, total; /* all 0 before the first HELLO */
    bool begun, complete, replaying;
    bool rank_again; /* the state's best was found by other settings */
    bool fresh, made_folder; /* the folder held no run, or was not there, before this process */
    Schedule schedule;
    RunState state;
    int64_t saved, tried; /* newest version with a checkpoint, with a failed one; -1 */
    uint64_t initial; /* XXH3 of the first values */
    int64_t base; /* version that the log starts from */
    int64_t cut_tried; /* version at which it was last cut, or could not be */
    double clock_before, clock_start; /* state.seconds and the clock when this process began */
    double eval_start;
    double mend_at; /* when to try again for a checkpoint that takes the broken log's place */
    Costs costs;
    Suspect suspect;
    int64_t absurd; /* pushes that were, of this server */
    char *events_path; /* of this server's file for TensorBoard; owned; NULL: none yet */
    bool events_failed;
    bool paused; /* ps.on_disk_full: pause, and that is said */
    bool draining; /* it stops behind what is open */
    int64_t missing_lines; /* of metrics.jsonl, since the disk is full */
    char *verdict; /* last sentence lent through CoreWorld */
    Progress progress;
} Run;

#endif
