/* DESIGN. In files a weight is [rows, columns]. Of a linear and a convolution rows are outputs, and s B A lies as it
 * is; of a Conv1D and an embedding rows are inputs, and it lies transposed, A^T B^T. Either way a row of it is a sum
 * over r of one number times a row of [r, columns], which is A or B^T. Sums are f32, in the order of r. */
#include "common/slots/merged.h"

#include "common/base/mem.h"
#include "common/slots/inits.h"
#include "common/slots/methods.h"
#include "common/slots/slots_tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Kinds of slots that are put into weights here. */
static bool is_known(SlotKind kind)
{
    static const SlotKind known[] = { SLOT_LORA_A, SLOT_LORA_B,    SLOT_BIAS,      SLOT_WEIGHT,
                                      SLOT_LORA_E, SLOT_LORA_BIAS, SLOT_MAGNITUDE, SLOT_TOKENS };
    for (size_t i = 0; i < LENGTH(known); i++)
        if (known[i] == kind)
            return true;
    return false;
}

bool merged_check(const LoraConfig *lora, const SlotTable *table, Err *err)
{
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        if (!is_known(slot->kind))
            return err_set(err, ERR_INPUT, "'%s' cannot be merged", slot->name);
        if (slot->kind == SLOT_LORA_BIAS && !table->arch->modules[slot->module].bias)
            return err_set(err, ERR_INPUT, "'%s' has no bias that lora_bias could be added to",
                           table->arch->modules[slot->module].path);
    }
    if (inits_shift(lora)) {
        err_set(err, ERR_INPUT, "an adapter whose init_lora_weights changed its base cannot be merged");
        return err_hint(err,
                        "save it as plain LoRA: PEFT's path_initial_model_for_weight_conversion; lora train does so");
    }
    return methods_merge(lora, err);
}

bool merged_unties(const SlotTable *table)
{
    const ModelArch *arch = table->arch;
    if (!arch->tied || !arch->head.task->speaks)
        return false;
    const int pair[] = { arch_module_index(arch, -1, ROLE_WORD), arch_module_index(arch, -1, ROLE_HEAD) };
    for (int i = 0; i < 2; i++)
        if (table->modules[pair[i]].a >= 0 || table->modules[pair[i]].weight >= 0)
            return true;
    return false;
}

bool merged_init(Merged *merged, const SlotTable *table, const float *values, const SavedModel *saved, Err *err)
{
    *merged = (Merged){ .arch = saved->arch, .table = table, .values = values };
    merged->room = mem_alloc((size_t)saved->largest * sizeof *merged->room, err);
    return merged->room != NULL;
}

void merged_release(Merged *merged)
{
    free(merged->room);
    *merged = (Merged){ 0 };
}

/* s B A of a module as rows of its tensor: delta[i, :] = s sum_r left[i * row + r * rank] right[r, :]. */
typedef struct DeltaFactors {
    const float *left, *right;
    int64_t row, rank; /* strides of left */
    int64_t rows, columns, R;
    float scale;
    float *owned; /* right, where it was transposed; else NULL */
} DeltaFactors;

/* right[R, columns] <- diag(E) right: of triplets. */
static bool scale_factors(DeltaFactors *f, const float *e, Err *err)
{
    if (!f->owned) {
        f->owned = mem_alloc((size_t)(f->R * f->columns + 1) * sizeof(float), err);
        if (!f->owned)
            return false;
        memcpy(f->owned, f->right, (size_t)(f->R * f->columns) * sizeof(float));
        f->right = f->owned;
    }
    for (int64_t r = 0; r < f->R; r++)
        for (int64_t c = 0; c < f->columns; c++)
            f->owned[r * f->columns + c] *= e[r];
    return true;
}

static bool open_factors(DeltaFactors *f, const Merged *merged, const Module *m, const ModuleSlots *of, int64_t count,
                         Err *err)
{
    const float *A = merged->values + merged->table->slots[of->a].offset;
    const float *B = merged->values + merged->table->slots[of->b].offset;
    const int64_t R = of->r;
    if (m->kind != MODULE_EMBEDDING && !m->transposed) {
        *f = (DeltaFactors){ .left = B, .right = A, .row = R, .rank = 1, .rows = m->out, .R = R, .scale = of->scale };
        f->columns = count / f->rows;
        return true;
    }
    const int64_t rows = m->transposed ? m->in : m->out;
    *f = (DeltaFactors){ .left = A, .row = 1, .rank = rows, .rows = rows, .columns = count / rows, .R = R };
    f->scale = of->scale;
    f->right = f->owned = mem_alloc((size_t)(R * f->columns) * sizeof(float), err);
    if (f->owned)
        matrix_transpose(f->owned, B, f->columns, R);
    return f->owned != NULL;
}

/* row[columns] = s (left right)[i] */
static void delta_row(float *row, const DeltaFactors *f, int64_t i)
{
    memset(row, 0, (size_t)f->columns * sizeof *row);
    for (int64_t r = 0; r < f->R; r++) {
        const float x = f->left[i * f->row + r * f->rank];
        const float *right = f->right + r * f->columns;
        for (int64_t c = 0; c < f->columns; c++)
            row[c] += x * right[c];
    }
    for (int64_t c = 0; c < f->columns; c++)
        row[c] *= f->scale;
}

