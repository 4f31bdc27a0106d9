/* costs - what a run has cost: bytes on the wire, memory, how many took part. It outlives a server that is killed:
 * what was counted is kept beside the log (wal/costs), every few seconds. Nothing else depends on it.
 *
 * Owner: the run. Threads: one. */
#ifndef PS_COSTS_H
#define PS_COSTS_H

#include "common/wire/message.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Run Run;

/* Of a run: bytes are sums over all servers that it had, the others the most that were ever there. */
typedef struct Costs {
    int64_t up, down; /* bytes to and from the server */
    int64_t clients, ranks, worker_bytes; /* worker_bytes: memory of all workers together */
    int64_t server_bytes; /* memory */
    int64_t plan_step, plan_memory, plan_bytes; /* what those expected who were most: nanoseconds, bytes; 0: nothing */
    int64_t up_before, down_before; /* by servers before this one */
    double kept_at; /* clock */
    bool changed; /* since then */
} Costs;

/* What this server has seen so far. */
typedef struct CostsSeen {
    int64_t up, down, clients, ranks, worker_bytes;
    Foreseen foreseen; /* of all who are here */
} CostsSeen;

/* A client's figures that may be believed. */
bool costs_may_foresee(const Foreseen *foreseen);

/* all: what clients expect who share the steps, each as much of them as it is fast, and one more; zeroed: of none. */
void costs_foresee(Foreseen *all, const Foreseen *one);

void costs_count(Run *run, const CostsSeen *seen);
void costs_keep(Run *run); /* at once, before the server leaves */

/* What earlier servers kept, as far as it can be read. */
void costs_take(Run *run);

/* Share of what full fine-tuning with as many clients would have sent: f32 gradients up, weights down. 0: no step was made. */
double costs_share(const Run *run);
double costs_of_full(const Run *run); /* those bytes */

#endif
