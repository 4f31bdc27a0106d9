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

enum { STEP = 3, END = 16 };

typedef struct Hill {
    Model *model;
    const SlotTable *table;
    const Weights *weights;
    const Batch *batch;
    float *values, *grad, *other;
} Hill;

/* norms of the rows of W + scale B A; of a table: of its columns. */
static void find_norms(const Hill *h, int module, double *norms)
{
    const Module *m = &h->table->arch->modules[module];
    const ModuleSlots *of = &h->table->modules[module];
    const float *a = h->values + h->table->slots[of->a].offset, *b = h->values + h->table->slots[of->b].offset;
    const Frozen w = weights_frozen(h->weights, module);
    const bool is_table = m->kind == MODULE_EMBEDDING;
    float *row = xmalloc((size_t)m->in * sizeof *row);
    memset(norms, 0, (size_t)(is_table ? m->in : m->out) * sizeof *norms);
    for (int64_t o = 0; o < m->out; o++) {
        frozen_row(row, &w, o);
        for (int64_t i = 0; i < m->in; i++) {
            double x = (double)row[i];
            for (int64_t r = 0; r < of->r; r++)
                x += (double)of->scale * (is_table ? (double)b[i * of->r + r] * (double)a[r * m->out + o]
                                                   : (double)b[o * of->r + r] * (double)a[r * m->in + i]);
            norms[is_table ? i : o] += x * x;
        }
    }
    for (int64_t i = 0; i < (is_table ? m->in : m->out); i++)
        norms[i] = sqrt(norms[i]);
    free(row);
}

/* To the gradient of A and B, lengths of rows are constants: the magnitude moves as they do, so that c = m / n stays.
 * before: of the rows, with the values as they were. */
static void hold_lengths(const Hill *h, int module, const double *before)
{
    const Slot *slot = &h->table->slots[h->table->modules[module].magnitude];
    double *now = xcalloc((size_t)slot->count, sizeof *now);
    find_norms(h, module, now);
    for (int64_t i = 0; i < slot->count; i++)
        h->values[slot->offset + i] *= (float)(now[i] / before[i]);
    free(now);
}

/* The loss with the slot's values moved by `step` along the direction. */
static double loss_at(const Hill *h, const Slot *slot, const float *direction, double step)
{
    float *v = h->values + slot->offset, *kept = xmalloc((size_t)h->table->size * sizeof *kept);
    const int length_slot = h->table->modules[slot->module].magnitude;
    const bool holds = length_slot >= 0 && (slot->kind == SLOT_LORA_A || slot->kind == SLOT_LORA_B);
    double *before = holds ? xcalloc((size_t)h->table->slots[length_slot].count, sizeof *before) : NULL;
    memcpy(kept, h->values, (size_t)h->table->size * sizeof *kept);
    if (holds)
        find_norms(h, slot->module, before);
    for (int64_t k = 0; k < slot->count; k++)
        v[k] += (float)(step * (double)direction[k]);
    if (holds)
        hold_lengths(h, slot->module, before);
    const double loss = model_train(h->model, h->batch, h->values, h->other, STEP).sum;
    memcpy(h->values, kept, (size_t)h->table->size * sizeof *kept);
    free(kept);
    free(before);
    return loss;
}

static void check(const Hill *h, const Slot *slot, const float *direction)
{
    double slope = 0, length = 0, steepest = 0, all = 0;
    for (int64_t k = 0; k < slot->count; k++) {
        const double g = (double)h->grad[slot->offset + k];
        slope += g * (double)direction[k];
        length += (double)direction[k] * (double)direction[k];
        steepest += direction[k] != 0 ? g * g : 0;
        all += g * g;
    }
    /* behind the share of the slot's whole gradient are roundings of the loss, which an end that learns little has too */
    const double scale = sqrt(steepest * length) + (1e-2 + 0.05 * sqrt(all)) * sqrt(length);
    double measured = 0;
    /* a kink (relu) that lies within a step is behind a shorter one; a wrong gradient stays wrong */
    for (double step = 3e-3 / sqrt(length), least = step / 30; step > least; step /= 5) {
        measured = (loss_at(h, slot, direction, step) - loss_at(h, slot, direction, -step)) / (2 * step);
        if (fabs(measured - slope) <= 0.02 * scale)
            return;
    }
    fail_msg("%s: %g measured, %g computed", slot->name, measured, slope);
}

/* Along END of the direction's values alone, from `first`. */
static void check_end(const Hill *h, const Slot *slot, const float *direction, int64_t first)
{
    float *end = xcalloc((size_t)slot->count, sizeof *end);
    for (int64_t k = first < 0 ? 0 : first; k < first + END && k < slot->count; k++)
        end[k] = direction[k];
    check(h, slot, end);
    free(end);
}

bool is_noise(const ModelArch *arch, const Slot *slot)
{
    const Role role = arch->modules[slot->module].role;
    const bool of_keys = role == ROLE_DISTANCE_K || (role == ROLE_K && !arch->rope && !arch->distance_queries);
    return slot->kind == SLOT_BIAS && of_keys;
}

static double largest(const float *x, int64_t n)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++)
        most = fmax(most, fabs((double)x[k]));
    return most;
}

void expect_slopes(Model *model, const ModelArch *arch, const SlotTable *table, const Weights *weights,
                   const Batch *batch, float *values)
{
    const size_t bytes = (size_t)table->size * sizeof(float);
    Hill h = { model, table, weights, batch, values, xmalloc(bytes), xmalloc(bytes) };
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
        for (int end = 0; end < 2;
             end++) /* its ends by themselves: among all of it, a row that is missed does not show */
            check_end(&h, slot, direction, end == 0 ? 0 : slot->count - END);
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
