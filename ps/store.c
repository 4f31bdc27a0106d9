#include "ps/store.h"

#include "common/base/mem.h"
#include "common/slots/orthogonality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool store_init(Store *store, const SlotTable *table, const LoraConfig *lora, const TrainConfig *train, Err *err)
{
    const size_t bytes = (size_t)table->size * sizeof(float);
    *store = (Store){ .table = table };
    float **parts[] = { &store->value, &store->m, &store->v, &store->mean };
    for (int i = 0; i < 4; i++) {
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
    free(store->value);
    free(store->m);
    free(store->v);
    free(store->first);
    free(store->mean);
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

const Slot *store_bad_slot(const Store *store, const float *gradient)
{
    for (int s = 0; s < store->table->count; s++) {
        const Slot *slot = &store->table->slots[s];
        for (int64_t i = slot->offset; i < slot->offset + slot->count; i++)
            if (!isfinite(gradient[i]))
                return slot;
    }
    return NULL;
}

double store_apply(Store *store, const float *sums, int64_t count, double max_norm, const AdamW *o, double *penalty)
{
    const int64_t n = store->table->size;
    const float whole = count > 0 ? (float)count : 1.0F;
    for (int64_t i = 0; i < n; i++)
        store->mean[i] = sums[i] / whole;
    const double weight = store->penalty_weight;
    const double of = weight > 0 ? weight * orthogonality(store->mean, store->table, store->value, weight) : 0;
    if (penalty)
        *penalty = of;
    const double norm = adamw_norm(store->mean, n);
    const float factor = adamw_clip(norm, max_norm);
    for (int64_t i = 0; i < n; i++)
        store->mean[i] *= factor;
    for (int s = 0; s < store->table->count; s++) {
        const Slot *slot = &store->table->slots[s];
        AdamW options = *o;
        options.learning_rate *= store->rates[s].times;
        options.weight_decay = store->rates[s].weight_decay;
        adamw_update(store->value + slot->offset, store->m + slot->offset, store->v + slot->offset,
                     store->mean + slot->offset, slot->count, &options);
    }
    return norm;
}
