/* rounds - what is open: one evaluation, or one step, or with ps.mode: ssp and async several steps at a time, each with its
 * leases and sums.
 *
 *   sync    one step. What it sums was computed at its own version.
 *   ssp     the step that comes next, and so many behind it as ps.staleness says. They are applied in their order, so what
 *           a step sums was computed at most so many versions before.
 *   async   a step belongs to one client, and is applied when that has computed it, whatever became of those before.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_ROUNDS_H
#define PS_ROUNDS_H

#include "ps/gather.h"
#include "ps/lease.h"
#include "ps/pieces.h"
#include "ps/room.h"

typedef struct Round {
    int64_t step; /* whose micro-batches; of an evaluation: the version */
    Leases leases;
    Gather gather;
    GradientPieces pieces;
    Room room;
} Round;

typedef struct RoundsOptions {
    PsMode mode;
    int64_t M, size; /* micro-batches of a step; floats of a gradient */
    WireDtype dtype;
    int64_t sum_bytes; /* ps/room.h, of each */
} RoundsOptions;

/* Zeroed is empty. */
typedef struct Rounds {
    RoundsOptions options;
    Round *items; /* [count] open, oldest first; up to `made` the memory of closed ones */
    int count, made, room;
} Rounds;

void rounds_init(Rounds *rounds, const RoundsOptions *options);
void rounds_release(Rounds *rounds);

/* Behind those that are open: `pieces` pieces, nobody's. Lent until one is opened or closed, as all that follow. */
Round *rounds_open(Rounds *rounds, int64_t step, int64_t pieces, double now);
void rounds_close(Rounds *rounds, Round *round);

Round *rounds_find(const Rounds *rounds, int64_t step); /* NULL: not open */
Round *rounds_of(const Rounds *rounds, uint64_t client); /* the oldest in which it has pieces to do; NULL: none */
int64_t rounds_count(const Rounds *rounds, uint64_t client); /* of these pieces */
void rounds_drop(Rounds *rounds, uint64_t client); /* they become nobody's */
void rounds_forget(Rounds *rounds, uint64_t client); /* what it has begun to push */

/* Whose sum is whole and may be applied; NULL: none. */
Round *rounds_complete(const Rounds *rounds);

int64_t rounds_open_sums(const Rounds *rounds); /* gradients that are held */

#endif
