/* run - a run as the parameter server keeps it: values and moments, schedule, evaluations,
 * checkpoints, write-ahead log, and the files of output_dir. Its life; what it is asked while it trains is in world.h.
 *
 * Owner: the server. Threads: one. */
#ifndef PS_RUN_H
#define PS_RUN_H

#include "common/base/shared_memory.h"
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
const SharedMemory *run_shared_values(const Run *run); /* lent; without data: they are not shared */

/* After the last version: best model, adapter, summary, log removed. */
MUST_USE bool run_finish(Run *run, Err *err);

/* Exit code of a run that was drained, as of one that SIGTERM ended. */
enum { RUN_DRAINED = 143 };

char *run_metrics_path(const Run *run); /* of metrics.jsonl; owned by the caller */

/* wal/address says where the server of this folder listens, and on which host. */
void run_note_address(const Run *run, const char *endpoint);

/* It stops (LEASE_STOP with 143) behind the step or evaluation that is open. */
void run_drain(Run *run);
bool run_is_draining(const Run *run);

/* For the bar: done of the pieces of the evaluation that goes on; pieces 0: none does. */
void run_show_evaluation(Run *run, int64_t done, int64_t pieces);

#endif
