#include "ps/store.h"

#include "common/base/log.h"
#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/optim/sgd.h"
#include "common/slots/orthogonality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool store_init(Store *store, const SlotTable *table, const LoraConfig *lora, const TrainConfig *train, bool shares,
                Err *err)
{
    const size_t bytes = (size_t)table->size * sizeof(float);
    *store = (Store){ .table = table, .optim = train->optim };
    float **parts[] = { &store->m, &store->v, &store->value };
    Err none = { 0 };
    if (shares && !shared_memory_create(&store->shared, bytes, &none))
        log_warn("server", "clients here get the values over their sockets: %s", none.what);
    store->value = store->shared.data;
    for (int i = 0; i < 3 && !*parts[i]; i++) {
        *parts[i] = mem_alloc(bytes, err);
        if (!*parts[i]) {
            store_release(store);
            return false;
        }
        memset(*parts[i], 0, bytes);
    }
    store->rates = rates_new(table, train);
    store->penalty_weight = table->triplets > 0 ? lora->ada.orth_reg_weight : 0;
    if (allocator_init(&store->allocator, table, lora, err))
        return true;
    store_release(store);
    return false;
}

void store_release(Store *store)
{
    if (!store->shared.data)
        free(store->value);
    shared_memory_close(&store->shared);
    free(store->m);
    free(store->v);
    free(store->first);
    free(store->rates);
    allocator_release(&store->allocator);
    *store = (Store){ 0 };
}

bool store_keep_first(Store *store, Err *err)
{
    const size_t bytes = (size_t)store->table->size * sizeof(float);
    store->first = mem_alloc(bytes, err);
    if (store->first)
        memcpy(store->first, store->value, bytes);
    return store->first != NULL;
}

AdapterForm store_form(const Store *store, int64_t steps)
{
    return (AdapterForm){ .values = store->value,
                          .first = store->first,
                          .kept = store->allocator.masked ? store->allocator.kept : NULL,
                          .total_step = steps };
}

double store_penalty(const Store *store)
{
    return store->penalty_weight > 0
               ? store->penalty_weight * orthogonality(NULL, store->table, store->value, store->penalty_weight)
               : 0;
}

bool store_is_plain(const Store *store)
{
    return !store->first && !store->allocator.table;
}

int store_parts(const Store *store, StorePart parts[STORE_PARTS])
{
    int count = 0;
    parts[count++] = (StorePart){ "exp_avg", store->m };
    parts[count++] = (StorePart){ "exp_avg_sq", store->v };
    if (!store_is_plain(store))
        parts[count++] = (StorePart){ STORE_VALUE, store->value };
    if (store->allocator.table) {
        parts[count++] = (StorePart){ "sensitivity", store->allocator.sensitivity };
        parts[count++] = (StorePart){ "uncertainty", store->allocator.uncertainty };
    }
    return count;
}

/* The first slot that ends behind the place. */
static int first_slot(const SlotTable *table, int64_t at)
{
    int low = 0, high = table->count;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (table->slots[middle].offset + table->slots[middle].count <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The slots' parts of [begin, end): clipped and learnt from, a little at a time, while it lies in the cache. */
static void apply_block(Store *store, float *mean, int64_t begin, int64_t end, float factor, const AdamW *o)
{
    enum { PIECE = 4096 };
    for (int s = first_slot(store->table, begin); s < store->table->count; s++) {
        const Slot *slot = &store->table->slots[s];
        const int64_t from = slot->offset > begin ? slot->offset : begin;
        const int64_t last = slot->offset + slot->count, to = last < end ? last : end;
        if (slot->offset >= end)
            return;
        AdamW options = *o;
        options.learning_rate = store->rates[s].now;
        options.weight_decay = store->rates[s].weight_decay;
        for (int64_t at = from; at < to; at += PIECE) {
            const int64_t n = to - at < PIECE ? to - at : PIECE;
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                mean[at + i] *= factor;
            if (store->optim == OPTIM_SGD)
                sgd_update(store->value + at, mean + at, n, options.learning_rate, options.weight_decay);
            else
                adamw_update(store->value + at, store->m + at, store->v + at, mean + at, n, &options);
        }
    }
}

/* The regulariser's gradient is one of the mean: where there is any, the sums become means, which *over then says. */
static double add_penalty(const Store *store, float *sums, double *over)
{
    const double weight = store->penalty_weight;
    if (weight <= 0)
        return 0;
    adamw_mean(sums, store->table->size, *over);
    *over = 1;
    return weight * orthogonality(sums, store->table, store->value, weight);
}

double store_apply(Store *store, float *sums, double over, double max_norm, const AdamW *o, double *penalty)
{
    const int64_t n = store->table->size, blocks = adamw_blocks(n);
    const double of = add_penalty(store, sums, &over);
    if (penalty)
        *penalty = of;
    const double norm = adamw_mean_norm(sums, n, over);
    const float factor = adamw_clip(norm, max_norm);
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t begin = b * ADAMW_BLOCK, end = begin + ADAMW_BLOCK;
        apply_block(store, sums, begin, end < n ? end : n, factor, o);
    }
    return norm;
}
