#include "common/export/onnx_model.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/export/onnx_layers.h"
#include "common/model/task.h"

#include <math.h>
#include <stdlib.h>

#define EXTERNAL_ABOVE INT64_C(1500000000) /* bytes of weights; a file of ONNX may not reach 2 GB */

typedef struct Graph {
    Layers l;
    Onnx *g;
    const ModelArch *arch;
    bool cached; /* keys and values of before come in, and go out */
    const char *cos, *sin; /* [B,1,T,D] of rotary positions */
    const char *bias, *window_bias; /* of attention; NULL until it is asked for, or none */
} Graph;

/* Axes by their names in Optimum's exports, as -1, -2, ... */
enum { BATCH = -1, TOKENS = -2, PAST = -3, ALL = -4 };
static const char *const params[] = { "batch_size", "sequence_length", "past_sequence_length",
                                      "past_sequence_length + sequence_length" };

static const Module *module(const Graph *m, int64_t layer, Role role)
{
    return arch_module(m->arch, (int)layer, role);
}

/* ---- what has no nodes here -------------------------------------------------------------- */

/* A rope whose numbers depend on the length; NULL: it is none. */
static const char *changing_rope(const ModelArch *arch)
{
    const char *what = NULL;
    double *near = xcalloc((size_t)arch->D + 1, sizeof *near), *far = xcalloc((size_t)arch->D + 1, sizeof *far);
    if (arch->rope && arch_rope(arch, 0, 2, near) != arch_rope(arch, 0, arch->positions * 2, far))
        what = "a rope_type whose scale depends on the length";
    for (int64_t j = 0; arch->rope && j < arch_rotated(arch) / 2; j++)
        if (near[j] != far[j])
            what = "a rope_type whose frequencies depend on the length";
    free(far);
    free(near);
    return what;
}

/* The first of a description's features that no node here computes; NULL: none. */
static const char *unknown_feature(const ModelArch *arch)
{
    const bool has[] = { arch_module(arch, 0, ROLE_ATTN_AFTER), arch_module(arch, 0, ROLE_GATE_UP) };
    const Module *q_norm = arch_module(arch, 0, ROLE_Q_NORM);
    const struct {
        bool is;
        const char *what;
    } features[] = {
        { arch->side_by_side, "a block whose attention and MLP stand side by side" },
        { arch->position_offset > 0 && !arch->padding_stands, "a table of positions that begins at another row" },
        { arch->source_layers > 0, "a model of two stacks" },
        { arch->alibi != ALIBI_NONE, "a slope of scores (alibi)" },
        { arch->score_cap > 0, "a cap of scores" },
        { arch->logit_cap > 0, "a cap of logits" },
        { arch->qkv_grouped, "a product of q, k and v by heads" },
        { arch->rope_sets, "layers that turn by different frequencies, or not at all" },
        { arch_rotated(arch) != arch->D, "a rotation of a part of each head" },
        { arch->rope_neighbours, "a rotation of neighbours" },
        { has[0], "a norm of what a sublayer gives" },
        { has[1], "a product of gate and up" },
        { q_norm && q_norm->out != arch->D, "a norm of all heads together" },
        { arch->norm_bare, "a layer norm without a bias" },
        { arch_module(arch, -1, ROLE_EMBED_PROJECT), "embeddings of another width than the model" },
        { arch->physical, "layers that run the same weights" },
        { arch_module(arch, -1, ROLE_SCORE_TABLE), "scores with a table of distances" },
        { arch_module(arch, -1, ROLE_DISTANCE), "scores with terms of distances" },
        { arch_module(arch, 0, ROLE_Q_BIAS), "biases of q and v alone" },
        { arch->windows && !arch->causal, "a window to both sides" },
        { arch_module(arch, -1, ROLE_CONV), "a convolution" },
        { arch_module(arch, -1, ROLE_HEAD_NORM), "a head with a norm" },
        { arch->head.task->embeds, "a model that embeds" },
        { arch->head.rows == READ_MEAN, "a head that reads the mean of all tokens" },
    };
    for (size_t i = 0; i < LENGTH(features); i++)
        if (features[i].is)
            return features[i].what;
    return NULL;
}

static bool check(const ModelArch *arch, Err *err)
{
    const char *feature = unknown_feature(arch), *what = feature ? feature : changing_rope(arch);
    if (!what)
        return true;
    err_set(err, ERR_INPUT, "%s (model_type '%s') has no ONNX form here", what, arch->family->model_type);
    return err_hint(err, "lora merge");
}