/* DoRA: w[rows, columns] times magnitude / its length, of each output: a row, or where inputs are rows a column. */
static bool set_lengths(float *w, const float *magnitude, int64_t rows, int64_t columns, bool by_column, Err *err)
{
    const int64_t outputs = by_column ? columns : rows;
    double *length = mem_alloc((size_t)outputs * sizeof *length, err);
    if (!length)
        return false;
    memset(length, 0, (size_t)outputs * sizeof *length);
    for (int64_t i = 0; i < rows * columns; i++)
        length[by_column ? i % columns : i / columns] += (double)w[i] * w[i];
    for (int64_t i = 0; i < rows * columns; i++) {
        const int64_t o = by_column ? i % columns : i / columns;
        w[i] = (float)(w[i] * (magnitude[o] / sqrt(length[o])));
    }
    free(length);
    return true;
}

/* out[rows, columns] += s B A, with DoRA's lengths; and what the report says of it. */
static bool add_delta(Merged *merged, const Module *m, const ModuleSlots *of, float *out, int64_t count, Err *err)
{
    DeltaFactors f;
    if (!open_factors(&f, merged, m, of, count, err))
        return false;
    if (of->e >= 0 && !scale_factors(&f, merged->values + merged->table->slots[of->e].offset, err)) {
        free(f.owned);
        return false;
    }
    float *row = mem_alloc((size_t)f.columns * sizeof *row, err);
    double base = 0, delta = 0;
    for (int64_t i = 0; row && i < f.rows; i++) {
        float *w = out + i * f.columns;
        delta_row(row, &f, i);
        for (int64_t c = 0; c < f.columns; c++) {
            base += (double)w[c] * w[c];
            delta += (double)row[c] * row[c];
            w[c] += row[c];
        }
    }
    MergeReport *report = &merged->report;
    const double share = base > 0 ? sqrt(delta / base) : delta > 0 ? INFINITY : 0;
    if (!report->largest_path || share > report->largest) {
        report->largest = share;
        report->largest_path = m->path;
    }
    report->delta += delta;
    report->adapted++;
    bool ok = row != NULL;
    if (ok && of->magnitude >= 0)
        ok = set_lengths(out, merged->values + merged->table->slots[of->magnitude].offset, f.rows, f.columns,
                         m->kind == MODULE_EMBEDDING || m->transposed, err);
    free(row);
    free(f.owned);
    return ok;
}

static void copy_slot(float *out, const Slot *slot, const float *values)
{
    if (slot->transposed)
        matrix_transpose(out, values + slot->offset, slot->dim[0], slot->dim[1]);
    else
        memcpy(out, values + slot->offset, (size_t)slot->count * sizeof *out);
}

/* The rows of the word table that were trained by themselves. */
static void put_tokens(float *out, const SlotTable *table, const Slot *slot, const float *values)
{
    const int64_t width = slot->dim[1];
    for (int64_t i = 0; i < table->token_count; i++)
        memcpy(out + table->tokens[i] * width, values + slot->offset + i * width, (size_t)width * sizeof *out);
}

/* A bias, trained or not, and s b of its B. */
static void add_bias_of_b(const Merged *merged, const SavedTensor *t, const ModuleSlots *of, float *out)
{
    for (int64_t i = 0; t->bias && of->lora_bias >= 0 && i < t->count; i++)
        out[i] += of->scale * merged->values[merged->table->slots[of->lora_bias].offset + i];
}

bool merged_read(Merged *merged, const SavedTensor *t, float *out, Err *err)
{
    static const ModuleSlots none = MODULE_SLOTS_NONE;
    const Module *m = &merged->arch->modules[t->module];
    const ModuleSlots *of = merged->table ? &merged->table->modules[t->module] : &none;
    const int whole = t->bias ? of->bias : of->weight;
    if (whole >= 0) {
        copy_slot(out, &merged->table->slots[whole], merged->values);
        add_bias_of_b(merged, t, of, out);
        merged->report.replaced++;
        return true;
    }
    if (!t->source) {
        err_set(err, ERR_INPUT, "there is no tensor '%s': neither the model nor the adapter has it", t->name);
        return err_hint(err, "an adapter for this model has its head in modules_to_save");
    }
    if (!tensor_to_f32(out, t->source, 0, t->count, err))
        return false;
    add_bias_of_b(merged, t, of, out);
    if (!t->bias && of->tokens >= 0)
        put_tokens(out, merged->table, &merged->table->slots[of->tokens], merged->values);
    return t->bias || of->a < 0 || add_delta(merged, m, of, out, t->count, err);
}

bool merged_write(void *self, const SavedTensor *t, FILE *file, Err *err)
{
    Merged *merged = self;
    const bool adapted = merged->table && !t->bias && merged->table->modules[t->module].a >= 0;
    return merged_read(merged, t, merged->room, err) &&
           tensor_write_f32(file, t->dtype, merged->room, t->count, adapted ? &merged->report.lost : NULL, err);
}
