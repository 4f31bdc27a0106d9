/* Frozen matrices that are not stored as floats, beside the floats that they stand for, to the bit: odd sizes, blocks
 * that run over the ends of rows, several parts of several kinds, panels. */
#include "worker/layers/frozen.h"

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/tensor/quant.h"
#include "common/tensor/safetensors.h"
#include "tests/support/halves.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IN = 37, N = 5, KINDS = FROZEN_NF4_DOUBLE + 1 };

/* A packed matrix, and its numbers by the formulas of quant.h. */
typedef struct Subject {
    Frozen w;
    float *numbers; /* [out, in] */
    void *data;
    float *scales, *table;
    uint8_t *codes;
} Subject;

static void pack_int8(Subject *s, const float *x, int64_t out, int64_t in)
{
    for (int64_t o = 0; o < out; o++) {
        int8_t *q = (int8_t *)s->data + o * in;
        s->scales[o] = int8_pack(q, x + o * in, in);
        for (int64_t i = 0; i < in; i++)
            s->numbers[o * in + i] = (float)q[i] * s->scales[o];
    }
}

static void pack_nf4(Subject *s, const float *x, int64_t n, bool nested)
{
    float *absmax = xcalloc((size_t)nf4_blocks(n), sizeof *absmax);
    uint8_t *codes = s->data;
    nf4_pack(codes, absmax, x, n);
    nf4_dynamic(s->table);
    if (nested)
        nf4_pack_scales(s->codes, s->scales + 1, s->scales, absmax, nf4_blocks(n), s->table);
    else
        memcpy(s->scales, absmax, (size_t)nf4_blocks(n) * sizeof *absmax);
    for (int64_t i = 0; i < n; i++) {
        const int64_t block = i / NF4_BLOCK;
        const float scale = nested ? nf4_scale(s->codes, s->scales + 1, s->scales[0], s->table, block) : absmax[block];
        s->numbers[i] = nf4_numbers[i % 2 ? codes[i / 2] & 15 : codes[i / 2] >> 4] * scale;
    }
    free(absmax);
}

static Subject subject(FrozenKind kind, int64_t out, int64_t in, int seed)
{
    const int64_t n = out * in;
    float *x = xcalloc((size_t)n, sizeof *x);
    Subject s = { .numbers = xcalloc((size_t)n, sizeof(float)),
                  .data = xcalloc((size_t)n, sizeof(float)),
                  .scales = xcalloc((size_t)n + 2, sizeof(float)),
                  .table = xcalloc(256, sizeof(float)),
                  .codes = xcalloc((size_t)n, 1) };
    rng_normal(x, n, 0.5f, rng_key(1, 0, 0, (uint64_t)seed));
    if (kind == FROZEN_F32)
        memcpy(s.data, x, (size_t)n * sizeof *x);
    for (int64_t i = 0; kind == FROZEN_F32 && i < n; i++)
        s.numbers[i] = x[i];
    for (int64_t i = 0; kind == FROZEN_BF16 && i < n; i++) {
        const uint16_t half = tensor_bf16(x[i]);
        const uint32_t bits = (uint32_t)half << 16;
        ((uint16_t *)s.data)[i] = half;
        memcpy(&s.numbers[i], &bits, sizeof bits);
    }
    if (kind == FROZEN_INT8)
        pack_int8(&s, x, out, in);
    if (kind >= FROZEN_NF4)
        pack_nf4(&s, x, n, kind == FROZEN_NF4_DOUBLE);
    s.w = frozen_of(&(FrozenPart){ kind, out, s.data, s.scales, s.codes, s.table }, in);
    free(x);
    return s;
}

static void release(Subject *s)
{
    free(s->numbers);
    free(s->data);
    free(s->scales);
    free(s->table);
    free(s->codes);
}