/* ---- inputs ------------------------------------------------------------------------------- */

static void add_value(const Graph *m, bool output, const char *name, OnnxType type, int dims, const int64_t *dim)
{
    onnx_value(m->g, output, name, type, dims, dim, params);
}

static bool has_types(const ModelArch *arch)
{
    return arch->types > 1;
}

static void add_inputs(const Graph *m)
{
    const ModelArch *arch = m->arch;
    if (arch->image_size > 0) {
        add_value(m, false, "pixel_values", ONNX_FLOAT, 4,
                  (const int64_t[]){ BATCH, arch->channels, arch->image_size, arch->image_size });
        return;
    }
    const int64_t text[] = { BATCH, TOKENS }, all[] = { BATCH, m->cached ? ALL : TOKENS };
    add_value(m, false, "input_ids", ONNX_INT64, 2, text);
    add_value(m, false, "attention_mask", ONNX_INT64, 2, all);
    if (has_types(arch))
        add_value(m, false, "token_type_ids", ONNX_INT64, 2, text);
    if (arch->head.task->speaks)
        add_value(m, false, "position_ids", ONNX_INT64, 2, text);
    for (int64_t i = 0; m->cached && i < arch->layers; i++)
        for (int side = 0; side < 2; side++) {
            char *name = xprintf("past_key_values.%lld.%s", (long long)i, side ? "value" : "key");
            add_value(m, false, name, ONNX_FLOAT, 4, (const int64_t[]){ BATCH, arch->K, PAST, arch->D });
            free(name);
        }
}

enum { SPAN_ENDS = 2 };
static const char *const span_ends[SPAN_ENDS] = { "start_logits", "end_logits" };

static void add_outputs(const Graph *m)
{
    const ModelArch *arch = m->arch;
    const int64_t tokens[] = { BATCH, TOKENS, arch->head.labels }, one[] = { BATCH, arch->head.labels };
    const bool of_tokens = arch->head.task->of_tokens;
    for (int end = 0; arch->head.task->spans && end < SPAN_ENDS; end++)
        add_value(m, true, span_ends[end], ONNX_FLOAT, 2, tokens);
    if (arch->head.task->spans)
        return;
    add_value(m, true, "logits", ONNX_FLOAT, of_tokens ? 3 : 2, of_tokens ? tokens : one);
    for (int64_t i = 0; m->cached && i < arch->layers; i++)
        for (int side = 0; side < 2; side++) {
            char *name = xprintf("present.%lld.%s", (long long)i, side ? "value" : "key");
            add_value(m, true, name, ONNX_FLOAT, 4, (const int64_t[]){ BATCH, arch->K, ALL, arch->D });
            free(name);
        }
}

/* ---- embeddings ------------------------------------------------------------------------------ */

/* Rows of the table of positions: given, counted, or counted over tokens that are no padding. */
static const char *positions(const Graph *m)
{
    const Layers *l = &m->l;
    if (m->arch->head.task->speaks)
        return "position_ids";
    if (!m->arch->padding_stands)
        return layers_range(l, layers_axis(l, "input_ids", 1));
    const char *keep = layers_no_padding(l, m->arch->pad_id);
    const char *place = onnx_op2(m->g, "Mul", onnx_op2(m->g, "CumSum", keep, onnx_i64(m->g, 1)), keep);
    return onnx_op2(m->g, "Add", place, onnx_i64(m->g, m->arch->pad_id));
}

/* cos and sin of each place and pair, once for all layers. */
static void add_rope(Graph *m)
{
    const ModelArch *arch = m->arch;
    double *inverse = xcalloc((size_t)arch->D, sizeof *inverse);
    float *frequency = xcalloc((size_t)arch->D, sizeof *frequency);
    const double factor = arch_rope(arch, 0, arch->positions, inverse);
    for (int64_t j = 0; j < arch->D / 2; j++)
        frequency[j] = (float)inverse[j];
    const char *place = positions(m);
    if (!arch->head.task->speaks)
        place = onnx_op2(m->g, "Unsqueeze", place, onnx_i64s(m->g, (const int64_t[]){ 0 }, 1));
    onnx_int(m->g, "to", ONNX_FLOAT);
    place = onnx_op2(m->g, "Unsqueeze", onnx_op1(m->g, "Cast", place), onnx_i64s(m->g, (const int64_t[]){ 1, 3 }, 2));
    const char *angle = onnx_op2(m->g, "Mul", place, onnx_f32s(m->g, "rope.inv_freq", frequency, arch->D / 2));
    onnx_int(m->g, "axis", -1);
    angle = onnx_op2(m->g, "Concat", angle, angle);
    m->cos = onnx_op1(m->g, "Cos", angle);
    m->sin = onnx_op1(m->g, "Sin", angle);
    if (factor != 1) {
        m->cos = onnx_op2(m->g, "Mul", m->cos, onnx_f32(m->g, factor));
        m->sin = onnx_op2(m->g, "Mul", m->sin, onnx_f32(m->g, factor));
    }
    free(frequency);
    free(inverse);
}

