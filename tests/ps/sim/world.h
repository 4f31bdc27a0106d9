/* world - what the simulated server's core acts on: values, steps and evaluations whose bits are known beforehand, and a
 * log on a disk that loses what was not synced. The log is ps/wal's own.
 *
 * Threads: one a World. */
#ifndef TESTS_PS_SIM_WORLD_H
#define TESTS_PS_SIM_WORLD_H

#include "ps/core.h"
#include "ps/wal.h"

enum { WORLD_SIZE = 5, WORLD_CHUNKS = 3, WORLD_STEPS = 24, WORLD_RUN = 77 };

typedef struct World {
    int64_t M, size, steps, every; /* of a step; floats; in all; an evaluation after so many steps, 0: none */
    int64_t durable_every;
    int64_t log_steps, base; /* steps that a log holds before it is cut, 0: any number; version that it starts from */
    uint64_t plan;
    WireDtype dtype; /* of gradients on the wire */
    PsMode
        mode; /* but with PS_SYNC a micro-batch's gradient does not depend on the values: they may be any of several */
    int64_t staleness;
    bool done[WORLD_STEPS]; /* whose examples are learnt from */
    bool begun;
    int64_t version, evaluated_at, evaluations;
    float values[WORLD_SIZE];
    Wal wal;
    char path[64];
    int64_t synced, synced_version; /* bytes and version that a power cut leaves */
    int64_t whole_version; /* that a kill leaves */
} World;

/* The values of `version`, the gradient of micro-batch m there, and the metric sums of a chunk, by their definition. */
void world_values_at(const World *world, int64_t version, float out[WORLD_SIZE]);
void world_leaf(const World *world, const float *values, int64_t step, int64_t m, float out[WORLD_SIZE], double *loss);
double world_chunk(const World *world, const float *values, int64_t version, int64_t chunk);

/* Sum over the node [begin, end) of the tree, by halves. */
void world_node(const World *world, const float *values, int64_t step, Range node, float out[WORLD_SIZE], double *loss);

void world_open(World *world); /* a new log; M, size, steps, every, durable_every, log_steps are set */
CoreWorld world_table(World *world);

/* Steps that others have overtaken, into out[WORLD_STEPS]; how many. */
int world_missing(const World *world, int64_t out[WORLD_STEPS]);

/* The server's process is gone. power: so is the machine; keep: 0 .. 1, how much of what was not synced is there. */
void world_crash(World *world, bool power, double keep);
void world_restart(World *world); /* reads the log */
void world_close(World *world); /* and removes it */

#endif
