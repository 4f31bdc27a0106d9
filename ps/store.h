/* store - the adapter as the server keeps it: values and AdamW's two moments, flat, as
 * common/slots lays them out.
 *
 * Owner: the run. Threads: one. */
#ifndef PS_STORE_H
#define PS_STORE_H

#include "common/base/shared_memory.h"
#include "common/optim/adamw.h"
#include "common/slots/slots.h"
#include "ps/allocator.h"
#include "ps/rates.h"

typedef struct Store {
    const SlotTable *table; /* borrowed */
    float *value, *m, *v; /* [table->size], owned */
    SharedMemory shared; /* of the values; without data: they are this process's alone */
    float *first; /* the same size: what value began with, where the adapter's file needs it; else NULL */
    SlotRate *rates; /* [table->count], owned */
    Allocator allocator; /* AdaLoRA's */
    Optim optim;
    double penalty_weight; /* of the regulariser in the loss (orthogonality), 0: there is none */
} Store;

/* Values and moments are 0; rates and decay of the slots are those of the settings. shares: the values lie in memory that
 * other processes may map, where there is such. */
MUST_USE bool store_init(Store *store, const SlotTable *table, const LoraConfig *lora, const TrainConfig *train,
                         bool shares, Err *err);
void store_release(Store *store);

/* Keeps the values that are there as the first ones. */
MUST_USE bool store_keep_first(Store *store, Err *err);

/* What of it goes into an adapter's file; lent. steps: of the run. */
AdapterForm store_form(const Store *store, int64_t steps);

/* What the regulariser adds to the loss of the values as they are. */
double store_penalty(const Store *store);

/* Is an adapter's file the values as they lie? Else a checkpoint keeps them beside the moments. */
bool store_is_plain(const Store *store);

/* What a checkpoint keeps of a store beside the adapter: floats [table->size] each, lent. */
typedef struct StorePart {
    const char *name;
    float *floats;
} StorePart;

#define STORE_VALUE "value"
enum { STORE_PARTS = 5 }; /* at most */
int store_parts(const Store *store, StorePart parts[STORE_PARTS]);

/* One step by all threads, whose number changes no bit: gradient sums[size] / over, with the regulariser's, clipped to
 * max_norm (it is left in sums), AdamW, or plain descent, with each slot's own learning rate (rates_set) and weight decay (those of *o are
 * not looked at). Returns the norm before clipping; *penalty, where it is given: what the regulariser added to the
 * loss. */
double store_apply(Store *store, float *sums, double over, double max_norm, const AdamW *o, double *penalty);

#endif
