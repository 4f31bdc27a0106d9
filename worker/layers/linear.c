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
    linear->has_magnitude = linear->has_magnitude || module->magnitude_at >= 0;
    linear->has_lora_bias = linear->has_lora_bias || module->lora_bias_at >= 0;
    linear->triplets = linear->triplets || (module->triplets && module->R > 0);
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

/* The A that is multiplied with lies in a_room, its gradient in pass->da: not where the values are. */
static bool a_is_made(const Linear *linear)
{
    return linear->triplets || several_are_adapted(linear);
}

Linear linear_slice(const Linear *linear, int first, int count)
{
    REQUIRE(first >= 0 && first + count <= linear->parts);
    const LinearPart *from = &linear->part[first];
    Linear slice = {
        .layer = linear->layer, .dropout = linear->dropout, .values = linear->values, .summed = linear->summed
    };
    for (int i = first; i < first + count; i++)
        linear_add(&slice, &linear->part[i].module, linear->part[i].site);
    if (linear->a) /* a single A is not laid out with others */
        slice.a = a_is_made(linear) ? linear->a + from->r_at * linear->in : linear->a;
    if (linear->bias)
        slice.bias = linear->bias + from->at;
    slice.sums = linear->sums;
    if (linear->c && slice.has_magnitude) {
        slice.c = linear->c + from->at;
        slice.magnitude.inverse = linear->magnitude.inverse + from->at;
    }
    return slice;
}

/* Frozen biases of parts lie side by side as their weights do, so only a trained one scatters them. */
static bool bias_is_made(const Linear *linear)
{
    bool trained = false;
    for (int i = 0; i < linear->parts; i++)
        trained = trained || linear->part[i].module.bias_at >= 0;
    return linear->has_lora_bias || (trained && linear->parts > 1);
}

void linear_measure(const Linear *linear, bool drops, PassSizes *sizes)
{
    const int64_t da = a_is_made(linear) ? linear->R * linear->in : 0;
    sizes->most_R = linear->R > sizes->most_R ? linear->R : sizes->most_R;
    const int64_t room = linear->parts > 0 ? frozen_room(&linear->weight) : 0;
    sizes->da = da > sizes->da ? da : sizes->da;
    sizes->unpacked = room > sizes->unpacked ? room : sizes->unpacked;
    if (drops && linear->R > 0)
        sizes->dropped_in = linear->in > sizes->dropped_in ? linear->in : sizes->dropped_in;
}

void linear_keep_layout(LinearKeep *keep, const Linear *linear, Layout *layout, int64_t most_rows)
{
    keep->u = layout_floats_if(layout, linear->R > 0, most_rows * linear->R);
    keep->z = layout_floats_if(layout, linear->has_magnitude, most_rows * linear->out);
}

void linear_layout(Linear *linear, Layout *layout)
{
    linear->a_room = layout_floats_if(layout, a_is_made(linear), linear->R * linear->in);
    linear->bias_room = layout_floats_if(layout, bias_is_made(linear), linear->out);
    linear->sums = layout_floats_if(layout, linear->has_lora_bias, linear->out);
    if (linear->has_magnitude)
        magnitude_layout(&linear->magnitude, layout, linear->out, linear->in);
}

/* a[R,in] = diag(E) A of triplets, else A. */
static void make_a(float *a, const ModuleView *m, int64_t in, const float *values)
{
    const float *from = values + m->a_at;
    for (int64_t r = 0; r < m->R; r++) {
        const float e = m->triplets ? values[m->e_at + r] : 1;
#pragma omp simd
        for (int64_t i = 0; i < in; i++)
            a[r * in + i] = e * from[r * in + i];
    }
}

static void bind_a(Linear *linear)
{
    const LinearPart *last = NULL;
    const int adapted = adapted_parts(linear, &last);
    linear->a = NULL;
    if (!linear->values || adapted == 0)
        return;
    const bool made = a_is_made(linear);
    linear->a = made ? linear->a_room : linear->values + last->module.a_at;
    for (int i = 0; made && i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        make_a(linear->a_room + part->r_at * linear->in, &part->module, linear->in, linear->values);
    }
}

