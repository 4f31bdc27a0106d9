#include "tests/worker/kernels/support.h"
#include "worker/kernels/levels.h"

static const float eps = 1e-5f;
static const int64_t sizes[][2] = { { 1, 1 }, { 1, 3 }, { 3, 17 }, { 17, 65 }, { 300, 130 } };

/* Inputs of N rows of C. */
typedef struct Case {
    int64_t N, C;
    bool rms;
    float *x, *residual, *gain, *bias, *linear_bias, *dy;
} Case;

/* state: whether it is the norm of the scale alone. */
static Case case_new(void **state, int64_t N, int64_t C)
{
    Case c = { .N = N, .C = C, .rms = *(const bool *)*state };
    c.x = random_new(N * C, 2.0f, 1);
    c.residual = random_new(N * C, 1.0f, 2);
    c.gain = random_new(C, 1.0f, 3);
    c.bias = random_new(C, 1.0f, 4);
    c.linear_bias = random_new(C, 1.0f, 5);
    c.dy = random_new(N * C, 1.0f, 6);
    if (c.rms) { /* which has no bias */
        for (int64_t i = 0; i < C; i++)
            c.bias[i] = 0.0f;
    }
    return c;
}

static void case_release(Case *c)
{
    guarded_free(c->x, c->N * c->C);
    guarded_free(c->residual, c->N * c->C);
    guarded_free(c->gain, c->C);
    guarded_free(c->bias, c->C);
    guarded_free(c->linear_bias, c->C);
    guarded_free(c->dy, c->N * c->C);
}

/* xhat and 1/deviation of one row, in double. */
static double normalised(double *xhat, const double *s, int64_t C, bool rms)
{
    double mean = 0.0, squares = 0.0;
    for (int64_t c = 0; c < C && !rms; c++)
        mean += s[c] / (double)C;
    for (int64_t c = 0; c < C; c++)
        squares += (s[c] - mean) * (s[c] - mean) / (double)C;
    const double inv = 1.0 / sqrt(squares + (double)eps);
    for (int64_t c = 0; c < C; c++)
        xhat[c] = (s[c] - mean) * inv;
    return inv;
}

/* y, xhat and inv of row n against the sum s that should have been normalised. */
static void check_row(const Case *c, int64_t n, const double *s, const float *y, const float *xhat, float inv)
{
    double *expected = doubles_new(c->C);
    check_near("inv", n, (double)inv, normalised(expected, s, c->C, c->rms), 3e-6);
    check_all_near("xhat", xhat + n * c->C, expected, c->C, 3e-6);
    for (int64_t i = 0; i < c->C; i++)
        expected[i] = expected[i] * (double)c->gain[i] + (double)c->bias[i];
    check_all_near("y", y + n * c->C, expected, c->C, 3e-6);
    free(expected);
}

static void forward_normalises_the_sum_with_the_residual(void **state)
{
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        Case c = case_new(state, sizes[i][0], sizes[i][1]);
        const int64_t size = c.N * c.C;
        float *y = guarded_new(size), *xhat = guarded_new(size), *inv = guarded_new(c.N);
        double *s = doubles_new(c.C);
        for (int with = 0; with < 2; with++) {
            kernels->norm_forward(y, xhat, inv, c.x, with ? c.residual : NULL, c.gain, c.rms ? NULL : c.bias, c.N, c.C,
                                  eps, c.rms);
            for (int64_t n = 0; n < c.N; n++) {
                for (int64_t k = 0; k < c.C; k++)
                    s[k] = (double)c.x[n * c.C + k] + (with ? (double)c.residual[n * c.C + k] : 0.0);
                check_row(&c, n, s, y, xhat, inv[n]);
            }
        }
        free(s);
        guarded_free(y, size);
        guarded_free(xhat, size);
        guarded_free(inv, c.N);
        case_release(&c);
    }
}

