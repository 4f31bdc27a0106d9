#include "worker/layers/linear.h"

#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"
#include "worker/layers/segments.h"

#include <string.h>

void linear_add(Linear *linear, const ModuleView *module, Site site)
{
    REQUIRE(linear->parts < LINEAR_PARTS);
    REQUIRE(linear->parts == 0 || linear->in == module->in);
    if (linear->parts == 0)
        linear->weight = module->weight;
    else
        frozen_join(&linear->weight, &module->weight);
    linear->part[linear->parts++] =
        (LinearPart){ .module = *module, .site = site, .at = linear->out, .r_at = linear->R };
    linear->in = module->in;
    linear->out += module->out;
    linear->R += module->R;
    linear->whole = linear->whole || module->weight_at >= 0;
}

/* How many parts have a LoRA, and the last of them. */
static int adapted_parts(const Linear *linear, const LinearPart **last)
{
    int count = 0;
    for (int i = 0; i < linear->parts; i++)
        if (linear->part[i].module.R > 0) {
            *last = &linear->part[i];
            count++;
        }
    return count;
}

static bool several_are_adapted(const Linear *linear)
{
    const LinearPart *last = NULL;
    return adapted_parts(linear, &last) > 1;
}

Linear linear_slice(const Linear *linear, int first, int count)
{
    REQUIRE(first >= 0 && first + count <= linear->parts);
    const LinearPart *from = &linear->part[first];
    Linear slice = { .layer = linear->layer, .dropout = linear->dropout, .values = linear->values };
    for (int i = first; i < first + count; i++)
        linear_add(&slice, &linear->part[i].module, linear->part[i].site);
    if (linear->a) /* a single A is not laid out with others */
        slice.a = several_are_adapted(linear) ? linear->a + from->r_at * linear->in : linear->a;
    if (linear->bias)
        slice.bias = linear->bias + from->at;
    return slice;
}

/* Frozen biases of parts lie side by side as their weights do, so only a trained one scatters them. */
static bool bias_is_scattered(const Linear *linear)
{
    bool trained = false;
    for (int i = 0; i < linear->parts; i++)
        trained = trained || linear->part[i].module.bias_at >= 0;
    return trained && linear->parts > 1;
}

void linear_measure(const Linear *linear, bool drops, PassSizes *sizes)
{
    const int64_t da = several_are_adapted(linear) ? linear->R * linear->in : 0;
    sizes->most_R = linear->R > sizes->most_R ? linear->R : sizes->most_R;
    sizes->da = da > sizes->da ? da : sizes->da;
    if (drops && linear->R > 0)
        sizes->dropped_in = linear->in > sizes->dropped_in ? linear->in : sizes->dropped_in;
}

void linear_keep_layout(LinearKeep *keep, const Linear *linear, Layout *layout, int64_t most_rows)
{
    keep->u = layout_floats_if(layout, linear->R > 0, most_rows * linear->R);
}

void linear_layout(Linear *linear, Layout *layout)
{
    linear->a_room = layout_floats_if(layout, several_are_adapted(linear), linear->R * linear->in);
    linear->bias_room = layout_floats_if(layout, bias_is_scattered(linear), linear->out);
}

static void bind_a(Linear *linear)
{
    const LinearPart *last = NULL;
    const int adapted = adapted_parts(linear, &last);
    linear->a = NULL;
    if (!linear->values || adapted == 0)
        return;
    linear->a = adapted == 1 ? linear->values + last->module.a_at : linear->a_room;
    for (int i = 0; adapted > 1 && i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        if (part->module.R > 0)
            memcpy(linear->a_room + part->r_at * linear->in, linear->values + part->module.a_at,
                   (size_t)(part->module.R * linear->in) * sizeof(float));
    }
}

static void bind_bias(Linear *linear)
{
    linear->bias = module_bias(&linear->part[0].module, linear->values);
    if (!linear->values || !bias_is_scattered(linear))
        return;
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        memcpy(linear->bias_room + part->at, module_bias(&part->module, linear->values),
               (size_t)part->module.out * sizeof(float));
    }
    linear->bias = linear->bias_room;
}