/* The module's own, and scale times that of B. */
static void make_bias(float *bias, const ModuleView *m, const float *values)
{
    const float *own = module_bias(m, values), *of_b = m->lora_bias_at >= 0 ? values + m->lora_bias_at : NULL;
    for (int64_t o = 0; o < m->out; o++)
        bias[o] = own ? own[o] : 0.0f;
    for (int64_t o = 0; of_b && o < m->out; o++)
        bias[o] += m->scale * of_b[o];
}

static void bind_bias(Linear *linear)
{
    linear->bias = module_bias(&linear->part[0].module, linear->values);
    if (!linear->values || !bias_is_made(linear))
        return;
    for (int i = 0; i < linear->parts; i++)
        make_bias(linear->bias_room + linear->part[i].at, &linear->part[i].module, linear->values);
    linear->bias = linear->bias_room;
}

static void bind_magnitude(Linear *linear)
{
    linear->c = NULL;
    if (!linear->values || !linear->has_magnitude)
        return;
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        if (part->module.magnitude_at >= 0)
            magnitude_bind(&linear->magnitude, &linear->seen[i], part->at, &part->module, linear->values);
        else
            for (int64_t o = 0; o < part->module.out; o++)
                linear->magnitude.c[part->at + o] = 1;
    }
    linear->c = linear->magnitude.c;
}

void linear_bind(Linear *linear, const float *values)
{
    linear->values = values;
    if (linear->parts == 0)
        return;
    bind_a(linear);
    bind_bias(linear);
    bind_magnitude(linear);
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
        frozen_product(y, ldy, x, &linear->weight, N, pass->apart, pass->unpacked);
        return;
    }
    for (int i = 0; i < linear->parts; i++) {
        const Frozen weight = module_weight(&linear->part[i].module, linear->values);
        frozen_product(y + linear->part[i].at, ldy, x, &weight, N, pass->apart, pass->unpacked);
    }
}

/* y[N,n] -= z[N,n] */
static void subtract(float *y, int64_t ldy, const float *z, int64_t ldz, int64_t N, int64_t n)
{
#pragma omp parallel for
    for (int64_t t = 0; t < N; t++)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[t * ldy + i] -= z[t * ldz + i];
}

/* y[N, the part] = x W^T becomes y + (c - 1) x' W^T + c scale u B^T, where x' = pass->dropped is what u was made of: with
 * z = x' W^T + scale u B^T, which backward needs, that is y - x' W^T + c z. */
static void dropped_magnitude(const Linear *linear, const LinearPart *part, const LinearKeep *keep, float *y,
                              int64_t ldy, const float *u, int64_t N, const Pass *pass)
{
    const ModuleView *m = &part->module;
    float *z = keep->z + part->at;
    frozen_product(z, linear->out, pass->dropped, &m->weight, N, false, pass->unpacked);
    subtract(y, ldy, z, linear->out, N, m->out);
    gemm_nt(z, linear->out, u, linear->R, linear->values + m->b_at, m->R, N, m->out, m->R, m->scale, 1);
    kernels->scale_columns(y, ldy, z, linear->out, linear->c + part->at, N, m->out, true);
}

/* all[N, R], of one part = dropout(x) A^T */
static void dropped_u(const Linear *linear, const LinearPart *part, float *all, const float *x, const Rows *rows,
                      Pass *pass)
{
    const int64_t in = linear->in;
    gemm_nt(all + part->r_at, linear->R, drop_input(linear, part, x, rows, pass), in, linear->a + part->r_at * in, in,
            rows->N, part->module.R, in, 1, 0);
}

/* all[N, R] = x A^T of all parts */
static void plain_u(const Linear *linear, float *all, const float *x, int64_t N, const Pass *pass)
{
    const int64_t in = linear->in, R = linear->R;
    pass_product(pass)(all, R, x, in, linear->a, in, N, R, in, 1, 0);
}

