#include "tests/worker/kernels/support.h"

/* Both kinds of norm behind a linear's bias, dropout and a residual, with the sum itself as a
 * second output, and backward with a second gradient that comes to the sum. */
static const float eps = 1e-5f;

/* A form of the call: bits say what is there. */
enum { RMS = 1, BIAS = 2, LINEAR_BIAS = 4, DROP = 8, FORMS = 16 };

typedef struct Case {
    int64_t start[4], C, size;
    RngKey keys[3];
    Rows rows;
    Dropout dropout;
    bool rms;
    const float *bias, *linear_bias;
    float *x, *residual, *gain, *some_bias, *some_linear_bias, *dy, *dsum;
    float *y, *sum, *xhat, *inv, *ds;
} Case;

static void case_init(Case *c, int64_t C, int form)
{
    const int64_t lengths[] = { 1, 17, 3 };
    *c = (Case){ .C = C, .rms = form & RMS };
    c->rows = rows_of(c->start, lengths, 3);
    c->size = c->rows.N * C;
    for (int64_t b = 0; b < 3; b++)
        c->keys[b] = rng_key(1, 2, 3 + b, 4);
    c->dropout = (Dropout){ .p = form & DROP ? 0.3f : 0.0f, .keys = c->keys };
    c->x = random_new(c->size, 2.0f, 1);
    c->residual = random_new(c->size, 1.0f, 2);
    c->gain = random_new(C, 1.0f, 3);
    c->some_bias = random_new(C, 1.0f, 4);
    c->some_linear_bias = random_new(C, 1.0f, 5);
    c->dy = random_new(c->size, 1.0f, 6);
    c->dsum = random_new(c->size, 1.0f, 7);
    c->bias = form & BIAS ? c->some_bias : NULL;
    c->linear_bias = form & LINEAR_BIAS ? c->some_linear_bias : NULL;
    c->y = guarded_new(c->size);
    c->sum = guarded_new(c->size);
    c->xhat = guarded_new(c->size);
    c->ds = guarded_new(c->size);
    c->inv = guarded_new(c->rows.N);
}

static void case_release(Case *c)
{
    float *const wide[] = { c->x, c->residual, c->dy, c->dsum, c->y, c->sum, c->xhat, c->ds };
    for (size_t i = 0; i < COUNT_OF(wide); i++)
        guarded_free(wide[i], c->size);
    guarded_free(c->gain, c->C);
    guarded_free(c->some_bias, c->C);
    guarded_free(c->some_linear_bias, c->C);
    guarded_free(c->inv, c->rows.N);
}

static void forward(Case *c, float *y, float *sum, float *xhat, float *inv)
{
    bias_dropout_residual_norm_forward(y, sum, xhat, inv, c->x, c->linear_bias, &c->rows,
                                       c->dropout, c->residual, c->gain, c->bias, c->C, eps,
                                       c->rms);
}

/* The sum that is normalised in row t of example b. */
static void sum_row(const Case *c, double *s, int64_t b, int64_t t)
{
    const int64_t at = (c->start[b] + t) * c->C;
    const double p = (double)c->dropout.p;
    for (int64_t k = 0; k < c->C; k++) {
        const uint32_t bits = rng_bits(c->keys[b], (uint32_t)(t * c->C + k));
        const bool dropped = p > 0.0 && bits < rng_threshold(c->dropout.p);
        const double x = (double)c->x[at + k] + (c->linear_bias ? (double)c->linear_bias[k] : 0.0);
        s[k] = (dropped ? 0.0 : x / (1.0 - p)) + (double)c->residual[at + k];
    }
}

static double normalised(const Case *c, double *xhat, const double *s)
{
    const double C = (double)c->C;
    double mean = 0.0, squares = 0.0;
    for (int64_t k = 0; k < c->C && !c->rms; k++)
        mean += s[k] / C;
    for (int64_t k = 0; k < c->C; k++)
        squares += (s[k] - mean) * (s[k] - mean) / C;
    const double inv = 1.0 / sqrt(squares + (double)eps);
    for (int64_t k = 0; k < c->C; k++)
        xhat[k] = (s[k] - mean) * inv;
    return inv;
}

static void check_row(const Case *c, int64_t b, int64_t t)
{
    const int64_t n = c->start[b] + t;
    double *s = doubles_new(c->C), *xhat = doubles_new(c->C);
    sum_row(c, s, b, t);
    check_near("inv", n, (double)c->inv[n], normalised(c, xhat, s), 3e-6);
    check_all_near("sum", c->sum + n * c->C, s, c->C, 1e-6);
    check_all_near("xhat", c->xhat + n * c->C, xhat, c->C, 3e-6);
    for (int64_t k = 0; k < c->C; k++)
        xhat[k] = xhat[k] * (double)c->gain[k] + (c->bias ? (double)c->bias[k] : 0.0);
    check_all_near("y", c->y + n * c->C, xhat, c->C, 4e-6);
    free(s);
    free(xhat);
}

static void the_sum_is_given_beside_its_norm(void **state)
{
    (void)state;
    const int64_t widths[] = { 1, 3, 17, 65, 130 };
    for (size_t w = 0; w < COUNT_OF(widths); w++) {
        for (int form = 0; form < FORMS; form++) {
            Case c;
            case_init(&c, widths[w], form);
            forward(&c, c.y, c.sum, c.xhat, c.inv);
            for (int64_t b = 0; b < c.rows.B; b++)
                for (int64_t t = 0; t < c.start[b + 1] - c.start[b]; t++)
                    check_row(&c, b, t);
            case_release(&c);
        }
    }
}

