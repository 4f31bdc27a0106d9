#include "common/slots/combine.h"

#include "common/base/mem.h"
#include "common/slots/low_rank.h"
#include "common/slots/merged.h"
#include "common/slots/slots_match.h"
#include "common/slots/task_arithmetic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    FORM_CAT, /* A of all, one below the other */
    FORM_FACTORS, /* A and B each for themselves */
    FORM_SVD /* s B A, cut to a rank */
} CombineForm;

struct CombineType {
    const char *name;
    CombineForm form;
    PruneKind prune;
    bool ties;
};

static const CombineType types[] = {
    { "svd", FORM_SVD, PRUNE_NONE, false },
    { "linear", FORM_FACTORS, PRUNE_NONE, false },
    { "cat", FORM_CAT, PRUNE_NONE, false },
    { "ties", FORM_FACTORS, PRUNE_MAGNITUDE, true },
    { "ties_svd", FORM_SVD, PRUNE_MAGNITUDE, true },
    { "dare_linear", FORM_FACTORS, PRUNE_RANDOM, false },
    { "dare_linear_svd", FORM_SVD, PRUNE_RANDOM, false },
    { "dare_ties", FORM_FACTORS, PRUNE_RANDOM, true },
    { "dare_ties_svd", FORM_SVD, PRUNE_RANDOM, true },
    { "magnitude_prune", FORM_FACTORS, PRUNE_MAGNITUDE, false },
    { "magnitude_prune_svd", FORM_SVD, PRUNE_MAGNITUDE, false },
};

const CombineType *combine_type(const char *name, Err *err)
{
    Text names = { 0 };
    for (size_t i = 0; i < LENGTH(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            text_release(&names);
            return &types[i];
        }
        text_addf(&names, "%s%s", i ? ", " : "", types[i].name);
    }
    err_set(err, ERR_INPUT, "'%s' is no way to combine adapters", name);
    err_hint(err, "%s", names.data);
    text_release(&names);
    return NULL;
}

bool combine_prunes(const CombineType *type)
{
    return type->prune != PRUNE_NONE;
}

bool combine_elects(const CombineType *type)
{
    return type->ties;
}

bool combine_cuts(const CombineType *type)
{
    return type->form == FORM_SVD;
}

/* ---- checks ------------------------------------------------------------------------- */

/* PEFT counts patterns, also those that no module has. */
static int64_t rank_of(const LoraConfig *lora)
{
    int64_t r = lora->r;
    for (int i = 0; i < lora->rank_pattern.count; i++)
        r = (int64_t)lora->rank_pattern.values[i] > r ? (int64_t)lora->rank_pattern.values[i] : r;
    return r;
}

static int64_t new_rank(const CombineOptions *o, const CombinePart *parts, int count)
{
    int64_t most = 0, sum = 0;
    for (int k = 0; k < count; k++) {
        const int64_t r = rank_of(parts[k].lora);
        most = r > most ? r : most;
        sum += r;
    }
    return o->type->form == FORM_CAT ? sum : o->type->form == FORM_SVD && o->svd_rank > 0 ? o->svd_rank : most;
}

/* Trained tensors beside A and B cannot be weighed: those of one adapter are taken over, those of two are two. */
static bool check_whole(const CombinePart *parts, int count, Err *err)
{
    const ModelArch *arch = parts[0].table->arch;
    for (int i = 0; i < arch->module_count; i++) {
        const CombinePart *has = NULL;
        for (int k = 0; k < count; k++) {
            if (parts[k].table->modules[i].weight < 0)
                continue;
            if (has) {
                err_set(err, ERR_INPUT, "'%s' is trained whole in both '%s' and '%s'", arch->modules[i].path, has->name,
                        parts[k].name);
                return err_hint(err, "modules_to_save cannot be combined: there is no telling which of them is meant");
            }
            has = &parts[k];
        }
    }
    return true;
}

static bool check_part(const CombinePart *part, Err *err)
{
    if (!merged_check(part->lora, part->table, err))
        return err_at(err, "%s", part->name);
    if (part->table->triplets > 0) {
        err_set(err, ERR_INPUT, "adapters of AdaLoRA cannot be combined");
        return err_at(err, "%s", part->name);
    }
    for (int i = 0; i < part->table->count; i++) {
        const SlotKind kind = part->table->slots[i].kind;
        if (kind == SLOT_LORA_A || kind == SLOT_LORA_B || kind == SLOT_WEIGHT || kind == SLOT_BIAS)
            continue;
        err_set(err, ERR_INPUT, "'%s' cannot be combined: only A and B of LoRA are", part->table->slots[i].name);
        err_hint(err, "merge the adapters one after the other instead");
        return err_at(err, "%s", part->name);
    }
    if (part->lora->bias != BIAS_NONE) {
        err_set(err, ERR_INPUT, "an adapter with trained biases cannot be combined");
        err_hint(err, "PEFT would leave them out without a word");
        return err_at(err, "%s", part->name);
    }
    return isfinite(part->weight) || err_set(err, ERR_INPUT, "a weight is not finite");
}

