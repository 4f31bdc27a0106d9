#include "common/slots/inits.h"

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/slots/decompose.h"
#include "common/slots/methods.h"
#include "common/slots/slots_tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A module's A and B, and what they begin from. */
typedef struct Start {
    float *a, *b; /* [r,in], [out,r] */
    const Slot *a_slot, *b_slot;
    int64_t r, in, out;
    double scale;
    const float *w; /* [out,in] or NULL */
    const LoraConfig *lora;
    uint64_t seed;
} Start;

/* nn.Linear's: kaiming_uniform with a = sqrt(5), which is U(-1/sqrt(in), 1/sqrt(in)). */
static void uniform(float *out, const Slot *slot, int64_t in, uint64_t seed)
{
    rng_uniform_fill(out, slot->count, 1.0f / sqrtf((float)in), slot_key(seed, slot));
}

static bool as_true(const Start *s, Err *err)
{
    (void)err;
    uniform(s->a, s->a_slot, s->in, s->seed);
    return true;
}

/* Nothing is set: A and B stay as layers are made, so B A is not 0. */
static bool as_false(const Start *s, Err *err)
{
    (void)err;
    uniform(s->a, s->a_slot, s->in, s->seed);
    uniform(s->b, s->b_slot, s->r, s->seed);
    return true;
}

static bool as_gaussian(const Start *s, Err *err)
{
    (void)err;
    rng_normal(s->a, s->a_slot->count, 1.0f / (float)s->r, slot_key(s->seed, s->a_slot));
    return true;
}

/* Of an orthogonal Q[r,r] the even rows make A of random numbers, the odd ones B: so B A = 0. */
static bool as_orthogonal(const Start *s, Err *err)
{
    const int64_t r = s->r, half = r / 2, side = s->in > s->out ? s->in : s->out, most = side > r ? side * half : r * r;
    const RngKey a_key = slot_key(s->seed, s->a_slot), b_key = slot_key(s->seed, s->b_slot);
    float *room = mem_alloc((size_t)(most > r * r ? most : r * r) * sizeof *room, err);
    Parts q = { 0 };
    bool ok = room != NULL;
    if (ok)
        rng_normal(room, r * r, 1, (RngKey){ a_key.lo, a_key.hi ^ b_key.hi });
    ok = ok && parts_qr(&q, &(Matrix){ room, r, r }, r, a_key, err);
    if (ok)
        rng_normal(room, s->in * half, 0.1f, a_key); /* [in, r/2] */
    for (int64_t k = 0; ok && k < r; k++)
        for (int64_t i = 0; i < s->in; i++) {
            double sum = 0;
            for (int64_t h = 0; h < half; h++) /* u_k is column k of Q */
                sum += (double)room[i * half + h] * q.u[k * r + 2 * h];
            s->a[k * s->in + i] = (float)sum;
        }
    if (ok)
        rng_normal(room, s->out * half, 0.1f, b_key); /* [r/2, out] */
    for (int64_t o = 0; ok && o < s->out; o++)
        for (int64_t k = 0; k < r; k++) {
            double sum = 0;
            for (int64_t h = 0; h < half; h++)
                sum += (double)room[h * s->out + o] * q.u[k * r + 2 * h + 1];
            s->b[o * r + k] = (float)sum;
        }
    parts_release(&q);
    free(room);
    return ok;
}

/* A = f v, B = g u, with f and g of each component. Takes the parts. */
static bool take_parts(const Start *s, Parts *parts, bool halves)
{
    for (int64_t k = 0; k < s->r; k++) {
        const double share = halves ? sqrt(parts->s[k] / s->scale) : parts->s[k];
        for (int64_t i = 0; i < s->in; i++)
            s->a[k * s->in + i] = (float)(share * parts->v[k * s->in + i]);
        for (int64_t o = 0; o < s->out; o++)
            s->b[o * s->r + k] = (float)((halves ? share : 1) * parts->u[k * s->out + o]);
    }
    parts_release(parts);
    return true;
}