void linear_bind(Linear *linear, const float *values)
{
    linear->values = values;
    if (linear->parts == 0)
        return;
    bind_a(linear);
    bind_bias(linear);
}

const float *linear_bias(const Linear *linear)
{
    return linear->bias;
}

void linear_add_bias(const Linear *linear, float *y, int64_t ldy, int64_t N)
{
    const float *bias = linear->bias;
    if (!bias)
        return;
#pragma omp parallel for
    for (int64_t n = 0; n < N; n++) {
        float *y_n = y + n * ldy;
#pragma omp simd
        for (int64_t o = 0; o < linear->out; o++)
            y_n[o] += bias[o];
    }
}

static bool drops(const Linear *linear, const Pass *pass)
{
    return pass->drop && linear->dropout > 0;
}

/* pass->dropped[N,in] = x with the part's mask. */
static const float *drop_input(const Linear *linear, const LinearPart *part, const float *x, const Rows *rows,
                               Pass *pass)
{
    kernels->dropout_apply(pass->dropped, x, rows, pass_dropout(pass, linear->layer, part->site, linear->dropout),
                           linear->in);
    return pass->dropped;
}

/* y = x W^T */
static void base_forward(const Linear *linear, float *y, int64_t ldy, const float *x, int64_t N, const Pass *pass)
{
    if (!linear->whole || !linear->values) {
        frozen_product(y, ldy, x, &linear->weight, N, pass->apart);
        return;
    }
    for (int i = 0; i < linear->parts; i++) {
        const Frozen weight = module_weight(&linear->part[i].module, linear->values);
        frozen_product(y + linear->part[i].at, ldy, x, &weight, N, pass->apart);
    }
}

void linear_forward(const Linear *linear, LinearKeep *keep, float *y, int64_t ldy, const float *x, const Rows *rows,
                    Pass *pass)
{
    const int64_t N = rows->N, in = linear->in, R = linear->R;
    float *all = keep && keep->u ? keep->u : pass->lora; /* [N, R] */
    base_forward(linear, y, ldy, x, N, pass);
    for (int i = 0; pass->segment_count > 0 && i < linear->parts; i++)
        segments_add(y + linear->part[i].at, ldy, x, rows, &linear->part[i].module, pass);
    if (!linear->a || R == 0)
        return;
    if (!drops(linear, pass))
        pass_product(pass)(all, R, x, in, linear->a, in, N, R, in, 1, 0);
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        const ModuleView *m = &part->module;
        if (m->R == 0)
            continue;
        float *u = all + part->r_at; /* [N, m->R] */
        if (drops(linear, pass))
            gemm_nt(u, R, drop_input(linear, part, x, rows, pass), in, linear->a + part->r_at * in, in, N, m->R, in, 1,
                    0);
        pass_product(pass)(y + part->at, ldy, u, R, linear->values + m->b_at, m->R, N, m->out, m->R, m->scale, 1);
    }
}

/* db[out] = column sums of dy; dW[out,in] = dy^T x */
static void base_gradients(const Linear *linear, const LinearGrad *g, int64_t N, const Pass *pass)
{
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        const ModuleView *m = &part->module;
        const float *dy = g->dy + part->at;
        if (m->bias_at >= 0)
            kernels->bias_backward(pass->grad + m->bias_at, dy, g->ldy, N, m->out);
        if (m->weight_at >= 0)
            gemm_tn(pass->grad + m->weight_at, m->in, dy, g->ldy, g->x, m->in, m->out, m->in, N, 1, g->add ? 1 : 0);
    }
}

/* da[R,in] of all parts -> each part's place. */
static void spread_da(const Linear *linear, const Pass *pass)
{
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        if (part->module.R > 0)
            memcpy(pass->grad + part->module.a_at, pass->da + part->r_at * linear->in,
                   (size_t)(part->module.R * linear->in) * sizeof(float));
    }
}