/* Factors are added place by place. */
static bool check_ranks(const CombinePart *parts, int count, Err *err)
{
    const ModelArch *arch = parts[0].table->arch;
    for (int i = 0; i < arch->module_count; i++) {
        const CombinePart *has = NULL;
        for (int k = 0; k < count; k++) {
            const ModuleSlots *of = &parts[k].table->modules[i];
            if (of->a < 0)
                continue;
            if (has && has->table->modules[i].r != of->r) {
                err_set(err, ERR_INPUT, "'%s' has rank %lld in '%s' and %lld in '%s'", arch->modules[i].path,
                        (long long)has->table->modules[i].r, has->name, (long long)of->r, parts[k].name);
                return err_hint(err, "only cat and svd, and the types that end in _svd, combine different ranks");
            }
            has = &parts[k];
        }
    }
    return true;
}

bool combine_check(CombineOptions *o, const CombinePart *parts, int count, Err *err)
{
    if (count == 1)
        o->type = &types[1]; /* linear, as in PEFT: nothing is lost */
    for (int k = 0; k < count; k++)
        if (!check_part(&parts[k], err))
            return false;
    if (o->type->form == FORM_FACTORS)
        for (int k = 1; k < count; k++)
            if (rank_of(parts[k].lora) != rank_of(parts[0].lora)) {
                err_set(err, ERR_INPUT, "'%s' has rank %lld, '%s' has %lld: type '%s' asks for equal ranks",
                        parts[0].name, (long long)rank_of(parts[0].lora), parts[k].name,
                        (long long)rank_of(parts[k].lora), o->type->name);
                return err_hint(err, "cat and svd, and the types that end in _svd, combine different ranks");
            }
    return check_whole(parts, count, err) && (o->type->form != FORM_FACTORS || check_ranks(parts, count, err));
}

/* ---- settings ------------------------------------------------------------------------ */

/* Does any part adapt the module? */
static bool adapted(const CombinePart *parts, int count, int module)
{
    for (int k = 0; k < count; k++)
        if (parts[k].table->modules[module].a >= 0)
            return true;
    return false;
}

/* The union of the lists; or the expressions as alternatives. */
static void join_targets(LoraConfig *into, const CombinePart *parts, int count)
{
    Text regex = { 0 };
    for (int k = 0; k < count; k++) {
        if (parts[k].lora->target_regex)
            text_addf(&regex, "%s(%s)", regex.size ? "|" : "", parts[k].lora->target_regex);
        for (int t = 0; t < parts[k].table->target_count; t++)
            names_add(&into->target_modules, parts[k].table->targets[t]);
    }
    if (into->target_modules.count == 0)
        into->target_regex = text_take(&regex);
    text_release(&regex);
}

/* Do the settings mean the modules that the parts adapt, no more and no fewer? */
static bool fits(const LoraConfig *into, const CombinePart *parts, int count)
{
    Err none = { 0 };
    const ModelArch *arch = parts[0].table->arch;
    SlotTable *table = slots_open(arch, into, &none);
    bool ok = table != NULL;
    for (int i = 0; ok && i < arch->module_count; i++)
        ok = (table->modules[i].a >= 0) == adapted(parts, count, i);
    slots_close(table);
    return ok;
}

static void clear_targets(LoraConfig *into)
{
    names_release(&into->target_modules);
    names_release(&into->exclude_modules);
    free(into->target_regex);
    free(into->exclude_regex);
    free(into->layers_to_transform);
    into->target_regex = into->exclude_regex = NULL;
    into->layers_to_transform = NULL;
    into->layers_count = 0;
    into->all_linear = false;
}

