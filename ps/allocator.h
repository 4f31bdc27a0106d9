/* allocator - AdaLoRA's budget: which triplets of which modules are kept, from how important they have been. Behind
 * each update, t = 0 in the first step, on the clipped gradient of the step and the updated values, as
 * AdaLoraModel.update_and_allocate is called from Trainer's on_optimizer_step.
 *
 *   t <= tinit                 the whole budget
 *   t < total - tfinal         b(t) falls as a cube; every deltaT-th step a mask keeps the b(t) most important
 *   t == total - tfinal        the last mask, with target_r a module
 *   t > total - tfinal         what it left out stays 0
 *
 * Between masks what was left out learns again, and may be kept by the next. Of each weight p with gradient g,
 * I = |p g|; S and U are means of I and of |I - S|; its score is S U. That of a triplet: of its E, and the means over
 * its row of A and its column of B (Zhang and others 2023; PEFT, RankAllocator).
 *
 * Owner: the store. Threads: one. */
#ifndef PS_ALLOCATOR_H
#define PS_ALLOCATOR_H

#include "common/slots/slots.h"

typedef struct Allocator {
    const SlotTable *table; /* borrowed; NULL: no triplets */
    AdaLora ada;
    float *sensitivity, *uncertainty; /* [table->size] S and U, owned */
    bool *kept; /* [table->triplets] by the last mask, owned */
    bool masked; /* there was one */
    double threshold; /* of the last mask: what had this score or less was left out */
    float *score; /* [2 triplets] scratch */
} Allocator;

/* Of a method without triplets empty. */
MUST_USE bool allocator_init(Allocator *allocator, const SlotTable *table, const LoraConfig *lora, Err *err);
void allocator_release(Allocator *allocator);

/* Behind update t of a run of `steps`. */
void allocator_step(Allocator *allocator, float *values, const float *gradient, int64_t t, int64_t steps);

int64_t allocator_total(const Allocator *allocator, int64_t steps); /* lora.total_step, or the run's */
int64_t allocator_count(const Allocator *allocator); /* triplets that are kept */
int64_t allocator_rank(const Allocator *allocator, int module); /* of one that has any */

/* "0110...", a digit a triplet; empty: no mask yet. */
void allocator_write(const Allocator *allocator, Text *out);
MUST_USE bool allocator_read(Allocator *allocator, const char *text, Err *err);

#endif
