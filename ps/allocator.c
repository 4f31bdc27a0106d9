#include "ps/allocator.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool allocator_init(Allocator *a, const SlotTable *table, const LoraConfig *lora, Err *err)
{
    *a = (Allocator){ 0 };
    if (table->triplets == 0)
        return true;
    const size_t bytes = (size_t)table->size * sizeof(float);
    *a = (Allocator){ .table = table, .ada = lora->ada };
    a->sensitivity = mem_alloc(bytes, err);
    a->uncertainty = a->sensitivity ? mem_alloc(bytes, err) : NULL;
    if (!a->uncertainty) {
        allocator_release(a);
        return false;
    }
    memset(a->sensitivity, 0, bytes);
    memset(a->uncertainty, 0, bytes);
    a->kept = xcalloc((size_t)table->triplets, sizeof *a->kept);
    a->score = xcalloc(2 * (size_t)table->triplets, sizeof *a->score);
    memset(a->kept, true, (size_t)table->triplets);
    return true;
}

void allocator_release(Allocator *a)
{
    free(a->sensitivity);
    free(a->uncertainty);
    free(a->kept);
    free(a->score);
    *a = (Allocator){ 0 };
}

int64_t allocator_total(const Allocator *a, int64_t steps)
{
    return a->ada.total_step > 0 ? a->ada.total_step : steps;
}

int64_t allocator_count(const Allocator *a)
{
    int64_t count = 0;
    for (int64_t i = 0; a->table && i < a->table->triplets; i++)
        count += a->kept[i];
    return count;
}

int64_t allocator_rank(const Allocator *a, int module)
{
    const ModuleSlots *of = &a->table->modules[module];
    int64_t count = 0;
    for (int64_t i = 0; i < of->r; i++)
        count += a->kept[of->triplet + i];
    return count;
}

/* ---- scores --------------------------------------------------------------------------------- */

static void observe(Allocator *a, const Slot *slot, const float *values, const float *gradient)
{
    const float b1 = (float)a->ada.beta1, b2 = (float)a->ada.beta2, c1 = (float)(1 - a->ada.beta1),
                c2 = (float)(1 - a->ada.beta2);
    float *S = a->sensitivity + slot->offset, *U = a->uncertainty + slot->offset;
    const float *p = values + slot->offset, *g = gradient + slot->offset;
    for (int64_t i = 0; i < slot->count; i++) {
        const float I = fabsf(p[i] * g[i]);
        S[i] = b1 * S[i] + c1 * I;
        U[i] = b2 * U[i] + c2 * fabsf(I - S[i]);
    }
}

/* Of triplet i: the mean of the scores of its row of A, its column of B, its E. */
static double mean_score(const Allocator *a, const Slot *slot, int64_t i, int64_t r)
{
    const bool columns = slot->kind == SLOT_LORA_B;
    const int64_t side = slot->count / r;
    const float *S = a->sensitivity + slot->offset, *U = a->uncertainty + slot->offset;
    double sum = 0;
    for (int64_t k = 0; k < side; k++) {
        const int64_t at = columns ? k * r + i : i * side + k;
        sum += (double)(S[at] * U[at]);
    }
    return sum / (double)side;
}

static void set_scores(Allocator *a)
{
    const SlotTable *t = a->table;
    for (int m = 0; m < t->arch->module_count; m++) {
        const ModuleSlots *of = &t->modules[m];
        for (int64_t i = 0; of->e >= 0 && i < of->r; i++)
            a->score[of->triplet + i] =
                (float)mean_score(a, &t->slots[of->e], i, of->r) +
                (float)(mean_score(a, &t->slots[of->a], i, of->r) + mean_score(a, &t->slots[of->b], i, of->r));
    }
}

/* ---- masks ---------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Keeps the `budget` triplets with the highest scores; ties at the threshold all fall. */
static void choose(Allocator *a, int64_t budget)
{
    const int64_t all = a->table->triplets, out = all - budget;
    float *sorted = a->score + all;
    if (out < 1)
        return;
    set_scores(a);
    memcpy(sorted, a->score, (size_t)all * sizeof *sorted);
    qsort(sorted, (size_t)all, sizeof *sorted, ascending);
    const float threshold = sorted[out - 1];
    for (int64_t i = 0; i < all; i++)
        a->kept[i] = a->score[i] > threshold;
    a->threshold = (double)threshold;
    a->masked = true;
}

static void mask(const Allocator *a, float *values)
{
    const SlotTable *t = a->table;
    for (int m = 0; m < t->arch->module_count; m++) {
        const ModuleSlots *of = &t->modules[m];
        for (int64_t i = 0; of->e >= 0 && i < of->r; i++)
            if (!a->kept[of->triplet + i])
                values[t->slots[of->e].offset + i] = 0;
    }
}

/* Triplets of all modules at step t: (b0 - b1) (1 - (t - tinit) / (total - tfinal - tinit))^3 + b1, cut off. */
static int64_t budget_at(const Allocator *a, int64_t t, int64_t last)
{
    const int64_t modules = a->table->triplets / a->ada.init_r;
    const double b0 = (double)a->table->triplets, b1 = (double)(a->ada.target_r * modules);
    if (t >= last)
        return a->ada.target_r * modules;
    const double left = 1 - (double)(t - a->ada.tinit) / (double)(last - a->ada.tinit);
    return (int64_t)((b0 - b1) * (left * left * left) + b1);
}

void allocator_step(Allocator *a, float *values, const float *gradient, int64_t t, int64_t steps)
{
    if (!a->table)
        return;
    const int64_t last = allocator_total(a, steps) - a->ada.tfinal;
    const size_t bytes = (size_t)a->table->size * sizeof(float);
    for (int s = 0; t < last && s < a->table->count; s++) {
        const SlotKind kind = a->table->slots[s].kind;
        if (kind == SLOT_LORA_A || kind == SLOT_LORA_B || kind == SLOT_LORA_E)
            observe(a, &a->table->slots[s], values, gradient);
    }
    /* of a run that was made shorter the last mask may have been due before */
    const bool ends = t == last || (t > last && allocator_count(a) > budget_at(a, last, last));
    if (ends || (t > a->ada.tinit && t < last && t % a->ada.deltaT == 0))
        choose(a, budget_at(a, t < last ? t : last, last));
    if (ends || t > last || (t > a->ada.tinit && t % a->ada.deltaT == 0))
        mask(a, values);
    if (ends) {
        memset(a->sensitivity, 0, bytes);
        memset(a->uncertainty, 0, bytes);
    }
}

/* ---- in a checkpoint ------------------------------------------------------------------------- */

void allocator_write(const Allocator *a, Text *out)
{
    for (int64_t i = 0; a->masked && i < a->table->triplets; i++)
        text_adds(out, a->kept[i] ? "1" : "0");
}

bool allocator_read(Allocator *a, const char *text, Err *err)
{
    const size_t n = strlen(text);
    if (!a->table || (n > 0 && (n != (size_t)a->table->triplets || strspn(text, "01") != n)))
        return (!a->table && n == 0) || err_set(err, ERR_INPUT, "\"kept\" is not a digit for each triplet");
    a->masked = n > 0;
    for (size_t i = 0; i < (size_t)a->table->triplets; i++)
        a->kept[i] = n == 0 || text[i] == '1';
    return true;
}