static const char *embed_text(Graph *m)
{
    const Layers *l = &m->l;
    const Module *types = module(m, -1, ROLE_TYPE), *table = module(m, -1, ROLE_POSITION),
                 *norm = module(m, -1, ROLE_EMBED_NORM);
    const char *h = layers_rows(l, layers_weight(l, module(m, -1, ROLE_WORD), false), "input_ids");
    if (m->arch->embed_scale != 1)
        h = onnx_op2(m->g, "Mul", h, onnx_f32(m->g, m->arch->embed_scale));
    if (types)
        h = onnx_op2(m->g, "Add", h,
                     has_types(m->arch) ? layers_rows(l, layers_weight(l, types, false), "token_type_ids")
                                        : layers_weight(l, types, false)); /* one row, for all */
    if (table)
        h = onnx_op2(m->g, "Add", h, layers_rows(l, layers_weight(l, table, false), positions(m)));
    if (m->arch->rope)
        add_rope(m);
    return norm ? layers_norm(l, h, norm) : h;
}

static const char *embed_image(const Graph *m)
{
    const ModelArch *arch = m->arch;
    const Layers *l = &m->l;
    const Module *patch = module(m, -1, ROLE_PATCH);
    const char *w = layers_weight(l, patch, false), *b = layers_weight(l, patch, true);
    const int64_t square[] = { arch->patch, arch->patch };
    onnx_ints(m->g, "kernel_shape", square, 2);
    onnx_ints(m->g, "strides", square, 2);
    const char *x = onnx_node(m->g, "Conv", (OnnxInputs){ "pixel_values", w, b }, NULL);
    x = onnx_op2(m->g, "Reshape", x, onnx_i64s(m->g, (const int64_t[]){ 0, arch->C, -1 }, 3));
    onnx_ints(m->g, "perm", (const int64_t[]){ 0, 2, 1 }, 3);
    x = onnx_op1(m->g, "Transpose", x);
    const char *shape = onnx_op1(m->g, "Shape", "pixel_values"), *zero = onnx_i64s(m->g, (const int64_t[]){ 0 }, 1);
    const char *batch =
        onnx_node(m->g, "Slice", (OnnxInputs){ shape, zero, onnx_i64s(m->g, (const int64_t[]){ 1 }, 1) }, NULL);
    onnx_int(m->g, "axis", 0);
    const char *rows = onnx_op2(m->g, "Concat", batch, onnx_i64s(m->g, (const int64_t[]){ 1, arch->C }, 2));
    const char *cls = onnx_op2(m->g, "Expand", layers_weight(l, module(m, -1, ROLE_CLS), false), rows);
    onnx_int(m->g, "axis", 1);
    x = onnx_op2(m->g, "Concat", cls, x);
    return onnx_op2(m->g, "Add", x, layers_weight(l, module(m, -1, ROLE_POSITION), false));
}

/* ---- blocks ------------------------------------------------------------------------------------ */

static const char *bias_of(Graph *m, int64_t layer)
{
    const int64_t window = m->arch->windows ? m->arch->windows[layer] : 0;
    const char **bias = window > 0 ? &m->window_bias : &m->bias;
    if (!*bias && m->arch->image_size == 0)
        *bias = m->arch->causal ? layers_causal_bias(&m->l, window) : layers_padding_bias(&m->l);
    return *bias;
}

/* Halves are turned against each other: x cos + (-hi, lo) sin. */
static const char *turn(const Graph *m, const char *x)
{
    if (!m->arch->rope)
        return x;
    const int64_t half = m->arch->D / 2;
    const char *part[2] = { NULL, NULL };
    onnx_int(m->g, "axis", -1);
    onnx_node_many(m->g, "Split", (OnnxInputs){ x, onnx_i64s(m->g, (const int64_t[]){ half, half }, 2) }, part, 2);
    const char *back = onnx_op1(m->g, "Neg", part[1]);
    onnx_int(m->g, "axis", -1);
    const char *turned = onnx_op2(m->g, "Concat", back, part[0]);
    return onnx_op2(m->g, "Add", onnx_op2(m->g, "Mul", x, m->cos), onnx_op2(m->g, "Mul", turned, m->sin));
}