/* Meng, Wang, Zhang 2024. */
static bool as_pissa(const Start *s, Err *err)
{
    const Matrix w = { s->w, s->out, s->in };
    Parts parts;
    return parts_singular(&parts, &w, s->r, slot_key(s->seed, s->a_slot), err) && take_parts(s, &parts, true);
}

static bool as_pissa_niter(const Start *s, Err *err)
{
    const Matrix w = { s->w, s->out, s->in };
    Parts parts;
    return parts_sampled(&parts, &w, s->r, (int)s->lora->init - INIT_PISSA_NITER, slot_key(s->seed, s->a_slot), err) &&
           take_parts(s, &parts, true);
}

/* Büyükakyüz 2024. The scale is not divided out, as in PEFT. */
static bool as_olora(const Start *s, Err *err)
{
    const Matrix w = { s->w, s->out, s->in };
    Parts parts;
    return parts_qr(&parts, &w, s->r, slot_key(s->seed, s->a_slot), err) && take_parts(s, &parts, false);
}

/* Zhang and others 2023: E is 0, so the product is; PEFT, AdaLoraLayer.reset_lora_parameters. */
static bool as_triplets(const Start *s, Err *err)
{
    (void)err;
    rng_normal(s->a, s->a_slot->count, 0.02f, slot_key(s->seed, s->a_slot));
    rng_normal(s->b, s->b_slot->count, 0.02f, slot_key(s->seed, s->b_slot));
    return true;
}

typedef struct Init {
    InitMode mode; /* the last row: that, and all above it */
    const char *name; /* of adapter_config.json; NULL: a truth value */
    bool (*start)(const Start *s, Err *err);
    bool convolutions; /* are known */
    bool even; /* r has to be */
    bool shifts; /* looks at the base, and changes it */
} Init;

static const Init inits[] = {
    { INIT_TRUE, NULL, as_true, true, false, false },
    { INIT_FALSE, NULL, as_false, true, false, false },
    { INIT_GAUSSIAN, "gaussian", as_gaussian, true, false, false },
    { INIT_ORTHOGONAL, "orthogonal", as_orthogonal, false, true, false },
    { INIT_PISSA, "pissa", as_pissa, false, false, true },
    { INIT_OLORA, "olora", as_olora, false, false, true },
    { INIT_PISSA_NITER, "pissa_niter", as_pissa_niter, false, false, true },
};

/* Of a method that begins in its own way. */
static const Init of_triplets = { INIT_TRUE, NULL, as_triplets, true, false, false };

static const Init *init_of(const LoraConfig *lora)
{
    if (methods_has_triplets(lora))
        return &of_triplets;
    const Init *init = inits;
    while (init->mode != lora->init && init->mode != INIT_PISSA_NITER)
        init++;
    return init;
}

bool inits_shift(const LoraConfig *lora)
{
    return init_of(lora)->shifts && !lora->init_adapter;
}

json_t *inits_json(const LoraConfig *lora)
{
    const Init *init = init_of(lora);
    if (init->mode == INIT_PISSA_NITER)
        return json_sprintf("%s_%d", init->name, (int)lora->init - INIT_PISSA_NITER);
    return init->name ? json_string(init->name) : json_boolean(lora->init != INIT_FALSE);
}

static bool check_module(const Init *init, const Module *m, int64_t r, Err *err)
{
    if (m->kind == MODULE_CONV && !init->convolutions)
        return err_set(err, ERR_INPUT, "init_lora_weights '%s' knows no convolution, which '%s' is", init->name,
                       m->path);
    if (init->even && r % 2 != 0)
        return err_set(err, ERR_INPUT, "init_lora_weights '%s' needs an even r, that of '%s' is %lld", init->name,
                       m->path, (long long)r);
    if (init->shifts && m->tied)
        return err_set(err, ERR_INPUT, "init_lora_weights '%s' would change the word table, whose tensor '%s' shares",
                       init->name, m->path);
    if (init->shifts && (r > m->in || r > m->out))
        return err_set(err, ERR_INPUT, "init_lora_weights '%s' finds no %lld parts in '%s', which is %lld by %lld",
                       init->name, (long long)r, m->path, (long long)m->out, (long long)m->in);
    return true;
}

