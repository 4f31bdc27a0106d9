/* store - the adapter as the server keeps it: values and AdamW's two moments, flat, as
 * common/slots lays them out.
 *
 * Owner: the run. Threads: one. */
#ifndef PS_STORE_H
#define PS_STORE_H

#include "common/optim/adamw.h"
#include "common/slots/slots.h"
#include "ps/rates.h"

typedef struct Store {
    const SlotTable *table; /* borrowed */
    float *value, *m, *v; /* [table->size], owned */
    float *mean; /* scratch, the same size */
    SlotRate *rates; /* [table->count], owned */
} Store;

/* Values and moments are 0; rates and decay of the slots are those of the settings. */
MUST_USE bool store_init(Store *store, const SlotTable *table, const TrainConfig *train, Err *err);
void store_release(Store *store);

/* First slot with a gradient that is not finite, or NULL. */
const Slot *store_bad_slot(const Store *store, const float *gradient);

/* One step: gradient sums / count, clipped to max_norm, AdamW with each slot's share of the
 * learning rate and its own weight decay (that of *o is not looked at). Returns the norm before clipping. */
double store_apply(Store *store, const float *sums, int64_t count, double max_norm, const AdamW *o);

#endif