/* w beside numbers[out,in], all three verbs. */
static void is_what_it_stands_for(const Frozen *w, const float *numbers, int64_t rows)
{
    const int64_t out = w->out, in = w->in, ld = out + 3, room_floats = frozen_room(w);
    float *x = xcalloc((size_t)(rows * in), sizeof *x), *g = xcalloc((size_t)(rows * ld), sizeof *g);
    float *y = xcalloc((size_t)(rows * ld), sizeof *y), *want = xcalloc((size_t)(rows * ld), sizeof *want);
    float *dx = xcalloc((size_t)(rows * in), sizeof *dx), *dwant = xcalloc((size_t)(rows * in), sizeof *dwant);
    float *room = room_floats > 0 ? xcalloc((size_t)room_floats, sizeof *room) : NULL;
    rng_normal(x, rows * in, 0.5f, rng_key(2, 0, 0, 1));
    rng_normal(g, rows * ld, 0.5f, rng_key(2, 0, 0, 2));
    for (int apart = 0; apart < 2; apart++) {
        frozen_product(y, ld, x, w, rows, apart, room);
        (apart ? kernels->row_products : gemm_nt)(want, ld, x, in, numbers, in, rows, out, in, 1, 0);
        assert_memory_equal(y, want, (size_t)(rows * ld) * sizeof *y);
    }
    for (int beta = 0; beta < 2; beta++) {
        frozen_pull(dx, g, ld, w, rows, (float)beta, room);
        gemm_nn(dwant, in, g, ld, numbers, in, rows, in, out, 1, (float)beta);
        assert_memory_equal(dx, dwant, (size_t)(rows * in) * sizeof *dx);
    }
    for (int64_t o = 0; o < out; o++) {
        frozen_row(dx, w, o);
        assert_memory_equal(dx, numbers + o * in, (size_t)in * sizeof *dx);
    }
    free(x), free(g), free(y), free(want), free(dx), free(dwant), free(room);
}

static void every_kind_is_the_numbers_that_it_stands_for(void **state)
{
    (void)state;
    for (int kind = FROZEN_F32; kind < KINDS; kind++)
        for (int rows = 1; rows <= N; rows += N - 1)
            for (int64_t in = IN; in <= 192; in += 192 - IN) {
                Subject s = subject(kind, 71, in, kind);
                assert_int_equal(frozen_room(&s.w), kind == FROZEN_F32 ? 0 : 71 * in);
                is_what_it_stands_for(&s.w, s.numbers, rows);
                release(&s);
            }
}

static void parts_of_several_kinds_are_one_product(void **state)
{
    (void)state;
    for (int a = 0; a < KINDS; a++)
        for (int b = 0; b < KINDS; b++) {
            Subject s[3] = { subject(a, 7, IN, 1), subject(b, 12, IN, 2), subject(a, 3, IN, 3) };
            float numbers[22 * IN], lone[22 * IN];
            for (int i = 0, at = 0; i < 3; at += (int)s[i++].w.out * IN) {
                memcpy(numbers + at, s[i].numbers, (size_t)(s[i].w.out * IN) * sizeof *numbers);
                memcpy(lone + at, s[i].numbers, (size_t)(s[i].w.out * IN) * sizeof *lone);
                if (s[i].w.part[0].kind == FROZEN_F32) /* floats lie one behind the other */
                    s[i].w.part[0].data = lone + at;
            }
            frozen_join(&s[0].w, &s[1].w);
            frozen_join(&s[0].w, &s[2].w);
            is_what_it_stands_for(&s[0].w, numbers, N);
            for (int i = 0; i < 3; i++)
                release(&s[i]);
        }
}

