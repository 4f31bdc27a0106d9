/* slopes - gradients beside differences of the loss. Every failure is the test's. Threads: the test's. */
#ifndef TESTS_SUPPORT_SLOPES_H
#define TESTS_SUPPORT_SLOPES_H

#include "worker/model/model.h"

/* Each slot's gradient, along itself and along a random direction, is what the loss does there.
 * values[0, table->size) are moved and put back. weights may be NULL where nothing has a magnitude. */
void expect_slopes(Model *model, const ModelArch *arch, const SlotTable *table, const Weights *weights,
                   const Batch *batch, float *values);

/* Adds noise to all values, more to the B matrices, so that no gradient is 0. */
void stir_values(float *values, const SlotTable *table);

/* A bias of the keys shifts all scores of a query alike: softmax cancels it. */
bool is_noise(const ModelArch *arch, const Slot *slot);

#endif