void linear_forward(const Linear *linear, LinearKeep *keep, float *y, int64_t ldy, const float *x, const Rows *rows,
                    Pass *pass)
{
    const int64_t N = rows->N, R = linear->R;
    float *all = keep && keep->u ? keep->u : pass->lora; /* [N, R] */
    const bool dropped = drops(linear, pass), kept = linear->c && keep && keep->z && !dropped;
    float *z = kept ? keep->z : y;
    const int64_t ldz = kept ? linear->out : ldy;
    base_forward(linear, z, ldz, x, N, pass);
    for (int i = 0; pass->segment_count > 0 && i < linear->parts; i++)
        segments_add(y + linear->part[i].at, ldy, x, rows, &linear->part[i].module, pass);
    if (!linear->a || R == 0)
        return;
    if (!dropped)
        plain_u(linear, all, x, N, pass);
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        const ModuleView *m = &part->module;
        if (m->R == 0)
            continue;
        const float *u = all + part->r_at; /* [N, m->R] */
        if (dropped)
            dropped_u(linear, part, all, x, rows, pass);
        if (dropped && linear->c)
            dropped_magnitude(linear, part, keep, y + part->at, ldy, u, N, pass);
        else
            pass_product(pass)(z + part->at, ldz, u, R, linear->values + m->b_at, m->R, N, m->out, m->R, m->scale, 1);
    }
    if (linear->c && !dropped)
        kernels->scale_columns(y, ldy, z, ldz, linear->c, N, linear->out, false);
}

void linear_keep_again(const Linear *linear, LinearKeep *keep, float *y, const float *x, const Rows *rows, Pass *pass)
{
    if (keep->z) {
        linear_forward(linear, keep, y, linear->out, x, rows, pass);
        return;
    }
    if (!keep->u || !linear->a)
        return;
    if (!drops(linear, pass))
        plain_u(linear, keep->u, x, rows->N, pass);
    for (int i = 0; drops(linear, pass) && i < linear->parts; i++)
        if (linear->part[i].module.R > 0)
            dropped_u(linear, &linear->part[i], keep->u, x, rows, pass);
}

/* The column sums of dy, times scale, added. */
static void lora_bias_gradient(const Linear *linear, const ModuleView *m, const float *dy, int64_t ldy, int64_t N,
                               const Pass *pass)
{
    float *to = pass->grad + m->lora_bias_at;
    memset(linear->sums, 0, (size_t)m->out * sizeof *linear->sums);
    kernels->bias_backward(linear->sums, dy, ldy, N, m->out);
    for (int64_t o = 0; o < m->out; o++)
        to[o] += m->scale * linear->sums[o];
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
        if (m->lora_bias_at >= 0)
            lora_bias_gradient(linear, m, dy, g->ldy, N, pass);
        if (m->weight_at >= 0)
            gemm_tn(pass->grad + m->weight_at, m->in, dy, g->ldy, g->x, m->in, m->out, m->in, N, 1, g->add ? 1 : 0);
    }
}

/* dm = sum dy z / n. Then z is needed no more, and becomes the gradient at itself, c dy. */
static LinearGrad magnitude_gradients(const Linear *linear, const LinearKeep *keep, const LinearGrad *g, int64_t N,
                                      const Pass *pass)
{
    LinearGrad below = *g;
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        if (part->module.magnitude_at >= 0)
            kernels->dot_columns(pass->grad + part->module.magnitude_at, linear->magnitude.inverse + part->at,
                                 g->dy + part->at, g->ldy, keep->z + part->at, linear->out, N, part->module.out);
    }
    kernels->scale_columns(keep->z, linear->out, g->dy, g->ldy, linear->c, N, linear->out, false);
    below.dy = keep->z;
    below.ldy = linear->out;
    return below;
}

/* With d[R,in] the gradient of diag(E) A: dE_r = sum_i d_ri A_ri, dA_ri = E_r d_ri; added where rows come in several
 * calls. */
static void take_apart(const ModuleView *m, const float *d, int64_t in, bool add, const Linear *linear,
                       const Pass *pass)
{
    const float *a = linear->values + m->a_at, *e = linear->values + m->e_at;
    float *da = pass->grad + m->a_at, *de = pass->grad + m->e_at;
    for (int64_t r = 0; r < m->R; r++) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < in; i++)
            sum += d[r * in + i] * a[r * in + i];