/* Too large to be unpacked at once: then the sum over its rows is cut, and near. */
static void a_large_matrix_goes_by_panels(void **state)
{
    (void)state;
    enum { OUT = 2500, WIDE = 2048, ROWS = 3 };
    Subject s = subject(FROZEN_NF4_DOUBLE, OUT, WIDE, 1);
    const int64_t room_floats = frozen_room(&s.w);
    float *room = xcalloc((size_t)room_floats, sizeof *room);
    float *x = xcalloc(ROWS * WIDE, sizeof *x), *y = xcalloc(ROWS * OUT, sizeof *y),
          *dx = xcalloc(ROWS * WIDE, sizeof *dx);
    rng_normal(x, ROWS * WIDE, 0.5f, rng_key(2, 0, 0, 1));
    assert_true(room_floats < OUT * WIDE);
    frozen_product(y, OUT, x, &s.w, ROWS, false, room);
    frozen_pull(dx, y, OUT, &s.w, ROWS, 0, room);
    for (int n = 0; n < ROWS; n++) {
        for (int o = 0; o < OUT; o += 7) {
            double sum = 0;
            for (int i = 0; i < WIDE; i++)
                sum += (double)x[n * WIDE + i] * (double)s.numbers[o * WIDE + i];
            assert_float_equal(y[n * OUT + o], sum, 1e-4);
        }
        for (int i = 0; i < WIDE; i += 101) {
            double sum = 0;
            for (int o = 0; o < OUT; o++)
                sum += (double)y[n * OUT + o] * (double)s.numbers[o * WIDE + i];
            assert_float_equal(dx[n * WIDE + i], sum, 2e-3);
        }
    }
    free(x), free(y), free(dx), free(room);
    release(&s);
}

/* A product's bits are the same with any number of threads. */
static void threads_change_nothing(void **state)
{
    (void)state;
    enum { OUT = 768, WIDE = 320, ROWS = 130 };
    Subject s = subject(FROZEN_NF4_DOUBLE, OUT, WIDE, 1);
    float *room = xcalloc((size_t)frozen_room(&s.w), sizeof *room), *x = xcalloc(ROWS * WIDE, sizeof *x);
    float *y = xcalloc(ROWS * OUT, sizeof *y), *again = xcalloc(ROWS * OUT, sizeof *again);
    rng_normal(x, ROWS * WIDE, 0.5f, rng_key(2, 0, 0, 1));
    for (int apart = 0; apart < 2; apart++) {
        gemm_set_threads(1);
        frozen_product(y, OUT, x, &s.w, ROWS, apart, room);
        gemm_set_threads(3);
        frozen_product(again, OUT, x, &s.w, ROWS, apart, room);
        assert_memory_equal(y, again, ROWS * OUT * sizeof *y);
    }
    gemm_set_threads(1);
    free(x), free(y), free(again), free(room);
    release(&s);
}

/* ---- products in bf16 --------------------------------------------------------------- */