/* q, k and v of x, heads apart. */
static void split_heads(const Graph *m, const char *x, int64_t layer, const char *out[3])
{
    static const Role roles[] = { ROLE_Q, ROLE_K, ROLE_V }, norms[] = { ROLE_Q_NORM, ROLE_K_NORM, ROLE_COUNT };
    const ModelArch *arch = m->arch;
    const int64_t heads[] = { arch->H, arch->K, arch->K };
    const Module *one = module(m, layer, ROLE_QKV);
    out[0] = out[1] = out[2] = NULL;
    if (one) {
        const int64_t sizes[] = { arch->H * arch->D, arch->K * arch->D, arch->K * arch->D };
        const char *all = layers_linear(&m->l, x, one), *cut = onnx_i64s(m->g, sizes, 3);
        onnx_int(m->g, "axis", -1);
        onnx_node_many(m->g, "Split", (OnnxInputs){ all, cut }, out, 3);
    }
    for (int i = 0; i < 3; i++) {
        out[i] = layers_heads(&m->l, one ? out[i] : layers_linear(&m->l, x, module(m, layer, roles[i])), heads[i]);
        const Module *norm = module(m, layer, norms[i]);
        if (norm)
            out[i] = layers_norm(&m->l, out[i], norm);
    }
}

/* What was kept of before stands before it; the whole goes out. */
static const char *cached(const Graph *m, const char *x, int64_t layer, const char *side)
{
    if (!m->cached)
        return x;
    char *past = xprintf("past_key_values.%lld.%s", (long long)layer, side);
    char *present = xprintf("present.%lld.%s", (long long)layer, side);
    onnx_int(m->g, "axis", 2);
    const char *whole = onnx_node(m->g, "Concat", (OnnxInputs){ past, x }, present);
    free(present);
    free(past);
    return whole;
}

static const char *attention(Graph *m, const char *x, int64_t layer)
{
    const char *heads[3];
    split_heads(m, x, layer, heads);
    const char *q = turn(m, heads[0]), *k = cached(m, turn(m, heads[1]), layer, "key");
    const char *v = cached(m, heads[2], layer, "value");
    const char *y = layers_attend(&m->l, q, k, v, bias_of(m, layer), m->arch->scales[layer]);
    return layers_linear(&m->l, y, module(m, layer, ROLE_ATTN_OUT));
}

static const char *feed_forward(Graph *m, const char *x, int64_t layer)
{
    const Layers *l = &m->l;
    const Module *gate = module(m, layer, ROLE_FF_GATE);
    const char *up = layers_linear(l, x, module(m, layer, ROLE_FF_UP));
    const char *bent = gate ? onnx_op2(m->g, "Mul", layers_act(l, layers_linear(l, x, gate), m->arch->act), up)
                            : layers_act(l, up, m->arch->act);
    return layers_linear(l, bent, module(m, layer, ROLE_FF_DOWN));
}

/* h + f(norm(h)), or norm(h + f(h)). */
static const char *sublayer(Graph *m, const char *h, int64_t layer, Role norm,
                            const char *(*f)(Graph *m, const char *x, int64_t layer))
{
    const Module *n = module(m, layer, norm);
    if (m->arch->pre_norm) {
        const char *y = f(m, layers_norm(&m->l, h, n), layer);
        if (m->arch->residual_scale != 1)
            y = onnx_op2(m->g, "Mul", y, onnx_f32(m->g, m->arch->residual_scale));
        return onnx_op2(m->g, "Add", y, h);
    }
    return layers_norm(&m->l, onnx_op2(m->g, "Add", f(m, h, layer), h), n);
}

/* ---- heads ---------------------------------------------------------------------------------------- */

/* The rightmost token that is no padding's, as Transformers finds it; 0 where there is none. */
static const char *last_rows(const Graph *m, const char *h)
{
    if (m->arch->pad_id < 0) {
        onnx_int(m->g, "axis", 1);
        return onnx_op2(m->g, "Gather", h, onnx_i64(m->g, -1));
    }
    const char *place = layers_range(&m->l, layers_axis(&m->l, "input_ids", 1));
    const char *kept = onnx_op2(m->g, "Mul", layers_no_padding(&m->l, m->arch->pad_id), place);
    onnx_ints(m->g, "axes", (const int64_t[]){ 1 }, 1);
    onnx_int(m->g, "keepdims", 1);
    const char *at = onnx_op1(m->g, "ReduceMax", kept);
    onnx_int(m->g, "batch_dims", 1);
    return onnx_op2(m->g, "GatherND", h, at);
}

