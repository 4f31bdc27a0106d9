#include "tests/worker/kernels/support.h"

#include "worker/kernels/vmath.h"

/* Distance in units of the last place of the true value. */
static double ulps(float got, double expected)
{
    const float near = fabsf((float)expected);
    const double unit = (double)nextafterf(near, INFINITY) - (double)near;
    return fabs((double)got - expected) / unit;
}

static void exp_is_within_one_ulp(void **state)
{
    (void)state;
    for (int i = 0; i <= 1750000; i++) {
        const float x = -87.2f + (float)i * 1e-4f;
        if (ulps(vm_exp(x), exp((double)x)) > 1.05)
            fail_msg("exp(%.9g) = %.9g", (double)x, (double)vm_exp(x));
    }
}

static void exp_ends_at_its_borders(void **state)
{
    (void)state;
    assert_true(vm_exp(0.0f) == 1.0f);
    assert_true(vm_exp(-INFINITY) == 0.0f);
    assert_true(vm_exp(-1e30f) == 0.0f);
    assert_true(vm_exp(1e30f) > 2.3e38f);
    assert_true(vm_exp(INFINITY) > 2.3e38f);
    assert_true(isnan(vm_exp(NAN)));
}

static void log_is_within_one_ulp(void **state)
{
    (void)state;
    for (uint32_t bits = 0x00000001U; bits < 0x7f800000U; bits += 997) { /* all positive floats, in small steps */
        float x;
        memcpy(&x, &bits, sizeof x);
        if (x != 1.0f && ulps(vm_log(x), log((double)x)) > 0.82)
            fail_msg("log(%.9g) = %.9g", (double)x, (double)vm_log(x));
    }
    assert_true(vm_log(1.0f) == 0.0f && vm_log(0.0f) == -INFINITY && vm_log(INFINITY) == INFINITY);
    assert_true(isnan(vm_log(-1.0f)) && isnan(vm_log(NAN)));
}

static void tanh_is_within_two_ulps(void **state)
{
    (void)state;
    for (int i = -1200000; i <= 1200000; i++) {
        const float x = (float)i * 1e-5f;
        if (i != 0 && ulps(vm_tanh(x), tanh((double)x)) > 2.0)
            fail_msg("tanh(%.9g) = %.9g", (double)x, (double)vm_tanh(x));
    }
    assert_true(vm_tanh(0.0f) == 0.0f);
    assert_true(vm_tanh(INFINITY) == 1.0f && vm_tanh(-INFINITY) == -1.0f);
    assert_true(isnan(vm_tanh(NAN)));
}

static void the_normal_distribution_is_exact_to_9e_8(void **state)
{
    (void)state;
    for (int i = -1400000; i <= 1400000; i++) {
        const float x = (float)i * 1e-5f;
        float bell;
        const double got = (double)vm_normal(x, &bell);
        if (fabs(got - 0.5 * erfc(-(double)x * 0.7071067811865476)) > 9e-8)
            fail_msg("P(Z <= %.9g) = %.9g", (double)x, got);
        if (fabs((double)bell - exp(-0.5 * (double)x * (double)x)) > 2e-7)
            fail_msg("bell(%.9g) = %.9g", (double)x, (double)bell);
    }
    float bell;
    assert_true(vm_normal(40.0f, &bell) == 1.0f && bell == 0.0f);
    assert_true(vm_normal(-40.0f, &bell) == 0.0f && bell == 0.0f);
    assert_true(isnan(vm_normal(NAN, &bell)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_one_ulp),
        cmocka_unit_test(exp_ends_at_its_borders),
        cmocka_unit_test(log_is_within_one_ulp),
        cmocka_unit_test(tanh_is_within_two_ulps),
        cmocka_unit_test(the_normal_distribution_is_exact_to_9e_8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
