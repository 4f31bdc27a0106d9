/* stage - the part of a model that one rank of a pipeline holds: consecutive blocks, with the first of them what stands
 * before the blocks, with the last what stands behind; and which trained tensors are theirs.
 *
 * Blocks are dealt out so that the slowest stage is as fast as may be, among those deals whose largest stage holds no
 * more than a fifth more weights than it has to: a pure function of the model and the number of stages.
 *
 * Owner: whoever made it. Threads: const once made. */
#ifndef WORKER_MODEL_STAGE_H
#define WORKER_MODEL_STAGE_H

#include "common/slots/slots.h"

/* Zeroed is empty. */
typedef struct Stage {
    int index, count; /* which of how many */
    int64_t first, end; /* blocks */
    int64_t *at; /* [table->count] where each slot begins among the stage's floats, -1: it is another's; owned */
    int64_t size; /* floats of its slots; of a single stage the table's */
} Stage;

/* Stage `index` of `count`. False with *err: more stages than blocks, blocks that run the same modules, two stacks, or a
 * tensor that two stages would train. */
MUST_USE bool stage_init(Stage *stage, const ModelArch *arch, const SlotTable *table, int index, int count, Err *err);
void stage_release(Stage *stage);

/* ends[s] (written, [count]) = the block behind stage s. count <= arch->layers. */
void stage_split(int64_t *ends, const ModelArch *arch, int count);

static inline bool stage_is_first(const Stage *stage)
{
    return stage->index == 0;
}

static inline bool stage_is_last(const Stage *stage)
{
    return stage->index + 1 == stage->count;
}

/* The stage reads the module's tensor: a head that is tied to the word table reads that where it stands itself. */
bool stage_holds(const Stage *stage, const Module *module);

/* Every stage holds it: what scores are of by distance. */
bool stage_shares(const Module *module);

/* part[stage->size] <- its floats of all[table->size], padding and all; and back. */
void stage_take(const Stage *stage, const SlotTable *table, float *part, const float *all);
void stage_put(const Stage *stage, const SlotTable *table, float *all, const float *part);

#endif
