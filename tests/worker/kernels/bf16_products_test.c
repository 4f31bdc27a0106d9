/* Products in bf16 beside a plain loop over rounded factors; one sum, whatever is computed beside it. */
#include "tests/support/halves.h"
#include "tests/worker/kernels/support.h"

#include "common/tensor/safetensors.h"
#include "worker/kernels/gemm.h"

/* Each test is run for each way of this CPU; NULL: it has none. */
static int way;
static const Bf16Products *here(void)
{
    const Level *level = halves_level(way);
    return level ? level->bf16 : NULL;
}

static double float_of(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

/* One product, N rows of `terms`, each with `outs` sums. */
typedef struct Shape {
    int64_t N, outs, terms;
    float beta;
    bool pull; /* w[terms, outs], else w[outs, terms] */
} Shape;

typedef struct Subject {
    Shape shape;
    int64_t ldx, ldy;
    float *x, *y, *before, *room;
    uint16_t *w;
} Subject;

static Subject subject(Shape shape)
{
    Subject s = { .shape = shape, .ldx = shape.terms + 3, .ldy = shape.outs + 5 };
    s.x = random_new(shape.N * s.ldx, 1.0f, 1);
    s.y = random_new(shape.N * s.ldy, 1.0f, 2);
    s.before = random_new(shape.N * s.ldy, 1.0f, 2);
    s.room = guarded_new(bf16_room(shape.terms));
    s.w = xcalloc((size_t)(shape.outs * shape.terms), sizeof *s.w);
    float *w = random_new(shape.outs * shape.terms, 1.0f, 3);
    for (int64_t i = 0; i < shape.outs * shape.terms; i++)
        s.w[i] = tensor_bf16(w[i]);
    guarded_free(w, shape.outs * shape.terms);
    return s;
}

static void release(Subject *s)
{
    guarded_free(s->x, s->shape.N * s->ldx);
    guarded_free(s->y, s->shape.N * s->ldy);
    guarded_free(s->before, s->shape.N * s->ldy);
    guarded_free(s->room, bf16_room(s->shape.terms));
    free(s->w);
}

/* Rows [first, first + N) of it. */
static void compute(Subject *s, int64_t first, int64_t N)
{
    const Shape *h = &s->shape;
    (h->pull ? here()->nn : here()->nt)(s->y + first * s->ldy, s->ldy, s->x + first * s->ldx, s->ldx, s->w, N, h->outs,
                                        h->terms, h->beta, s->room);
}

static void check(Shape shape)
{
    Subject s = subject(shape);
    compute(&s, 0, shape.N);
    for (int64_t n = 0; n < shape.N; n += 1 + shape.N / 40)
        for (int64_t o = 0; o < s.ldy; o++) {
            double sum = (double)s.before[n * s.ldy + o]; /* the gaps between rows stay */
            double size = fabs(sum);
            if (o < shape.outs)
                sum *= (double)shape.beta;
            for (int64_t k = 0; o < shape.outs && k < shape.terms; k++) {
                const uint16_t w = shape.pull ? s.w[k * shape.outs + o] : s.w[o * shape.terms + k];
                const double term = float_of(tensor_bf16(s.x[n * s.ldx + k])) * float_of(w);
                sum += term;
                size += fabs(term);
            }
            if (!(fabs((double)s.y[n * s.ldy + o] - sum) <= 1e-6 * size))
                fail_msg("%lld x %lld x %lld: row %lld, output %lld is %.9g, not %.9g", (long long)shape.N,
                         (long long)shape.terms, (long long)shape.outs, (long long)n, (long long)o,
                         (double)s.y[n * s.ldy + o], sum);
        }
    release(&s);
}

static void they_are_the_plain_loops(void)
{
    static const int64_t sizes[][3] = {
        { 1, 1, 1 },     { 3, 5, 2 },     { 8, 48, 32 },    { 9, 49, 33 },     { 17, 64, 31 },
        { 16, 16, 32 },  { 3, 11, 40 }, /* rows lie 16 apart, as those of a tile */
        { 48, 40, 800 }, { 7, 17, 1537 }, { 1025, 16, 20 }, { 12, 100, 3073 }, { 33, 768, 96 },
    };
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (int pull = 0; pull < 2; pull++)
            for (int beta = 0; beta < 3; beta++)
                check((Shape){ sizes[i][0], sizes[i][1], sizes[i][2], 0.5f * (float)beta, pull });
}

/* What stood there before does not matter where it is overwritten. */
static void beta_0_overwrites_nan(void)
{
    Subject s = subject((Shape){ 3, 20, 6, 0, false });
    for (int64_t i = 0; i < 3 * s.ldy; i++)
        s.y[i] = NAN;
    compute(&s, 0, 3);
    for (int64_t n = 0; n < 3; n++)
        for (int64_t o = 0; o < 20; o++)
            assert_true(isfinite(s.y[n * s.ldy + o]));
    release(&s);
}

static void a_row_is_what_it_is_alone_with_any_number_of_threads(void)
{
    const int64_t N = 1031, outs = 150, terms = 1600;
    for (int pull = 0; pull < 2; pull++) {
        const Shape shape = { N, outs, terms, 0.5f, pull };
        Subject whole = subject(shape), rows = subject(shape), threads = subject(shape);
        compute(&whole, 0, N);
        for (int64_t n = 0; n < N; n += 257) {
            compute(&rows, n, 1);
            check_same_bits("row", rows.y + n * rows.ldy, whole.y + n * rows.ldy, outs);
        }
        gemm_set_threads(3);
        compute(&threads, 0, N);
        gemm_set_threads(1);
        check_same_bits("threads", threads.y, whole.y, N * whole.ldy);
        release(&whole), release(&rows), release(&threads);
    }
}

static void numbers_are_rounded_to_the_nearest(void)
{
    enum { COUNT = 1000 };
    float *x = random_new(COUNT, 3.0f, 4);
    uint16_t out[COUNT + 1] = { [COUNT] = 77 };
    x[0] = 1.00390625f; /* halfway: to the even */
    x[1] = 1.01171875f;
    x[2] = -0.0f;
    x[3] = INFINITY;
    here()->round(out, x, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(out[i], tensor_bf16(x[i]));
    assert_int_equal(out[COUNT], 77);
    x[5] = NAN;
    here()->round(out, x, COUNT);
    assert_true(isnan(float_of(out[5])));
    guarded_free(x, COUNT);
}

typedef struct Test {
    void (*run)(void);
} Test;

static void in_each_way(void **state)
{
    way = 0;
    if (!here())
        skip();
    for (; here(); way++)
        ((const Test *)*state)->run();
}

int main(void)
{
    static Test all[] = { { they_are_the_plain_loops },
                          { beta_0_overwrites_nan },
                          { a_row_is_what_it_is_alone_with_any_number_of_threads },
                          { numbers_are_rounded_to_the_nearest } };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(in_each_way, &all[0]),
        cmocka_unit_test_prestate(in_each_way, &all[1]),
        cmocka_unit_test_prestate(in_each_way, &all[2]),
        cmocka_unit_test_prestate(in_each_way, &all[3]),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