static void forward_without_xhat_or_in_place_gives_the_same(void **state)
{
    Case c = case_new(state, 17, 65);
    const int64_t size = c.N * c.C;
    float *y = guarded_new(size), *xhat = guarded_new(size), *inv = guarded_new(c.N);
    float *again = guarded_new(size);
    kernels->norm_forward(y, xhat, inv, c.x, c.residual, c.gain, c.rms ? NULL : c.bias, c.N, c.C, eps, c.rms);
    kernels->norm_forward(again, NULL, NULL, c.x, c.residual, c.gain, c.rms ? NULL : c.bias, c.N, c.C, eps, c.rms);
    for (int64_t i = 0; i < size; i++)
        check_near("y", i, (double)again[i], (double)y[i], 1e-6);
    kernels->norm_forward(c.x, xhat, inv, c.x, c.residual, c.gain, c.rms ? NULL : c.bias, c.N, c.C, eps, c.rms);
    check_same_bits("y over x", c.x, y, size);
    guarded_free(y, size);
    guarded_free(xhat, size);
    guarded_free(inv, c.N);
    guarded_free(again, size);
    case_release(&c);
}

/* Three examples; masks counted from the start of each. */
static void the_fused_pass_adds_bias_drops_and_adds_the_residual(void **state)
{
    const int64_t lengths[] = { 1, 17, 3 };
    int64_t start[4];
    const Rows rows = rows_of(start, lengths, 3);
    const RngKey keys[] = { rng_key(1, 2, 3, 4), rng_key(1, 2, 4, 4), rng_key(1, 2, 5, 4) };
    Case c = case_new(state, rows.N, 65);
    const int64_t size = c.N * c.C;
    float *y = guarded_new(size), *xhat = guarded_new(size), *inv = guarded_new(c.N);
    float *sum = guarded_new(size);
    double *s = doubles_new(c.C);
    for (int form = 0; form < 8; form++) {
        const bool sum_too = form & 4;
        const float p = form & 1 ? 0.3f : 0.0f;
        const float *linear_bias = form & 2 ? c.linear_bias : NULL;
        const Dropout dropout = { .p = p, .keys = p > 0.0f ? keys : NULL };
        const NormInput input = { c.x, linear_bias, c.residual, dropout, sum_too ? sum : NULL };
        const NormScale scale = { c.gain, c.rms ? NULL : c.bias, c.C, eps, c.rms };
        kernels->sum_norm_forward(y, xhat, inv, &input, &rows, &scale);
        for (int64_t b = 0; b < rows.B; b++) {
            for (int64_t n = start[b]; n < start[b + 1]; n++) {
                for (int64_t k = 0; k < c.C; k++) {
                    const uint32_t bits = rng_bits(keys[b], (uint32_t)((n - start[b]) * c.C + k));
                    const double kept = p > 0.0f && bits < rng_threshold(p) ? 0.0 : 1.0 / (1.0 - (double)p);
                    const double biased =
                        (double)c.x[n * c.C + k] + (linear_bias != NULL ? (double)linear_bias[k] : 0.0);
                    s[k] = biased * kept + (double)c.residual[n * c.C + k];
                }
                if (sum_too)
                    check_all_near("sum", sum + n * c.C, s, c.C, 3e-6);
                check_row(&c, n, s, y, xhat, inv[n]);
            }
        }
    }
    free(s);
    guarded_free(sum, size);
    guarded_free(y, size);
    guarded_free(xhat, size);
    guarded_free(inv, c.N);
    case_release(&c);
}

/* sum(dy * norm(s)) of one row, for differences. */
static double row_loss(const Case *c, int64_t n, const double *s, double *xhat)
{
    double loss = 0.0;
    normalised(xhat, s, c->C, c->rms);
    for (int64_t i = 0; i < c->C; i++)
        loss += (double)c->dy[n * c->C + i] * (xhat[i] * (double)c->gain[i] + (double)c->bias[i]);
    return loss;
}