static void the_sum_may_take_the_place_of_the_residual(void **state)
{
    (void)state;
    for (int form = 0; form < FORMS; form++) {
        Case c;
        case_init(&c, 65, form);
        float *y = guarded_new(c.size);
        forward(&c, c.y, c.sum, c.xhat, c.inv);
        forward(&c, y, NULL, c.xhat, c.inv);
        for (int64_t i = 0; i < c.size; i++)
            check_near("y without the sum", i, (double)y[i], (double)c.y[i], 1e-6);
        forward(&c, y, c.residual, c.xhat, c.inv);
        check_same_bits("sum over the residual", c.residual, c.sum, c.size);
        check_same_bits("y", y, c.y, c.size);
        guarded_free(y, c.size);
        case_release(&c);
    }
}

/* sum(dy * norm(s) + dsum * s) of row n. */
static double row_loss(const Case *c, int64_t n, const double *s, double *xhat)
{
    double loss = 0.0;
    normalised(c, xhat, s);
    for (int64_t k = 0; k < c->C; k++)
        loss += (double)c->dy[n * c->C + k] * xhat[k] * (double)c->gain[k] +
                (double)c->dsum[n * c->C + k] * s[k];
    return loss;
}

static void backward_equals_finite_differences(void **state)
{
    (void)state;
    for (int64_t C = 1; C <= 65; C += 16) {
        for (int rms = 0; rms < 2; rms++) {
            Case c;
            case_init(&c, C, rms ? RMS : 0);
            double *s = doubles_new(C), *work = doubles_new(C);
            norm_forward(c.y, c.xhat, c.inv, c.x, NULL, c.gain, NULL, c.rows.N, C, eps, c.rms);
            norm_backward(c.ds, NULL, NULL, c.dy, c.dsum, c.xhat, c.inv, c.gain, c.rows.N, C,
                          c.rms);
            for (int64_t i = 0; i < c.size; i++) {
                const int64_t n = i / C, k = i % C;
                for (int64_t j = 0; j < C; j++)
                    s[j] = (double)c.x[n * C + j];
                const double at = s[k], h = 1e-5;
                s[k] = at + h;
                const double above = row_loss(&c, n, s, work);
                s[k] = at - h;
                const double below = row_loss(&c, n, s, work);
                check_near("ds", i, (double)c.ds[i], (above - below) / (2.0 * h), 1e-5);
            }
            free(s);
            free(work);
            case_release(&c);
        }
    }
}

static void backward_may_write_over_either_gradient(void **state)
{
    (void)state;
    for (int rms = 0; rms < 2; rms++) {
        Case c;
        case_init(&c, 65, rms ? RMS : 0);
        float *dgain = guarded_new(c.C), *over_sum = random_new(c.size, 1.0f, 7);
        double *expected = doubles_new(c.C);
        norm_forward(c.y, c.xhat, c.inv, c.x, NULL, c.gain, NULL, c.rows.N, c.C, eps, c.rms);
        norm_backward(c.ds, NULL, NULL, c.dy, c.dsum, c.xhat, c.inv, c.gain, c.rows.N, c.C, c.rms);
        norm_backward(over_sum, NULL, NULL, c.dy, over_sum, c.xhat, c.inv, c.gain, c.rows.N, c.C,
                      c.rms);
        check_same_bits("ds over dsum", over_sum, c.ds, c.size);
        for (int64_t k = 0; k < c.C; k++)
            expected[k] = (double)(dgain[k] = 1.0f);
        for (int64_t i = 0; i < c.size; i++)
            expected[i % c.C] += (double)c.dy[i] * (double)c.xhat[i];
        norm_backward(c.dy, dgain, NULL, c.dy, c.dsum, c.xhat, c.inv, c.gain, c.rows.N, c.C,
                      c.rms);
        check_same_bits("ds over dy", c.dy, c.ds, c.size);
        check_all_near("dgain", dgain, expected, c.C, 5e-6);
        free(expected);
        guarded_free(dgain, c.C);
        guarded_free(over_sum, c.size);
        case_release(&c);
    }
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    for (int form = 0; form < FORMS; form++) {
        Case one, two;
        case_init(&one, 1601, form);
        case_init(&two, 1601, form);
        omp_set_num_threads(1);
        forward(&one, one.y, one.sum, one.xhat, one.inv);
        norm_backward(one.ds, one.gain, NULL, one.dy, one.dsum, one.xhat, one.inv, one.some_bias,
                      one.rows.N, one.C, one.rms);
        omp_set_num_threads(2);
        forward(&two, two.y, two.sum, two.xhat, two.inv);
        norm_backward(two.ds, two.gain, NULL, two.dy, two.dsum, two.xhat, two.inv, two.some_bias,
                      two.rows.N, two.C, two.rms);
        check_same_bits("y", one.y, two.y, one.size);
        check_same_bits("sum", one.sum, two.sum, one.size);
        check_same_bits("xhat", one.xhat, two.xhat, one.size);
        check_same_bits("ds", one.ds, two.ds, one.size);
        check_same_bits("dgain", one.gain, two.gain, one.C);
        case_release(&one);
        case_release(&two);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_given_beside_its_norm),
        cmocka_unit_test(the_sum_may_take_the_place_of_the_residual),
        cmocka_unit_test(backward_equals_finite_differences),
        cmocka_unit_test(backward_may_write_over_either_gradient),
        cmocka_unit_test(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
