/* Sums that are rounded beside the rounding of files' bf16, number by number; and what travels of them. */
#include "common/slots/sums.h"

#include "common/base/rng.h"
#include "common/tensor/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 4099 };

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* All kinds of numbers: of any exponent, halfway between two, infinite, none. */
static void draw(float x[COUNT], uint64_t seed)
{
    for (int i = 0; i < COUNT; i++) {
        uint32_t bits = (uint32_t)rng_bits(rng_key(seed, 0, 0, 0), (uint32_t)i);
        if (i % 4 == 0)
            bits = (bits & 0xffff0000) | 0x8000;
        if (i % 64 == 1)
            bits = (bits & 0x80000000) | 0x7f800000 | (i % 128 == 1 ? 0 : 0x1234);
        memcpy(x + i, &bits, sizeof bits);
    }
}

static void expect_rounded(const float *got, const float *exact)
{
    for (int i = 0; i < COUNT; i++) {
        if (isnan(exact[i])) {
            assert_true(isnan(got[i]));
            assert_int_equal(bits_of(got[i]) & 0xffff, 0);
        } else {
            assert_int_equal(bits_of(got[i]), (uint32_t)tensor_bf16(exact[i]) << 16);
        }
    }
}

static void leaves_and_joined_sums_are_rounded_to_the_nearest(void **state)
{
    (void)state;
    float left[COUNT], right[COUNT], exact[COUNT], sum[COUNT];
    draw(left, 1);
    draw(right, 2);
    memcpy(sum, left, sizeof sum);
    sums_leaf(WIRE_BF16, sum, COUNT);
    expect_rounded(sum, left);
    for (int i = 0; i < COUNT; i++)
        exact[i] = sum[i] + right[i];
    sums_add(WIRE_BF16, sum, right, COUNT);
    expect_rounded(sum, exact);
}

static void sums_of_fp32_are_not_rounded(void **state)
{
    (void)state;
    float left[COUNT], right[COUNT], sum[COUNT];
    rng_normal(left, COUNT, 1, rng_key(1, 0, 0, 0));
    rng_normal(right, COUNT, 1, rng_key(2, 0, 0, 0));
    memcpy(sum, left, sizeof sum);
    sums_leaf(WIRE_FP32, sum, COUNT);
    assert_memory_equal(sum, left, sizeof sum);
    sums_add(WIRE_FP32, sum, right, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_true(sum[i] == left[i] + right[i]);
    assert_int_equal(sums_bytes(WIRE_FP32, 7), 28);
}

static void what_travels_is_all_of_a_rounded_sum(void **state)
{
    (void)state;
    float sum[COUNT], back[COUNT];
    uint16_t packed[COUNT + 1];
    draw(sum, 3);
    sums_leaf(WIRE_BF16, sum, COUNT);
    sums_pack(packed, sum, COUNT);
    memmove((char *)packed + 1, packed, sizeof *packed * COUNT); /* a message's bytes need not be aligned */
    sums_unpack(WIRE_BF16, back, (char *)packed + 1, COUNT);
    assert_memory_equal(back, sum, sizeof sum);
    assert_int_equal(sums_bytes(WIRE_BF16, 7), 14);
}

enum { MANY = 600, ROUNDS = 50, EACH = 256 }; /* two groups, and a part of one */

/* The largest magnitude of numbers that share a scale with number i. */
static float largest_beside(const float *x, int i)
{
    float largest = 0;
    for (int j = i / EACH * EACH; j < MANY && j < i / EACH * EACH + EACH; j++)
        largest = fabsf(x[j]) > largest ? fabsf(x[j]) : largest;
    return largest;
}

static void int8_is_the_nearest_of_its_group_and_the_rest_is_left_over(void **state)
{
    (void)state;
    float x[MANY], left[MANY] = { 0 }, back[MANY];
    char bytes[MANY + 3 * sizeof(float) + 1];
    rng_normal(x, MANY, 1, rng_key(5, 0, 0, 0));
    for (int i = 0; i < MANY; i++)
        x[i] *= i < EACH ? 1e-20F : i < 2 * EACH ? 1e20F : 0;
    assert_int_equal(sums_bytes(WIRE_INT8, MANY), sizeof bytes - 1);
    sums_round(bytes, x, left, MANY);
    memmove(bytes + 1, bytes, sizeof bytes - 1);
    sums_unpack(WIRE_INT8, back, bytes + 1, MANY);
    for (int i = 0; i < MANY; i++) {
        const float scale = largest_beside(x, i) / 127;
        assert_true(fabsf(back[i] - x[i]) <= 0.5001F * scale);
        assert_true(fabsf(back[i] + left[i] - x[i]) <= 1e-6F * fabsf(x[i]));
    }
}

/* What is pushed in the long run is what was computed, but for what one push leaves over. */
static void what_int8_leaves_over_goes_with_the_next_push(void **state)
{
    (void)state;
    float x[MANY], left[MANY] = { 0 }, back[MANY];
    double sum[MANY] = { 0 }, pushed[MANY] = { 0 };
    char bytes[MANY + 3 * sizeof(float)];
    for (int round = 0; round < ROUNDS; round++) {
        rng_normal(x, MANY, 1, rng_key(6, round, 0, 0));
        for (int i = 0; i < MANY; i++)
            x[i] = 0.1F * x[i] + (i % EACH == 0 ? 100.0F : 0.01F); /* one large number would hide the others */
        sums_round(bytes, x, left, MANY);
        sums_unpack(WIRE_INT8, back, bytes, MANY);
        for (int i = 0; i < MANY; i++) {
            sum[i] += (double)x[i];
            pushed[i] += (double)back[i];
        }
    }
    for (int i = 0; i < MANY; i++)
        assert_true(fabs(sum[i] - pushed[i]) < 1); /* a scale is 0.8 */
}

static void int8_of_what_is_not_finite_is_not_and_is_forgotten(void **state)
{
    (void)state;
    float x[MANY] = { 0 }, left[MANY] = { 0 }, back[MANY];
    char bytes[MANY + 3 * sizeof(float)];
    x[3] = INFINITY;
    x[EACH] = NAN;
    x[2 * EACH] = 1;
    for (int round = 0; round < 2; round++) {
        sums_round(bytes, x, left, MANY);
        sums_unpack(WIRE_INT8, back, bytes, MANY);
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(isnan(back[i]) != 0, round == 0 && i < 2 * EACH);
            assert_true(isfinite(left[i]));
        }
        x[3] = x[EACH] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_and_joined_sums_are_rounded_to_the_nearest),
        cmocka_unit_test(sums_of_fp32_are_not_rounded),
        cmocka_unit_test(what_travels_is_all_of_a_rounded_sum),
        cmocka_unit_test(int8_is_the_nearest_of_its_group_and_the_rest_is_left_over),
        cmocka_unit_test(what_int8_leaves_over_goes_with_the_next_push),
        cmocka_unit_test(int8_of_what_is_not_finite_is_not_and_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
