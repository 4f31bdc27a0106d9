/* run - a run as the parameter server keeps it: values and moments, schedule, evaluations,
 * checkpoints, write-ahead log, and the files of output_dir. Implements CoreWorld.
 *
 * Threads: one. */
#ifndef PS_RUN_H
#define PS_RUN_H

#include "common/config/config.h"
#include "ps/core.h"

typedef struct Run Run;

/* Opens output_dir: a new run, or the one that is there, continued at its last durable version
 * (checkpoint + log). Another configuration there: ERR_INPUT naming the keys. `overwrite` starts
 * anew. Takes *config. */
MUST_USE Run *run_open(Config *config, bool overwrite, Err *err);
void run_close(Run *run);

uint64_t run_id(const Run *run);
int64_t run_version(const Run *run);
bool run_is_begun(const Run *run); /* a worker has joined, now or before */
bool run_is_complete(const Run *run);
int64_t run_slot_size(const Run *run);

/* Do neither run file nor model name the labels? Then a worker does, who has data: text is the run file with
 * those that it found, which are the run's from then on. False: it is no run file of ours, or the model
 * cannot have such labels; nothing changed. */
bool run_wants_labels(const Run *run);
MUST_USE bool run_take_labels(Run *run, const char *text, Err *err);

CoreWorld run_world(Run *run);

/* Interrupted: checkpoint now, so that the same command goes on. */
MUST_USE bool run_checkpoint_now(Run *run, Err *err);

/* After the last version: best model, adapter, summary, log removed. */
MUST_USE bool run_finish(Run *run, Err *err);

/* Counted by the server and put into summary.json. */
void run_traffic(Run *run, int64_t bytes_up, int64_t bytes_down, int64_t clients, int64_t ranks, int64_t worker_bytes);

/* {"step":…,"loss":…,…} for `lora status`; owned by the caller. */
char *run_status(const Run *run, int64_t clients, int64_t ranks);

#endif
