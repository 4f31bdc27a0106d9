#include "tests/support/slopes.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEP = 3 };

typedef struct Hill {
    Model *model;
    const SlotTable *table;
    const Batch *batch;
    float *values, *grad, *other;
} Hill;

/* The loss with the slot's values moved by `step` along the direction. */
static double loss_at(const Hill *h, const Slot *slot, const float *direction, double step)
{
    float *v = h->values + slot->offset, *kept = xmalloc((size_t)slot->count * sizeof *kept);
    memcpy(kept, v, (size_t)slot->count * sizeof *kept);
    for (int64_t k = 0; k < slot->count; k++)
        v[k] += (float)(step * (double)direction[k]);
    const double loss = model_train(h->model, h->batch, h->values, h->other, STEP).sum;
    memcpy(v, kept, (size_t)slot->count * sizeof *kept);
    free(kept);
    return loss;
}

static void check(const Hill *h, const Slot *slot, const float *direction)
{
    double slope = 0, length = 0, steepest = 0;
    for (int64_t k = 0; k < slot->count; k++) {
        const double g = (double)h->grad[slot->offset + k];
        slope += g * (double)direction[k];
        length += (double)direction[k] * (double)direction[k];
        steepest += g * g;
    }
    const double scale = sqrt(steepest * length) + 1e-2 * sqrt(length);
    double measured = 0;
    /* a kink (relu) that lies within a step is behind a shorter one; a wrong gradient stays wrong */
    for (double step = 3e-3 / sqrt(length), least = step / 30; step > least; step /= 5) {
        measured = (loss_at(h, slot, direction, step) - loss_at(h, slot, direction, -step)) / (2 * step);
        if (fabs(measured - slope) <= 0.02 * scale)
            return;
    }
    fail_msg("%s: %g measured, %g computed", slot->name, measured, slope);
}

bool is_noise(const ModelArch *arch, const Slot *slot)
{
    return slot->kind == SLOT_BIAS && arch->modules[slot->module].role == ROLE_K && !arch->rope;
}

static double largest(const float *x, int64_t n)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++)
        most = fmax(most, fabs((double)x[k]));
    return most;
}

void expect_slopes(Model *model, const ModelArch *arch, const SlotTable *table, const Batch *batch, float *values)
{
    const size_t bytes = (size_t)table->size * sizeof(float);
    Hill h = { model, table, batch, values, xmalloc(bytes), xmalloc(bytes) };
    for (int64_t i = 0; i < table->size; i++)
        h.grad[i] = 7; /* model_train writes, it does not add */
    model_train(model, batch, values, h.grad, STEP);
    const double steepest = largest(h.grad, table->size);
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        const double most = largest(h.grad + slot->offset, slot->count);
        if (is_noise(arch, slot)) { /* and so is the loss's difference */
            if (!(most <= 1e-4 * steepest))
                fail_msg("%s: its gradient should be nothing, and is %g", slot->name, most);
            continue;
        }
        if (!(most > 1e-6))
            fail_msg("%s: its gradient is nowhere above %g", slot->name, most);
        float *direction = xcalloc((size_t)slot->count, sizeof *direction);
        rng_normal(direction, slot->count, 1.0f, rng_key(13, i, 0, 0));
        check(&h, slot, direction);
        check(&h, slot, h.grad + slot->offset);
        free(direction);
    }
    free(h.grad);
    free(h.other);
}

void stir_values(float *values, const SlotTable *table)
{
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        float *v = values + slot->offset, noise = 0;
        for (int64_t k = 0; k < slot->count; k++) {
            rng_normal(&noise, 1, slot->kind == SLOT_LORA_B ? 0.2f : 0.05f, rng_key(11, i, k, 0));
            v[k] += noise;
        }
    }
}