void combine_settings(LoraConfig *into, const CombineOptions *o, const CombinePart *parts, int count)
{
    const ModelArch *arch = parts[0].table->arch;
    into->r = new_rank(o, parts, count);
    into->alpha = (double)into->r;
    into->use_rslora = into->use_dora = into->lora_bias = false; /* the scales are in the values */
    into->rank_pattern.count = into->alpha_pattern.count = 0;
    names_release(&into->modules_to_save);
    for (int k = 0; k < count; k++)
        for (int i = 0; i < parts[k].lora->modules_to_save.count; i++)
            names_add(&into->modules_to_save, parts[k].lora->modules_to_save.items[i]);
    clear_targets(into);
    join_targets(into, parts, count);
    if (fits(into, parts, count))
        return;
    clear_targets(into); /* layers were chosen, or modules left out: each by its name */
    for (int i = 0; i < arch->module_count; i++)
        if (adapted(parts, count, i))
            names_add(&into->target_modules, arch->modules[i].path);
}

/* ---- values -------------------------------------------------------------------------- */

/* A and B of one module in one part. */
typedef struct PartFactors {
    const float *A, *B; /* [r, n], [m, r] */
    int64_t r;
    double weight, scale;
} PartFactors;

typedef struct ModuleParts {
    PartFactors *parts; /* [count] of those that adapt it; lent */
    int count, module;
    int64_t m, n, rank; /* of what comes out */
    const CombineOptions *options;
} ModuleParts;

/* B[m, rank], A[rank, n], both zeroed: as many rows and columns as are there. */
static void put_factors(float *B, float *A, const ModuleParts *p, const float *b, const float *a, int64_t r, int64_t at)
{
    memcpy(A + at * p->n, a, (size_t)(r * p->n) * sizeof *A);
    for (int64_t i = 0; i < p->m; i++)
        memcpy(B + i * p->rank + at, b + i * r, (size_t)r * sizeof *B);
}

static bool join_cat(float *B, float *A, const ModuleParts *p, Err *err)
{
    (void)err;
    int64_t at = 0;
    for (int k = 0; k < p->count; k++) {
        const PartFactors *f = &p->parts[k];
        put_factors(B, A, p, f->B, f->A, f->r, at);
        for (int64_t i = 0; i < f->r * p->n; i++)
            A[at * p->n + i] = A[at * p->n + i] * (float)f->weight * (float)f->scale;
        at += f->r;
    }
    return true;
}

/* out[n] of x[count][n], which are changed. stream: which tensor of the adapter this is. */
static void join_tensors(float *out, float *const *x, const float *weight, int64_t n, const ModuleParts *p, int stream)
{
    const CombineType *type = p->options->type;
    for (int k = 0; k < p->count; k++)
        task_prune(x[k], n, type->prune, p->options->density,
                   rng_key(p->options->seed, p->module, k, (uint64_t)stream));
    if (type->ties)
        task_ties(out, x, weight, p->count, n, p->options->by_frequency);
    else
        task_sum(out, x, weight, p->count, n);
}

static float **rooms_new(int count, int64_t n, Err *err)
{
    float **x = xcalloc((size_t)count + 1, sizeof *x);
    for (int k = 0; k < count; k++)
        if (!(x[k] = mem_alloc((size_t)n * sizeof **x, err))) {
            while (k-- > 0)
                free(x[k]);
            free(x);
            return NULL;
        }
    return x;
}

static void rooms_free(float **x, int count)
{
    for (int k = 0; x && k < count; k++)
        free(x[k]);
    free(x);
}

/* A with sgn(t) sqrt|t|, B with sqrt|t|, t = weight scale: not the sum of the products. */
static bool join_factors(float *B, float *A, const ModuleParts *p, Err *err)
{
    const int64_t r = p->parts[0].r, larger = p->m > p->n ? p->m : p->n;
    float **x = rooms_new(p->count + 1, r * larger, err);
    float *weight = xcalloc((size_t)p->count, sizeof *weight);
    for (int side = 0; x && side < 2; side++) {
        const int64_t size = r * (side ? p->m : p->n);
        for (int k = 0; k < p->count; k++) {
            const double t = p->parts[k].weight * p->parts[k].scale;
            weight[k] = (float)(side || t >= 0 ? sqrt(fabs(t)) : -sqrt(fabs(t)));
            memcpy(x[k], side ? p->parts[k].B : p->parts[k].A, (size_t)size * sizeof **x);
        }
        join_tensors(x[p->count], x, weight, size, p, side);
        if (side == 0)
            memcpy(A, x[p->count], (size_t)size * sizeof *A);
        else
            for (int64_t i = 0; i < p->m; i++)
                memcpy(B + i * p->rank, x[p->count] + i * r, (size_t)r * sizeof *B);
    }
    const bool ok = x != NULL;
    free(weight);
    rooms_free(x, p->count + 1);
    return ok;
}