static double rounded(float x)
{
    const uint32_t bits = (uint32_t)tensor_bf16(x) << 16;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

/* A floats' part is multiplied as floats are. */
static const bool *which_are_floats(const Frozen *w)
{
    static bool floats[4096];
    REQUIRE(w->out <= (int64_t)LENGTH(floats));
    int64_t o = 0;
    for (int i = 0; i < w->parts; i++)
        for (int64_t r = 0; r < w->part[i].rows; r++)
            floats[o++] = w->part[i].kind == FROZEN_F32;
    return floats;
}

static void check_sum(double got, double sum, double size)
{
    if (!(fabs(got - sum) <= 2e-6 * (size + 1)))
        fail_msg("%.9g, not %.9g", got, sum);
}

/* Both products, beside sums of rounded factors; nothing is written behind the room. */
static void is_product_of_rounded(const Frozen *w, const float *numbers, int64_t rows)
{
    const int64_t out = w->out, in = w->in, ld = out + 3, room_floats = frozen_room(w);
    const bool *floats = which_are_floats(w);
    float *x = xcalloc((size_t)(rows * in), sizeof *x), *y = xcalloc((size_t)(rows * ld), sizeof *y);
    float *dx = xcalloc((size_t)(rows * in), sizeof *dx), *room = xcalloc((size_t)room_floats + 64, sizeof *room);
    rng_normal(x, rows * in, 0.5f, rng_key(2, 0, 0, 1));
    for (int64_t i = 0; i < rows * in; i++)
        dx[i] = x[i];
    for (int i = 0; i < 64; i++)
        room[room_floats + i] = 77;
    frozen_product(y, ld, x, w, rows, false, room);
    frozen_pull(dx, y, ld, w, rows, 0.5f, room);
    for (int i = 0; i < 64; i++)
        assert_true(room[room_floats + i] == 77);
    for (int64_t n = 0; n < rows; n += 1 + rows / 5) {
        for (int64_t o = 0; o < out; o += 1 + out / 200) {
            double sum = 0, size = 0;
            for (int64_t i = 0; i < in; i++) {
                const double a = (double)x[n * in + i], b = (double)numbers[o * in + i];
                const double term = floats[o] ? a * b : rounded(x[n * in + i]) * rounded(numbers[o * in + i]);
                sum += term;
                size += fabs(term);
            }
            check_sum((double)y[n * ld + o], sum, size);
        }
        for (int64_t i = 0; i < in; i += 1 + in / 200) {
            double sum = 0.5 * (double)x[n * in + i], size = fabs(sum);
            for (int64_t o = 0; o < out; o++) {
                const double a = (double)y[n * ld + o], b = (double)numbers[o * in + i];
                const double term = floats[o] ? a * b : rounded(y[n * ld + o]) * rounded(numbers[o * in + i]);
                sum += term;
                size += fabs(term);
            }
            check_sum((double)dx[n * in + i], sum, size);
        }
    }
    free(x), free(y), free(dx), free(room);
}

static void are_products_of_rounded_factors(void)
{
    /* also of several blocks of rows and terms, and of odd numbers of tiles of 16 */
    static const int64_t sizes[][3] = {
        { 71, IN, 5 }, { 33, 1030, 2 }, { 40, 16, 1024 }, { 3, 3200, 50 }, { 81, 800, 1041 }
    };
    for (int kind = FROZEN_BF16; kind < KINDS; kind++)
        for (size_t i = 0; i < LENGTH(sizes); i++) {
            Subject s = subject(kind, sizes[i][0], sizes[i][1], kind);
            is_product_of_rounded(&s.w, s.numbers, sizes[i][2]);
            release(&s);
        }
    for (int b = FROZEN_F32; b < KINDS; b++) {
        Subject s[2] = { subject(FROZEN_BF16, 12, IN, 1), subject(b, 7, IN, 2) };
        float numbers[19 * IN];
        memcpy(numbers, s[0].numbers, 12 * IN * sizeof *numbers);
        memcpy(numbers + 12 * IN, s[1].numbers, 7 * IN * sizeof *numbers);
        frozen_join(&s[0].w, &s[1].w);
        is_product_of_rounded(&s[0].w, numbers, N);
        release(&s[0]), release(&s[1]);
    }
    Subject large = subject(FROZEN_NF4, 2100, 2050, 1); /* several panels */
    assert_true(frozen_room(&large.w) < 2100 * 2050);
    is_product_of_rounded(&large.w, large.numbers, 2);
    release(&large);
}

static void in_bf16_they_are_products_of_rounded_factors(void **state)
{
    (void)state;
    if (!halves_level(0))
        skip();
    for (int way = 0; halves_use(way); way++)
        are_products_of_rounded_factors();
}

static void halves_that_lie_one_behind_the_other_are_one_part(void **state)
{
    (void)state;
    Subject s = subject(FROZEN_BF16, 12, IN, 1);
    const FrozenPart first = { .kind = FROZEN_BF16, .rows = 5, .data = s.data };
    const FrozenPart second = { .kind = FROZEN_BF16, .rows = 7, .data = (const uint16_t *)s.data + 5 * IN };
    Frozen w = frozen_of(&first, IN), behind = frozen_of(&second, IN);
    frozen_join(&w, &behind);
    assert_int_equal(w.parts, 1);
    assert_int_equal(w.out, 12);
    is_what_it_stands_for(&w, s.numbers, N);
    w = frozen_of(&second, IN), behind = frozen_of(&first, IN);
    frozen_join(&w, &behind);
    assert_int_equal(w.parts, 2);
    release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_the_numbers_that_it_stands_for),
        cmocka_unit_test(parts_of_several_kinds_are_one_product),
        cmocka_unit_test(a_large_matrix_goes_by_panels),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(in_bf16_they_are_products_of_rounded_factors),
        cmocka_unit_test(halves_that_lie_one_behind_the_other_are_one_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
