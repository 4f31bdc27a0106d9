/* run - a run as the parameter server keeps it: values and moments, schedule, evaluations,
 * checkpoints, write-ahead log, and the files of output_dir. Its life; what it is asked while it trains is in world.h.
 *
 * Owner: the server. Threads: one. */
#ifndef PS_RUN_H
#define PS_RUN_H

#include "common/config/config.h"

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

/* After the last version: best model, adapter, summary, log removed. */
MUST_USE bool run_finish(Run *run, Err *err);

/* Counted by the server and put into summary.json. */
void run_traffic(Run *run, int64_t bytes_up, int64_t bytes_down, int64_t clients, int64_t ranks, int64_t worker_bytes);

/* {"step":…,"loss":…,…} for `lora status`; owned by the caller. */
char *run_status(const Run *run, int64_t clients, int64_t ranks, int64_t quarantined);

#endif