bool inits_check(const SlotTable *table, const LoraConfig *lora, Err *err)
{
    const Init *init = init_of(lora);
    for (int i = 0; i < table->arch->module_count && !lora->init_adapter; i++) {
        const Module *m = &table->arch->modules[i];
        if (table->modules[i].a >= 0 && m->kind != MODULE_EMBEDDING &&
            !check_module(init, m, table->modules[i].r, err)) {
            err_hint(err, "init_lora_weights: true, or lora.exclude_modules");
            return err_at(err, "lora.init_lora_weights");
        }
    }
    return true;
}

/* Zeros, then what the row sets. */
static bool start(float *a, float *b, const SlotTable *table, int module, const float *w, const LoraConfig *lora,
                  uint64_t seed, Err *err)
{
    const ModuleSlots *of = &table->modules[module];
    const Start s = {
        .a = a,
        .b = b,
        .a_slot = &table->slots[of->a],
        .b_slot = &table->slots[of->b],
        .r = of->r,
        .in = table->slots[of->a].count / of->r,
        .out = table->slots[of->b].count / of->r,
        .scale = (double)of->scale,
        .w = w,
        .lora = lora,
        .seed = seed,
    };
    memset(a, 0, (size_t)s.a_slot->count * sizeof *a);
    memset(b, 0, (size_t)s.b_slot->count * sizeof *b);
    return init_of(lora)->start(&s, err);
}

/* Rows are picked: A is 0 and B is N(0, 1); with `false` both are as they are made. */
static void start_embedding(float *a, float *b, const SlotTable *table, int module, const LoraConfig *lora,
                            uint64_t seed)
{
    const Slot *a_slot = &table->slots[table->modules[module].a], *b_slot = &table->slots[table->modules[module].b];
    memset(a, 0, (size_t)a_slot->count * sizeof *a);
    rng_normal(b, b_slot->count, 1.0f, slot_key(seed, b_slot));
    if (lora->init == INIT_FALSE)
        rng_normal(a, a_slot->count, 1.0f, slot_key(seed, a_slot));
}

bool inits_module(float *values, const SlotTable *table, int module, const float *w, const LoraConfig *lora,
                  uint64_t seed, Err *err)
{
    const ModuleSlots *of = &table->modules[module];
    float *a = values + table->slots[of->a].offset, *b = values + table->slots[of->b].offset;
    if (table->arch->modules[module].kind != MODULE_EMBEDDING)
        return start(a, b, table, module, w, lora, seed, err);
    start_embedding(a, b, table, module, lora, seed);
    return true;
}

/* row[in] -= scale sum_k b[k] a[k, in] */
static void subtract_row(float *row, const float *b, const float *a, int64_t r, int64_t in, double scale, double *sum)
{
    memset(sum, 0, (size_t)in * sizeof *sum);
    for (int64_t k = 0; k < r; k++)
        for (int64_t i = 0; i < in; i++)
            sum[i] += (double)b[k] * (double)a[k * in + i];
    for (int64_t i = 0; i < in; i++)
        row[i] = (float)((double)row[i] - scale * sum[i]);
}

bool inits_shift_base(float *w, const SlotTable *table, int module, const LoraConfig *lora, uint64_t seed, Err *err)
{
    const ModuleSlots *of = &table->modules[module];
    const Module *m = &table->arch->modules[module];
    if (of->a < 0 || m->kind == MODULE_EMBEDDING)
        return true;
    float *a = mem_alloc((size_t)(of->r * (m->in + m->out)) * sizeof *a, err);
    double *sum = a ? mem_alloc((size_t)m->in * sizeof *sum, err) : NULL;
    const bool ok = sum && start(a, a + of->r * m->in, table, module, w, lora, seed, err);
    for (int64_t o = 0; ok && o < m->out; o++)
        subtract_row(w + o * m->in, a + of->r * m->in + o * of->r, a, of->r, m->in, (double)of->scale, sum);
    free(sum);
    free(a);
    return ok;
}