/* Where the next block lies on another rank, that one has only the sum: with the kernels of every level. */
static void a_sum_normalised_elsewhere_has_the_same_bits(void **state)
{
    const int64_t length = 21;
    int64_t start[2];
    const Rows rows = rows_of(start, &length, 1);
    const RngKey key = rng_key(1, 2, 3, 4);
    Case c = case_new(state, rows.N, 333); /* many times what a CPU adds at once */
    const int64_t size = c.N * c.C;
    float *y = guarded_new(size), *elsewhere = guarded_new(size), *sum = guarded_new(size), *inv = guarded_new(c.N);
    for (int i = 0; i < 4 * level_count; i++) {
        const Level *level = &levels[i / 4];
        if (!level->fits())
            continue;
        const NormScale scale = { c.gain, c.rms ? NULL : c.bias, c.C, eps, c.rms };
        const Dropout dropout = { .p = i & 1 ? 0.3f : 0.0f, .keys = i & 1 ? &key : NULL };
        const NormInput input = { c.x, i & 2 ? c.linear_bias : NULL, c.residual, dropout, sum };
        level->kernels->sum_norm_forward(y, NULL, inv, &input, &rows, &scale);
        level->kernels->norm_forward(elsewhere, NULL, inv, sum, NULL, c.gain, scale.bias, c.N, c.C, eps, c.rms);
        check_same_bits(level->name, elsewhere, y, size);
    }
    guarded_free(y, size);
    guarded_free(elsewhere, size);
    guarded_free(sum, size);
    guarded_free(inv, c.N);
    case_release(&c);
}

static void backward_equals_finite_differences(void **state)
{
    for (size_t i = 1; i < 4; i++) {
        Case c = case_new(state, sizes[i][0], sizes[i][1]);
        const int64_t size = c.N * c.C;
        float *y = guarded_new(size), *xhat = guarded_new(size), *inv = guarded_new(c.N);
        float *ds = guarded_new(size);
        double *s = doubles_new(c.C), *work = doubles_new(c.C);
        kernels->norm_forward(y, xhat, inv, c.x, NULL, c.gain, c.rms ? NULL : c.bias, c.N, c.C, eps, c.rms);
        kernels->norm_backward(ds, NULL, NULL, c.dy, NULL, xhat, inv, c.gain, c.N, c.C, c.rms);
        for (int64_t n = 0; n < c.N; n++) {
            for (int64_t k = 0; k < c.C; k++)
                s[k] = (double)c.x[n * c.C + k];
            for (int64_t k = 0; k < c.C; k++) {
                const double at = s[k], h = 1e-5;
                s[k] = at + h;
                const double above = row_loss(&c, n, s, work);
                s[k] = at - h;
                const double below = row_loss(&c, n, s, work);
                s[k] = at;
                check_near("ds", n * c.C + k, (double)ds[n * c.C + k], (above - below) / (2.0 * h), 5e-6);
            }
        }
        free(s);
        free(work);
        guarded_free(y, size);
        guarded_free(xhat, size);
        guarded_free(inv, c.N);
        guarded_free(ds, size);
        case_release(&c);
    }
}

static void backward_adds_gain_and_bias_gradients_even_over_dy(void **state)
{
    Case c = case_new(state, 300, 130);
    const int64_t size = c.N * c.C;
    float *y = guarded_new(size), *xhat = guarded_new(size), *inv = guarded_new(c.N);
    float *ds = guarded_new(size), *dgain = guarded_new(c.C), *dbias = guarded_new(c.C);
    kernels->norm_forward(y, xhat, inv, c.x, NULL, c.gain, c.rms ? NULL : c.bias, c.N, c.C, eps, c.rms);
    kernels->norm_backward(ds, NULL, NULL, c.dy, NULL, xhat, inv, c.gain, c.N, c.C, c.rms);
    for (int64_t k = 0; k < c.C; k++)
        dgain[k] = dbias[k] = 1.0f;
    double *gain = doubles_new(c.C), *bias = doubles_new(c.C);
    for (int64_t i = 0; i < size; i++) {
        gain[i % c.C] += (double)c.dy[i] * (double)xhat[i];
        bias[i % c.C] += (double)c.dy[i];
    }
    kernels->norm_backward(c.dy, dgain, dbias, c.dy, NULL, xhat, inv, c.gain, c.N, c.C, c.rms);
    check_same_bits("ds over dy", c.dy, ds, size);
    for (int64_t k = 0; k < c.C; k++) {
        check_near("dgain", k, (double)dgain[k], 1.0 + gain[k], 5e-6);
        check_near("dbias", k, (double)dbias[k], 1.0 + bias[k], 5e-6);
    }
    free(gain);
    free(bias);
    guarded_free(y, size);
    guarded_free(xhat, size);
    guarded_free(inv, c.N);
    guarded_free(ds, size);
    guarded_free(dgain, c.C);
    guarded_free(dbias, c.C);
    case_release(&c);
}

