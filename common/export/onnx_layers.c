/* DESIGN. Axes of Unsqueeze and sizes of Split are inputs since opset 13, those of ReduceMean and ReduceMax attributes
 * until 18. A number has no dimension: a list of one passes here and fails when a runtime rewrites the graph. A row that
 * sees nothing (left padding) must give no NaN: so MIN, not -inf. */
#include "common/export/onnx_layers.h"

#include "common/base/mem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static const SavedTensor *find_saved(const Layers *l, const Module *m, bool bias)
{
    for (int i = 0; i < l->saved->count; i++)
        if (&l->arch->modules[l->saved->tensors[i].module] == m && l->saved->tensors[i].bias == bias)
            return &l->saved->tensors[i];
    return NULL;
}

static const char *weight(const Layers *l, const Module *m, bool bias, bool turned)
{
    const SavedTensor *t = find_saved(l, m, bias);
    if (!t) /* of a tied pair the word table is there */
        t = find_saved(l, arch_module(l->arch, -1, ROLE_WORD), false);
    REQUIRE(t);
    return onnx_weight(l->g, t->name, t->dims, t->dim, t - l->saved->tensors, turned);
}

const char *layers_weight(const Layers *l, const Module *m, bool bias)
{
    return weight(l, m, bias, false);
}

const char *layers_linear(const Layers *l, const char *x, const Module *m)
{
    const char *y = onnx_op2(l->g, "MatMul", x, weight(l, m, false, !m->transposed));
    return m->bias ? onnx_op2(l->g, "Add", y, weight(l, m, true, false)) : y;
}

const char *layers_dense(const Layers *l, const char *x, const Module *m)
{
    const char *w = weight(l, m, false, false);
    onnx_int(l->g, "transB", 1);
    return onnx_node(l->g, "Gemm", (OnnxInputs){ x, w, m->bias ? weight(l, m, true, false) : NULL }, NULL);
}

static const char *rms_norm(const Layers *l, const char *x, const Module *m)
{
    Onnx *g = l->g;
    const char *squares = onnx_op2(g, "Pow", x, onnx_f32(g, 2));
    onnx_ints(g, "axes", (const int64_t[]){ -1 }, 1);
    onnx_int(g, "keepdims", 1);
    const char *mean = onnx_op1(g, "ReduceMean", squares);
    const char *root = onnx_op1(g, "Sqrt", onnx_op2(g, "Add", mean, onnx_f32(g, l->arch->norm_eps)));
    const char *gain = weight(l, m, false, false);
    if (l->arch->gain_from_one)
        gain = onnx_op2(g, "Add", gain, onnx_f32(g, 1));
    return onnx_op2(g, "Mul", onnx_op2(g, "Div", x, root), gain);
}

const char *layers_norm(const Layers *l, const char *x, const Module *m)
{
    if (l->arch->norm == NORM_RMS)
        return rms_norm(l, x, m);
    onnx_int(l->g, "axis", -1);
    onnx_float(l->g, "epsilon", l->arch->norm_eps);
    return onnx_node(l->g, "LayerNormalization",
                     (OnnxInputs){ x, weight(l, m, false, false), weight(l, m, true, false) }, NULL);
}

/* ---- activations, a row each --------------------------------------------------------- */

static const char *gelu(Onnx *g, const char *x)
{
    const char *e = onnx_op1(g, "Erf", onnx_op2(g, "Div", x, onnx_f32(g, sqrt(2))));
    return onnx_op2(g, "Mul", onnx_op2(g, "Mul", x, onnx_op2(g, "Add", e, onnx_f32(g, 1))), onnx_f32(g, 0.5));
}

static const char *gelu_tanh(Onnx *g, const char *x)
{
    const char *cube = onnx_op2(g, "Mul", onnx_op2(g, "Pow", x, onnx_f32(g, 3)), onnx_f32(g, 0.044715));
    const char *t = onnx_op2(g, "Mul", onnx_op2(g, "Add", x, cube), onnx_f32(g, 0.7978845608028654));
    const char *one = onnx_op2(g, "Add", onnx_op1(g, "Tanh", t), onnx_f32(g, 1));
    return onnx_op2(g, "Mul", onnx_op2(g, "Mul", x, onnx_f32(g, 0.5)), one);
}

static const char *quick_gelu(Onnx *g, const char *x)
{
    return onnx_op2(g, "Mul", x, onnx_op1(g, "Sigmoid", onnx_op2(g, "Mul", x, onnx_f32(g, 1.702))));
}

static const char *relu(Onnx *g, const char *x)
{
    return onnx_op1(g, "Relu", x);
}

static const char *silu(Onnx *g, const char *x)
{
    return onnx_op2(g, "Mul", x, onnx_op1(g, "Sigmoid", x));
}

static const char *tanh_of(Onnx *g, const char *x)
{
    return onnx_op1(g, "Tanh", x);
}

const char *layers_act(const Layers *l, const char *x, Activation act)
{
    static const char *(*const acts[ACTIVATIONS])(Onnx *, const char *) = {
        [ACT_GELU] = gelu,
        [ACT_GELU_TANH] = gelu_tanh,
        [ACT_GELU_FAST] = gelu_tanh, /* the same with fewer digits of a constant */
        [ACT_QUICK_GELU] = quick_gelu,
        [ACT_RELU] = relu,
        [ACT_SILU] = silu,
        [ACT_TANH] = tanh_of,
    };
    return acts[act](l->g, x);
}

/* ---- attention ------------------------------------------------------------------------ */

static const char *transpose(const Layers *l, const char *x, int64_t a, int64_t b, int64_t c, int64_t d)
{
    onnx_ints(l->g, "perm", (const int64_t[]){ a, b, c, d }, 4);
    return onnx_op1(l->g, "Transpose", x);
}