/* D[m, n] = s B A */
static void expand(float *D, const PartFactors *f, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
        float *row = D + i * n;
        memset(row, 0, (size_t)n * sizeof *row);
        for (int64_t k = 0; k < f->r; k++)
            for (int64_t j = 0; j < n; j++)
                row[j] += f->B[i * f->r + k] * f->A[k * n + j];
        for (int64_t j = 0; j < n; j++)
            row[j] *= (float)f->scale;
    }
}

static bool join_dense(float *B, float *A, const ModuleParts *p, Err *err)
{
    float **x = rooms_new(p->count + 1, p->m * p->n, err);
    float *weight = xcalloc((size_t)p->count, sizeof *weight);
    for (int k = 0; x && k < p->count; k++) {
        expand(x[k], &p->parts[k], p->m, p->n);
        weight[k] = (float)p->parts[k].weight;
    }
    if (x)
        join_tensors(x[p->count], x, weight, p->m * p->n, p, 2);
    const bool ok = x && low_rank(B, A, p->rank, x[p->count], p->m, p->n, err);
    free(weight);
    rooms_free(x, p->count + 1);
    return ok;
}

/* Nothing is pruned: the sum has the rank of all A together. */
static bool join_product(float *B, float *A, const ModuleParts *p, Err *err)
{
    ModuleParts all = *p;
    all.rank = 0;
    for (int k = 0; k < p->count; k++)
        all.rank += p->parts[k].r;
    float *b = mem_alloc((size_t)(p->m * all.rank) * sizeof *b, err);
    float *a = mem_alloc((size_t)(all.rank * p->n) * sizeof *a, err);
    const bool ok =
        b && a && join_cat(b, a, &all, err) && low_rank_of_product(B, A, p->rank, b, a, p->m, all.rank, p->n, err);
    free(a);
    free(b);
    return ok;
}

static bool join_svd(float *B, float *A, const ModuleParts *p, Err *err)
{
    return p->options->type->prune == PRUNE_NONE ? join_product(B, A, p, err) : join_dense(B, A, p, err);
}

static bool join_module(float *values, const SlotTable *table, ModuleParts *p, const CombinePart *parts, int count,
                        Err *err)
{
    static bool (*const forms[])(float *, float *, const ModuleParts *, Err *) = {
        [FORM_CAT] = join_cat, [FORM_FACTORS] = join_factors, [FORM_SVD] = join_svd
    };
    const ModuleSlots *of = &table->modules[p->module];
    const Slot *a = &table->slots[of->a], *b = &table->slots[of->b];
    p->rank = of->r;
    p->n = a->count / of->r;
    p->m = b->count / of->r;
    p->count = 0;
    for (int k = 0; k < count; k++) {
        const ModuleSlots *from = &parts[k].table->modules[p->module];
        if (from->a >= 0)
            p->parts[p->count++] = (PartFactors){ parts[k].values + parts[k].table->slots[from->a].offset,
                                                  parts[k].values + parts[k].table->slots[from->b].offset, from->r,
                                                  parts[k].weight, (double)from->scale };
    }
    return forms[p->options->type->form](values + b->offset, values + a->offset, p, err);
}

/* Modules that one part has trained whole. */
static void take_whole(float *values, const SlotTable *table, const CombinePart *parts, int count)
{
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        for (int k = 0; k < count && slot->kind != SLOT_LORA_A && slot->kind != SLOT_LORA_B; k++) {
            const ModuleSlots *from = &parts[k].table->modules[slot->module];
            const int at = slot->kind == SLOT_BIAS ? from->bias : from->weight;
            if (at >= 0)
                memcpy(values + slot->offset, parts[k].values + parts[k].table->slots[at].offset,
                       (size_t)slot->count * sizeof *values);
        }
    }
}

bool combine_values(float *values, const SlotTable *table, const CombineOptions *o, const CombinePart *parts, int count,
                    Err *err)
{
    PartFactors *room = xcalloc((size_t)count, sizeof *room);
    memset(values, 0, (size_t)table->size * sizeof *values);
    bool ok = true;
    for (int i = 0; ok && i < table->arch->module_count; i++) {
        ModuleParts p = { .parts = room, .module = i, .options = o };
        ok = table->modules[i].a < 0 || join_module(values, table, &p, parts, count, err);
    }
    take_whole(values, table, parts, count);
    free(room);
    return ok;
}
