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
    int64_t up, down; /* bytes to and from the server, over its sockets */
    int64_t placed_up,
        placed_down; /* of gradients and values that would have, and lay in memory of the machine instead */
    int64_t clients, ranks, worker_bytes; /* worker_bytes: memory of all workers together */
    int64_t server_bytes; /* memory: pages that it shares with others by its share of them, as of the workers */
    int64_t all_bytes; /* of server and workers at one time */
    int64_t plan_step, plan_memory, plan_bytes; /* what those expected who were most: nanoseconds, bytes; 0: nothing */
    int64_t up_before, down_before, placed_up_before, placed_down_before; /* by servers before this one */
    int64_t resident; /* the most that this process ever had, kB, when its memory was last looked at */
    double looked_at; /* clock */
    double kept_at; /* clock */
    bool changed; /* since then */
} Costs;

/* What this server has seen so far. */
typedef struct CostsSeen {
    int64_t up, down, placed_up, placed_down, clients, ranks, worker_bytes;
    int64_t workers_now; /* what worker_bytes is the most of */
    Foreseen foreseen; /* of all who are here */
} CostsSeen;

/* A client's figures that may be believed. */
bool costs_may_foresee(const Foreseen *foreseen);

/* all: what clients expect who share the steps, each as much of them as it is fast, and one more; zeroed: of none. */
void costs_foresee(Foreseen *all, const Foreseen *one);

void costs_count(Run *run, const CostsSeen *seen);
void costs_keep(Run *run); /* at once, before the server leaves */
void costs_look(Costs *costs,
                int64_t workers); /* at the server's own memory, where it may have grown; workers: theirs now */

/* What earlier servers kept, as far as it can be read. */
void costs_take(Run *run);

/* Gradients and values, whichever way they took; what else is on the sockets, too. */
int64_t costs_up(const Costs *costs);
int64_t costs_down(const Costs *costs);

/* Share of what full fine-tuning with as many clients would have sent: f32 gradients up, weights down. 0: no step was made. */
double costs_share(const Run *run);
double costs_of_full(const Run *run); /* those bytes */

#endif