#pragma omp simd
        for (int64_t i = 0; i < in; i++)
            da[r * in + i] = (add ? da[r * in + i] : 0) + e[r] * d[r * in + i];
        de[r] = (add ? de[r] : 0) + sum;
    }
}

static void add_to(float *x, const float *y, int64_t n)
{
#pragma omp parallel for simd
    for (int64_t i = 0; i < n; i++)
        x[i] += y[i];
}

/* da[R,in] of all parts -> each part's place. */
static void spread_da(const Linear *linear, bool add, const Pass *pass)
{
    for (int i = 0; i < linear->parts; i++) {
        const LinearPart *part = &linear->part[i];
        const float *da = pass->da + part->r_at * linear->in;
        if (part->module.R > 0 && part->module.triplets)
            take_apart(&part->module, da, linear->in, add, linear, pass);
        else if (part->module.R > 0 && add)
            add_to(pass->grad + part->module.a_at, da, part->module.R * linear->in);
        else if (part->module.R > 0)
            memcpy(pass->grad + part->module.a_at, da, (size_t)(part->module.R * linear->in) * sizeof(float));
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
            gemm_tn(m->triplets ? pass->da + part->r_at * in : pass->grad + m->a_at, in, p, R,
                    drop_input(linear, part, g->x, rows, pass), in, m->R, in, N, 1, m->triplets ? 0 : beta);
    }
    const LinearPart *last = NULL;
    const bool made = adapted_parts(linear, &last) > 1 || linear->triplets;
    if (!drops(linear, pass)) {
        gemm_tn(made ? pass->da : pass->grad + last->module.a_at, in, pass->lora, R, g->x, in, R, in, N, 1,
                made ? 0 : beta);
    }
    if (made && (linear->triplets || !drops(linear, pass)))
        spread_da(linear, g->add, pass);
}

/* dx = beta dx + dy W */
static void base_backward(const Linear *linear, const LinearGrad *g, int64_t N, const Pass *pass)
{
    if (!linear->whole) {
        frozen_pull(g->dx, g->dy, g->ldy, &linear->weight, N, g->beta, pass->unpacked);
        return;
    }
    for (int i = 0; i < linear->parts; i++) {
        const Frozen weight = module_weight(&linear->part[i].module, linear->values);
        frozen_pull(g->dx, g->dy + linear->part[i].at, g->ldy, &weight, N, i == 0 ? g->beta : 1, pass->unpacked);
    }
}

/* dx += dropout(p A), a mask a part; with a magnitude dx += dropout(p A + (c - 1) dy W), where keep->z = c dy. */
static void lora_backward(const Linear *linear, const LinearKeep *keep, const LinearGrad *g, const Rows *rows,
                          Pass *pass)
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
        if (linear->c) {
            float *more = keep->z + part->at;
            subtract(more, linear->out, g->dy + part->at, g->ldy, N, part->module.out);
            frozen_pull(pass->dropped, more, linear->out, &part->module.weight, N, 1, pass->unpacked);
        }
        add_to(g->dx, drop_input(linear, part, pass->dropped, rows, pass), N * in);
    }
}

void linear_backward(const Linear *linear, const LinearKeep *keep, const LinearGrad *grad, const Rows *rows, Pass *pass)
{
    REQUIRE(linear->values && pass->grad);
    REQUIRE(grad->x || !linear_needs_input(linear));
    LinearGrad own = *grad;
    own.add = grad->add || linear->summed;
    base_gradients(linear, &own, rows->N, pass);
    const LinearGrad scaled = linear->c ? magnitude_gradients(linear, keep, &own, rows->N, pass) : own;
    if (linear->R > 0)
        lora_gradients(linear, keep->u, &scaled, rows, pass);
    if (!grad->dx)
        return;
    base_backward(linear, drops(linear, pass) ? grad : &scaled, rows->N, pass);
    if (linear->R > 0)
        lora_backward(linear, keep, grad, rows, pass);
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