static const char *first_rows(const Graph *m, const char *h)
{
    onnx_int(m->g, "axis", 1);
    return onnx_op2(m->g, "Gather", h, onnx_i64(m->g, 0));
}

/* [B,T,C] -> [B,T,V], by one Gemm over the tied or the own matrix, as it lies. */
static void speak(const Graph *m, const char *h)
{
    const Module *head = module(m, -1, ROLE_HEAD);
    const char *flat = onnx_op2(m->g, "Reshape", h, onnx_i64s(m->g, (const int64_t[]){ -1, m->arch->C }, 2));
    const char *y = layers_dense(&m->l, flat, head), *shape = onnx_op1(m->g, "Shape", "input_ids");
    if (m->arch->logit_scale != 1)
        y = onnx_op2(m->g, "Mul", y, onnx_f32(m->g, m->arch->logit_scale));
    onnx_int(m->g, "axis", 0);
    const char *whole = onnx_op2(m->g, "Concat", shape, onnx_i64s(m->g, &m->arch->V, 1));
    onnx_node(m->g, "Reshape", (OnnxInputs){ y, whole }, "logits");
}

static void add_head(const Graph *m, const char *h)
{
    const HeadArch *head = &m->arch->head;
    const Module *pooler = module(m, -1, ROLE_POOLER), *last = module(m, -1, ROLE_HEAD);
    if (head->task->speaks) {
        speak(m, h);
        return;
    }
    if (head->task->spans) {
        const char *both = layers_linear(&m->l, h, last);
        for (int end = 0; end < SPAN_ENDS; end++) {
            onnx_int(m->g, "axis", 2);
            onnx_node(m->g, "Gather", (OnnxInputs){ both, onnx_i64(m->g, end) }, span_ends[end]);
        }
        return;
    }
    if (head->rows == READ_LABELLED) {
        onnx_node(m->g, "Identity", (OnnxInputs){ layers_linear(&m->l, h, last) }, "logits");
        return;
    }
    const char *x = head->rows == READ_LAST ? last_rows(m, h) : first_rows(m, h);
    if (pooler)
        x = layers_act(&m->l, layers_dense(&m->l, x, pooler), head->pooler_act);
    onnx_node(m->g, "Identity", (OnnxInputs){ layers_dense(&m->l, x, last) }, "logits");
}

/* ---- all ------------------------------------------------------------------------------------------- */

static void build(Graph *m)
{
    const Module *norm = module(m, -1, ROLE_FINAL_NORM);
    add_inputs(m);
    const char *h = m->arch->image_size > 0 ? embed_image(m) : embed_text(m);
    for (int64_t layer = 0; layer < m->arch->layers; layer++) {
        h = sublayer(m, h, layer, ROLE_ATTN_NORM, attention);
        h = sublayer(m, h, layer, ROLE_FF_NORM, feed_forward);
    }
    if (norm)
        h = layers_norm(&m->l, h, norm);
    add_head(m, h);
    add_outputs(m);
}

typedef struct OnnxSource {
    Merged *merged;
    const SavedModel *saved;
} OnnxSource;

static bool make(void *self, const OnnxTensor *t, float *out, Err *err)
{
    const OnnxSource *s = self;
    return merged_read(s->merged, &s->saved->tensors[t->of], out, err);
}

bool onnx_model_write(const char *folder, Merged *merged, const SavedModel *saved, const OnnxOptions *o, Err *err)
{
    const ModelArch *arch = saved->arch;
    if (!check(arch, err))
        return false;
    if (arch->head.rows == READ_LAST && arch->pad_id < 0)
        log_warn("export", "the model has no pad_token_id: of padded texts the classifier reads the last place");
    Onnx g = { 0 };
    Graph m = { .g = &g, .arch = arch, .l = { &g, saved, arch }, .cached = arch->head.task->speaks && !o->no_cache };
    build(&m);
    OnnxSource source = { merged, saved };
    const bool ok = onnx_write(folder, &g, o->external ? 0 : EXTERNAL_ABOVE, make, &source, err);
    onnx_release(&g);
    return ok;
}
