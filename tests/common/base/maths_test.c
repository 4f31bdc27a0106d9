#include "common/base/maths.h"

#include "common/base/digest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { POINTS = 200000 };

/* In [low, high), each time another. */
static double between(double low, double high)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005U + 1442695040888963407U;
    return low + (high - low) * ((double)(state >> 11) * 0x1p-53);
}

/* How far off, in units of the last place of a double. */
static double units(double got, long double expected)
{
    const double near = fabs((double)expected);
    const double unit = fmax(nextafter(near, INFINITY) - near, 0x1p-1074);
    return (double)(fabsl((long double)got - expected) / (long double)unit);
}

static void check(double got, long double expected, double most, const char *what, double x)
{
    if (!(units(got, expected) <= most))
        fail_msg("%s(%a) is %a, and not %La", what, x, got, expected);
}

static void values_are_right_to_a_unit_of_the_last_place(void **state)
{
    (void)state;
    static const struct {
        double low, high;
    } ranges[] = { { -1, 1 }, { -745, 709 }, { 0.4, 2.5 }, { -30, 30 }, { 0, 1e-3 }, { 1e3, 1e6 } };
    for (size_t range = 0; range < sizeof ranges / sizeof *ranges; range++)
        for (int i = 0; i < POINTS; i++) {
            const double x = between(ranges[range].low, ranges[range].high), a = fabs(x);
            check(maths_sin(x), sinl((long double)x), 1, "sin", x);
            check(maths_cos(x), cosl((long double)x), 1, "cos", x);
            if (x < 709)
                check(maths_exp(x), expl((long double)x), 1, "exp", x);
            if (a > 0)
                check(maths_log(a), logl((long double)a), 1, "log", a);
            if (x > -0.5)
                check(maths_log1p(x), log1pl((long double)x), 2, "log1p", x);
        }
}

static void powers_are_right(void **state)
{
    (void)state;
    for (int i = 0; i < POINTS; i++) {
        const double t = floor(between(1, 1e5)), share = between(-1, 1);
        check(maths_pow(1e4, share), powl(1e4L, (long double)share), 1, "pow 1e4", share);
        check(maths_pow(5e5, share), powl(5e5L, (long double)share), 1, "pow 5e5", share);
        const double power = maths_pow(0.999, t);
        const long double expected = powl((long double)0.999, (long double)t);
        assert_true(fabsl((long double)power - expected) <= 0x1p-48L * expected);
        if (t < 1e4)
            check(power, expected, 1, "pow 0.999", t);
    }
    assert_true(maths_pow(0.9, 1) == 0.9 && maths_pow(0.999, 1) == 0.999 && maths_pow(0.95, 1) == 0.95);
}

static void ends_of_their_ranges_are_as_the_standard_has_them(void **state)
{
    (void)state;
    assert_true(maths_exp(0) == 1 && maths_exp(-INFINITY) == 0 && maths_exp(INFINITY) == INFINITY &&
                isnan(maths_exp(NAN)));
    assert_true(maths_exp(710) == INFINITY && maths_exp(-746) == 0 && maths_exp(709.7) > 1e308);
    assert_true(maths_exp(-740) > 0 && fabs(maths_exp(-740) / exp(-740) - 1) < 1e-9); /* denormal */
    assert_true(maths_log(1) == 0 && maths_log(0) == -INFINITY && maths_log(INFINITY) == INFINITY);
    assert_true(isnan(maths_log(-1)) && isnan(maths_log(NAN)));
    check(maths_log(0x1p-1074), logl(0x1p-1074L), 1, "log", 0x1p-1074);
    assert_true(maths_log1p(0) == 0 && maths_log1p(1e-300) == 1e-300 && maths_log1p(-1) == -INFINITY);
    assert_true(maths_sin(0) == 0 && maths_cos(0) == 1 && isnan(maths_sin(INFINITY)) && isnan(maths_cos(0x1p28)));
    check(maths_sin(134217727.5), sinl(134217727.5L), 1, "sin", 134217727.5);
    assert_true(fabs(maths_sin(M_PI) - sin(M_PI)) < 1e-24);
    assert_true(maths_pow(3, 0) == 1 && maths_pow(0, 2) == 0 && maths_pow(0, -2) == INFINITY && maths_pow(0, 0) == 1);
    assert_true(maths_pow(10, 400) == INFINITY && maths_pow(10, -400) == 0 && isnan(maths_pow(-1, 0.5)));
    assert_true(maths_pow(INFINITY, 2) == INFINITY && maths_pow(INFINITY, -2) == 0 && isnan(maths_pow(NAN, 2)));
}

/* Recorded once: any CPU, compiler, library and MARCH gives these bits. */
static void bits_are_those_of_every_other_machine(void **state)
{
    (void)state;
    static double values[6 * 4000];
    for (int i = 0; i < 4000; i++) {
        const double x = 0.0137 * (i + 1);
        const double of[6] = { maths_exp(-x),           maths_log(x),  maths_sin(x), maths_cos(x),
                               maths_pow(1e4, -x / 55), maths_log1p(x) };
        memcpy(values + 6 * i, of, sizeof of);
    }
    assert_int_equal(digest_fast(values, sizeof values), 0xbffc7fe9bcf06ec7U);
}

static void what_is_no_number_is_found_wherever_it_stands(void **state)
{
    (void)state;
    enum { N = 10000 };
    static float x[N];
    const float odd[] = { NAN, INFINITY, -INFINITY };
    for (int i = 0; i < N; i++)
        x[i] = i % 2 ? 3.4e38f : 1e-45f;
    assert_int_equal(maths_not_finite(x, N), N);
    assert_int_equal(maths_not_finite(x, 0), 0);
    for (int at = 0; at < N; at += 97) {
        const float before = x[at];
        x[at] = odd[at % 3];
        assert_int_equal(maths_not_finite(x, N), at);
        assert_int_equal(maths_not_finite(x, at), at);
        x[at] = before;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_right_to_a_unit_of_the_last_place),
        cmocka_unit_test(powers_are_right),
        cmocka_unit_test(ends_of_their_ranges_are_as_the_standard_has_them),
        cmocka_unit_test(what_is_no_number_is_found_wherever_it_stands),
        cmocka_unit_test(bits_are_those_of_every_other_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