/* With p[N,R] = scale dy B (left in pass->lora for the gradient of x):
 * dB = scale dy^T u,  dA = p^T dropout(x). */
static void lora_gradients(const Linear *linear, const float *u, const LinearGrad *g, const Rows *rows, Pass *pass)
{
    const int64_t N = rows->N, in = linear->in, R = linear->R;
    const float beta = g->add ? 1 : 0;
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        const ModuleView *m = &part->module;
        if (m->R == 0)
            continue;
        const float *dy = g->dy + part->at;
        float *p = pass->lora + part->r_at;
        gemm_tn(pass->grad + m->b_at, m->R, dy, g->ldy, u + part->r_at, R, m->out, m->R, N, m->scale, beta);
        gemm_nn(p, R, dy, g->ldy, linear->values + m->b_at, m->R, N, m->R, m->out, m->scale, 0);
        if (drops(linear, pass))
            gemm_tn(pass->grad + m->a_at, in, p, R, drop_input(linear, part, g->x, rows, pass), in, m->R, in, N, 1,
                    beta);
    }
    if (drops(linear, pass))
        return;
    const LinearPart *last = NULL;
    const bool several = adapted_parts(linear, &last) > 1;
    REQUIRE(!several || !g->add);
    gemm_tn(several ? pass->da : pass->grad + last->module.a_at, in, pass->lora, R, g->x, in, R, in, N, 1, beta);
    if (several)
        spread_da(linear, pass);
}

/* dx = beta dx + dy W */
static void base_backward(const Linear *linear, const LinearGrad *g, int64_t N)
{
    if (!linear->whole) {
        frozen_pull(g->dx, g->dy, g->ldy, &linear->weight, N, g->beta);
        return;
    }
    for (int i = 0; i < linear->parts; i++) {
        const Frozen weight = module_weight(&linear->part[i].module, linear->values);
        frozen_pull(g->dx, g->dy + linear->part[i].at, g->ldy, &weight, N, i == 0 ? g->beta : 1);
    }
}

static void add_to(float *x, const float *y, int64_t n)
{
#pragma omp parallel for simd
    for (int64_t i = 0; i < n; i++)
        x[i] += y[i];
}

/* dx += dropout(p A), a mask a part */
static void lora_backward(const Linear *linear, const LinearGrad *g, const Rows *rows, Pass *pass)
{
    const int64_t N = rows->N, in = linear->in, R = linear->R;
    if (!drops(linear, pass)) {
        gemm_nn(g->dx, in, pass->lora, R, linear->a, in, N, in, R, 1, 1);
        return;
    }
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        if (part->module.R == 0)
            continue;
        gemm_nn(pass->dropped, in, pass->lora + part->r_at, R, linear->a + part->r_at * in, in, N, in, part->module.R,
                1, 0);
        add_to(g->dx, drop_input(linear, part, pass->dropped, rows, pass), N * in);
    }
}

void linear_backward(const Linear *linear, const LinearKeep *keep, const LinearGrad *grad, const Rows *rows, Pass *pass)
{
    REQUIRE(linear->values && pass->grad);
    REQUIRE(grad->x || !linear_needs_input(linear));
    base_gradients(linear, grad, rows->N, pass);
    if (linear->R > 0)
        lora_gradients(linear, keep->u, grad, rows, pass);
    if (!grad->dx)
        return;
    base_backward(linear, grad, rows->N);
    if (linear->R > 0)
        lora_backward(linear, grad, rows, pass);
}

bool linear_is_trained(const Linear *linear)
{
    for (int i = 0; i < linear->parts; i++)
        if (module_is_trained(&linear->part[i].module))
            return true;
    return false;
}

bool linear_needs_input(const Linear *linear)
{
    for (int i = 0; i < linear->parts; i++)
        if (linear->part[i].module.R > 0 || linear->part[i].module.weight_at >= 0)
            return true;
    return false;
}