/* What else comes to the sum is added, also in its place. */
static void backward_adds_the_residuals_gradient(void **state)
{
    Case c = case_new(state, 17, 65);
    const int64_t size = c.N * c.C;
    float *y = guarded_new(size), *xhat = guarded_new(size), *inv = guarded_new(c.N);
    float *ds = guarded_new(size), *both = guarded_new(size);
    kernels->norm_forward(y, xhat, inv, c.x, NULL, c.gain, NULL, c.N, c.C, eps, c.rms);
    kernels->norm_backward(ds, NULL, NULL, c.dy, NULL, xhat, inv, c.gain, c.N, c.C, c.rms);
    kernels->norm_backward(both, NULL, NULL, c.dy, c.residual, xhat, inv, c.gain, c.N, c.C, c.rms);
    for (int64_t i = 0; i < size; i++)
        check_near("ds", i, (double)both[i], (double)ds[i] + (double)c.residual[i], 2e-6);
    kernels->norm_backward(c.residual, NULL, NULL, c.dy, c.residual, xhat, inv, c.gain, c.N, c.C, c.rms);
    check_same_bits("ds over dsum", c.residual, both, size);
    guarded_free(y, size);
    guarded_free(xhat, size);
    guarded_free(inv, c.N);
    guarded_free(ds, size);
    guarded_free(both, size);
    case_release(&c);
}

static void two_threads_give_the_bits_of_one(void **state)
{
    Case c = case_new(state, 300, 130);
    const int64_t size = c.N * c.C;
    float *y[2], *xhat[2], *ds[2], *dgain[2], *inv = guarded_new(c.N);
    for (int t = 0; t < 2; t++) {
        y[t] = guarded_new(size);
        xhat[t] = guarded_new(size);
        ds[t] = guarded_new(size);
        dgain[t] = random_new(c.C, 1.0f, 9);
        omp_set_num_threads(1 + t);
        kernels->norm_forward(y[t], xhat[t], inv, c.x, c.residual, c.gain, c.rms ? NULL : c.bias, c.N, c.C, eps, c.rms);
        kernels->norm_backward(ds[t], dgain[t], NULL, c.dy, NULL, xhat[t], inv, c.gain, c.N, c.C, c.rms);
    }
    check_same_bits("y", y[0], y[1], size);
    check_same_bits("xhat", xhat[0], xhat[1], size);
    check_same_bits("ds", ds[0], ds[1], size);
    check_same_bits("dgain", dgain[0], dgain[1], c.C);
    for (int t = 0; t < 2; t++) {
        guarded_free(y[t], size);
        guarded_free(xhat[t], size);
        guarded_free(ds[t], size);
        guarded_free(dgain[t], c.C);
    }
    guarded_free(inv, c.N);
    case_release(&c);
}

#define BOTH(test)                                                                                                     \
    { #test ": layer norm", test, NULL, NULL, (void *)&layer },                                                        \
    {                                                                                                                  \
#test ": RMS norm", test, NULL, NULL, (void *)&rms                                                             \
    }

int main(void)
{
    static bool layer = false, rms = true;
    const struct CMUnitTest tests[] = {
        BOTH(forward_normalises_the_sum_with_the_residual),
        BOTH(forward_without_xhat_or_in_place_gives_the_same),
        BOTH(the_fused_pass_adds_bias_drops_and_adds_the_residual),
        BOTH(a_sum_normalised_elsewhere_has_the_same_bits),
        BOTH(backward_equals_finite_differences),
        BOTH(backward_adds_gain_and_bias_gradients_even_over_dy),
        BOTH(backward_adds_the_residuals_gradient),
        BOTH(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
