/* run_state - what the files of a run share: run.c (the life of a run), checkpoint.c, output.c.
 * Only they include it. Threads: one. */
#ifndef PS_RUN_STATE_H
#define PS_RUN_STATE_H

#include "common/config/config.h"
#include "common/metrics/metrics.h"
#include "common/model/arch.h"
#include "common/optim/schedule.h"
#include "common/slots/slots.h"
#include "ps/progress.h"
#include "ps/run.h"
#include "ps/store.h"
#include "ps/wal.h"

/* What goes on counting when a run is continued: a checkpoint holds it beside values and moments.
 */
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
    json_t *history; /* log_history, owned */
} RunState;

typedef struct Traffic {
    int64_t up, down, clients, ranks, worker_bytes;
} Traffic;

struct Run {
    Config config;
    char *text; /* effective run file */
    char *folder; /* output_dir; a copy, as config_set may renew the config's texts */
    int lock; /* descriptor of the folder, locked while the run is open; -1 */
    ModelArch *arch;
    SlotTable *table;
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
    double clock_before, clock_start; /* state.seconds and the clock when this process began */
    double eval_start;
    double mend_at; /* when to try again for a checkpoint that takes the broken log's place */
    Traffic traffic;
    int64_t missing_lines; /* of metrics.jsonl, since the disk is full */
    char *verdict; /* last sentence lent through CoreWorld */
    Progress progress;
};

/* checkpoint.c */
char *checkpoint_path(const Run *run, int64_t version); /* owned by the caller */
MUST_USE bool checkpoint_write(Run *run, Err *err); /* and the rotation of old ones */
/* The newest of this run that is whole, into store, state and saved; warns of newer ones that are not. False: there
 * are damaged ones only. */
MUST_USE bool checkpoint_load_newest(Run *run, Err *err);
/* A checkpoint's values into the store, which stays as it is on failure. */
MUST_USE bool checkpoint_load_values(Run *run, int64_t version, Err *err);
char *checkpoint_any(const Run *run); /* path of the newest, whosoever it is; owned by the caller; NULL: none */
bool checkpoint_remove_all(const Run *run, Err *err); /* the newest first */

/* resume.c: lora_state.json. `own` is one that was read, `trainer` the trainer_state.json beside it; both json_decref. */
#define RESUME_FILE "lora_state.json"
typedef struct FileDigest {
    const char *name;
    uint64_t digest;
} FileDigest;
MUST_USE bool resume_write(const Run *run, const json_t *trainer, const char *folder, const FileDigest *files,
                           int count, Err *err);
MUST_USE json_t *resume_open(const char *folder, Err *err); /* NULL: not there, or not whole */
MUST_USE json_t *resume_open_trainer(const json_t *own, const char *folder, Err *err);
const char *resume_foreign(const Run *run, const json_t *own); /* NULL: it is this run's; else why not */
bool resume_is_whole(const json_t *own, const char *folder, const char *name, uint64_t digest, Err *err);
MUST_USE bool resume_take_state(Run *run, const json_t *own, Err *err); /* all but the history */
/* Of a run that is complete: its id into *run, what its first worker had, how it was cut and how long it was. */
MUST_USE bool resume_identify(Run *run, int64_t *M, int64_t *steps, const json_t *own, Err *err);
MUST_USE bool resume_facts(HelloFacts *facts, const json_t *own, Err *err);

/* best.c */
void best_rank(Run *run, double figure, int64_t step); /* an evaluation that was made just now */
void best_rank_again(Run *run); /* from the history: by the metric, among what is kept where that counts */
bool best_is_due(const Run *run); /* this version is the best, has to be kept, and has no checkpoint */
void best_load(Run *run); /* the best values that are kept, when they are asked for */

/* output.c */
double output_epoch(const Run *run);
void output_log(Run *run, json_t *entry, const char *extra, double value); /* takes entry */
/* The newest entry of log_history with this key; NULL: none. */
const json_t *output_last_with(const Run *run, const char *key);
MUST_USE bool output_cut_metrics(const Run *run, Err *err); /* drops lines newer than the state */
/* trainer_state.json and, behind it, lora_state.json with the digests of other files */
MUST_USE bool output_state(const Run *run, const char *folder, const FileDigest *files, int count, Err *err);
MUST_USE bool output_extras(const Run *run, const char *folder, Err *err); /* tokenizer, README.md */
MUST_USE bool output_summary(const Run *run, Err *err);

#endif