const char *layers_heads(const Layers *l, const char *x, int64_t heads)
{
    const char *shape = onnx_i64s(l->g, (const int64_t[]){ 0, 0, heads, l->arch->D }, 4); /* 0: as it was */
    return transpose(l, onnx_op2(l->g, "Reshape", x, shape), 0, 2, 1, 3);
}

/* [B,K,S,D] -> [B,H,S,D]: each H / K times in a row. */
static const char *repeat(const Layers *l, const char *x)
{
    Onnx *g = l->g;
    const int64_t H = l->arch->H, K = l->arch->K, D = l->arch->D;
    if (H == K)
        return x;
    const char *shape = onnx_op1(g, "Shape", x), *part[2];
    for (int64_t i = 0; i < 2; i++) {
        const char *from = onnx_i64s(g, (const int64_t[]){ 2 * i }, 1),
                   *to = onnx_i64s(g, (const int64_t[]){ 2 * i + 1 }, 1);
        part[i] = onnx_node(g, "Slice", (OnnxInputs){ shape, from, to }, NULL);
    }
    const char *groups = onnx_i64s(g, (const int64_t[]){ K, H / K }, 2), *all = onnx_i64s(g, (const int64_t[]){ H }, 1);
    const char *width = onnx_i64s(g, (const int64_t[]){ D }, 1);
    onnx_int(g, "axis", 0);
    const char *wide = onnx_node(g, "Concat", (OnnxInputs){ part[0], groups, part[1], width }, NULL);
    onnx_int(g, "axis", 0);
    const char *flat = onnx_node(g, "Concat", (OnnxInputs){ part[0], all, part[1], width }, NULL);
    const char *apart = onnx_op2(g, "Unsqueeze", x, onnx_i64s(g, (const int64_t[]){ 2 }, 1));
    return onnx_op2(g, "Reshape", onnx_op2(g, "Expand", apart, wide), flat);
}

const char *layers_attend(const Layers *l, const char *q, const char *k, const char *v, const char *bias, double scale)
{
    Onnx *g = l->g;
    const char *scores = onnx_op2(g, "MatMul", q, transpose(l, repeat(l, k), 0, 1, 3, 2));
    scores = onnx_op2(g, "Div", scores, onnx_f32(g, 1 / scale));
    if (bias)
        scores = onnx_op2(g, "Add", scores, bias);
    onnx_int(g, "axis", -1);
    const char *shares = onnx_op1(g, "Softmax", scores), *y = onnx_op2(g, "MatMul", shares, repeat(l, v));
    const char *shape = onnx_i64s(g, (const int64_t[]){ 0, 0, l->arch->H * l->arch->D }, 3);
    return onnx_op2(g, "Reshape", transpose(l, y, 0, 2, 1, 3), shape);
}

/* ---- places and masks ------------------------------------------------------------------- */

const char *layers_axis(const Layers *l, const char *x, int64_t axis)
{
    const char *shape = onnx_op1(l->g, "Shape", x);
    onnx_int(l->g, "axis", 0);
    return onnx_op2(l->g, "Gather", shape, onnx_i64(l->g, axis));
}

static const char *range(const Layers *l, const char *from, const char *to)
{
    return onnx_node(l->g, "Range", (OnnxInputs){ from, to, onnx_i64(l->g, 1) }, NULL);
}

const char *layers_range(const Layers *l, const char *end)
{
    return range(l, onnx_i64(l->g, 0), end);
}

const char *layers_rows(const Layers *l, const char *table, const char *ids)
{
    onnx_int(l->g, "axis", 0);
    return onnx_op2(l->g, "Gather", table, ids);
}

static const char *cast(const Layers *l, const char *x, OnnxType to)
{
    onnx_int(l->g, "to", to);
    return onnx_op1(l->g, "Cast", x);
}

/* [B,S] -> [B,1,1,S] */
static const char *mask(const Layers *l, OnnxType as)
{
    const char *axes = onnx_i64s(l->g, (const int64_t[]){ 1, 2 }, 2);
    return cast(l, onnx_op2(l->g, "Unsqueeze", "attention_mask", axes), as);
}

const char *layers_padding_bias(const Layers *l)
{
    const char *hidden = onnx_op2(l->g, "Sub", onnx_f32(l->g, 1), mask(l, ONNX_FLOAT));
    return onnx_op2(l->g, "Mul", hidden, onnx_f32(l->g, -FLT_MAX));
}

const char *layers_causal_bias(const Layers *l, int64_t window)
{
    Onnx *g = l->g;
    const char *T = layers_axis(l, "input_ids", 1), *S = layers_axis(l, "attention_mask", 1);
    const char *rows = range(l, onnx_op2(g, "Sub", S, T), S);
    const char *q = onnx_op2(g, "Unsqueeze", rows, onnx_i64s(g, (const int64_t[]){ 1 }, 1)), *k = layers_range(l, S);
    const char *seen = onnx_op2(g, "LessOrEqual", k, q);
    if (window > 0)
        seen = onnx_op2(g, "And", seen, onnx_op2(g, "Greater", k, onnx_op2(g, "Sub", q, onnx_i64(g, window))));
    seen = onnx_op2(g, "And", seen, mask(l, ONNX_BOOL));
    return onnx_node(g, "Where", (OnnxInputs){ seen, onnx_f32(g, 0), onnx_f32(g, -FLT_MAX) }, NULL);
}

const char *layers_no_padding(const Layers *l, int64_t pad)
{
    const char *same = onnx_op2(l->g, "Equal", "input_ids", onnx_i64(l->g, pad));
    return cast(l, onnx_op1(l->g, "Not", same), ONNX_INT64);
}
