#include "tests/worker/kernels/support.h"

#include "common/model/arch.h"

static const int64_t sizes[][2] = { { 1, 1 }, { 3, 17 }, { 17, 3 }, { 5, 65 }, { 65, 130 }, { 300, 130 } };

static const Activation kinds[] = {
    ACT_GELU, ACT_GELU_TANH, ACT_GELU_FAST, ACT_QUICK_GELU, ACT_RELU, ACT_SILU, ACT_TANH
};

/* The definitions, in double (Transformers' activations.py). */
static double value(Activation kind, double x)
{
    switch (kind) {
    case ACT_GELU:
        return 0.5 * x * erfc(-x * 0.7071067811865476);
    case ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case ACT_GELU_FAST:
        return 0.5 * x * (1.0 + tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)));
    case ACT_QUICK_GELU:
        return x / (1.0 + exp(-1.702 * x));
    case ACT_RELU:
        return x > 0.0 ? x : 0.0;
    case ACT_SILU:
        return x / (1.0 + exp(-x));
    case ACT_TANH:
        return tanh(x);
    }
    return NAN;
}

/* By central difference; relu's corner is left to the caller. */
static double slope(Activation kind, double x)
{
    const double h = 1e-5;
    return (value(kind, x + h) - value(kind, x - h)) / (2.0 * h);
}

static void forward_adds_the_bias_and_keeps_the_sum(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], F = sizes[s][1];
        float *x = random_new(N * F, 2.0f, 1), *bias = random_new(F, 1.0f, 2);
        float *y = guarded_new(N * F), *pre = guarded_new(N * F);
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            kernels->bias_act_forward(y, pre, x, bias, N, F, kinds[k]);
            for (int64_t i = 0; i < N * F; i++) {
                assert_true(pre[i] == x[i] + bias[i % F]);
                check_near("y", i, (double)y[i], value(kinds[k], (double)pre[i]), 5e-7);
            }
        }
        guarded_free(x, N * F);
        guarded_free(bias, F);
        guarded_free(y, N * F);
        guarded_free(pre, N * F);
    }
}

static void forward_works_in_place_and_without_bias(void **state)
{
    (void)state;
    enum { N = 5, F = 65 };
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        float *x = random_new(N * F, 2.0f, 1), *bias = random_new(F, 1.0f, 2);
        float *y = guarded_new(N * F), *pre = guarded_new(N * F), *in_place = random_new(N * F, 2.0f, 1);
        kernels->bias_act_forward(y, pre, x, bias, N, F, kinds[k]);
        kernels->bias_act_forward(in_place, NULL, in_place, bias, N, F, kinds[k]);
        check_same_bits("y in place", in_place, y, N * F);
        kernels->bias_act_forward(in_place, NULL, pre, NULL, N, F, kinds[k]);
        check_same_bits("y without bias", in_place, y, N * F);
        kernels->bias_act_forward(y, x, x, bias, N, F, kinds[k]); /* the sum over its input */
        check_same_bits("pre", x, pre, N * F);
        check_same_bits("y with pre over x", in_place, y, N * F);
        guarded_free(x, N * F);
        guarded_free(bias, F);
        guarded_free(y, N * F);
        guarded_free(pre, N * F);
        guarded_free(in_place, N * F);
    }
}

static void backward_multiplies_by_the_slope(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], F = sizes[s][1];
        float *pre = random_new(N * F, 2.0f, 1), *dy = random_new(N * F, 1.0f, 2);
        float *dx = guarded_new(N * F);
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            kernels->act_backward(dx, dy, pre, N, F, kinds[k]);
            for (int64_t i = 0; i < N * F; i++) {
                if (fabsf(pre[i]) > 1e-4f)
                    check_near("dx", i, (double)dx[i], (double)dy[i] * slope(kinds[k], (double)pre[i]), 2e-6);
            }
        }
        kernels->act_backward(dy, dy, pre, N, F, ACT_TANH);
        check_same_bits("dx over dy", dy, dx, N * F);
        guarded_free(pre, N * F);
        guarded_free(dy, N * F);
        guarded_free(dx, N * F);
    }
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    enum { N = 300, F = 130 };
    float *x = random_new(N * F, 2.0f, 1), *one = guarded_new(N * F), *two = guarded_new(N * F);
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        omp_set_num_threads(1);
        kernels->bias_act_forward(one, NULL, x, NULL, N, F, kinds[k]);
        kernels->act_backward(one, one, x, N, F, kinds[k]);
        omp_set_num_threads(2);
        kernels->bias_act_forward(two, NULL, x, NULL, N, F, kinds[k]);
        kernels->act_backward(two, two, x, N, F, kinds[k]);
        check_same_bits("dx", one, two, N * F);
    }
    guarded_free(x, N * F);
    guarded_free(one, N * F);
    guarded_free(two, N * F);
}

/* Rows of gate | up; every kind, with a bias and without, with the sum over its input. */
static void gated_forward_multiplies_up_by_the_gates_value(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], F = sizes[s][1], size = 2 * N * F;
        float *x = random_new(size, 2.0f, 1), *bias = random_new(2 * F, 1.0f, 2);
        float *y = guarded_new(N * F), *again = guarded_new(N * F), *pre = guarded_new(size);
        for (size_t k = 0; k < 2 * COUNT_OF(kinds); k++) {
            const Activation kind = kinds[k / 2];
            const float *b = k % 2 ? bias : NULL;
            kernels->gated_act_forward(y, pre, x, b, N, F, kind);
            for (int64_t i = 0; i < size; i++)
                assert_true(pre[i] == (b ? x[i] + b[i % (2 * F)] : x[i]));
            for (int64_t i = 0; i < N * F; i++) {
                const int64_t gate = i / F * 2 * F + i % F;
                check_near("y", i, (double)y[i], value(kind, (double)pre[gate]) * (double)pre[gate + F], 1e-6);
            }
            float *over = random_new(size, 2.0f, 1);
            kernels->gated_act_forward(again, over, over, b, N, F, kind);
            check_same_bits("pre over x", over, pre, size);
            for (int64_t i = 0; i < N * F; i++)
                check_near("y", i, (double)again[i], (double)y[i], 1e-6);
            guarded_free(over, size);
        }
        guarded_free(x, size);
        guarded_free(bias, 2 * F);
        guarded_free(y, N * F);
        guarded_free(again, N * F);
        guarded_free(pre, size);
    }
}

static void gated_backward_equals_finite_differences(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t N = sizes[s][0], F = sizes[s][1], size = 2 * N * F;
        float *dy = random_new(N * F, 1.0f, 2), *dpre = guarded_new(size);
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            float *pre = random_new(size, 2.0f, 1);
            kernels->gated_act_backward(dpre, dy, pre, N, F, kinds[k]);
            for (int64_t i = 0; i < N * F; i++) {
                const int64_t at = i / F * 2 * F + i % F;
                const double gate = (double)pre[at], up = (double)pre[at + F], d = (double)dy[i];
                if (fabs(gate) > 1e-4) /* relu's corner */
                    check_near("dgate", at, (double)dpre[at], d * up * slope(kinds[k], gate), 5e-6);
                check_near("dup", at, (double)dpre[at + F], d * value(kinds[k], gate), 2e-6);
            }
            kernels->gated_act_backward(pre, dy, pre, N, F, kinds[k]);
            for (int64_t i = 0; i < size; i++)
                check_near("dpre over pre", i, (double)pre[i], (double)dpre[i], 1e-6);
            guarded_free(pre, size);
        }
        guarded_free(dy, N * F);
        guarded_free(dpre, size);
    }
}

static void gated_on_two_threads_gives_the_bits_of_one(void **state)
{
    (void)state;
    enum { N = 300, F = 130 };
    float *x = random_new(2 * N * F, 2.0f, 1), *y[2], *dpre[2];
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (int t = 0; t < 2; t++) {
            y[t] = guarded_new(N * F);
            dpre[t] = guarded_new(2 * N * F);
            omp_set_num_threads(1 + t);
            kernels->gated_act_forward(y[t], dpre[t], x, NULL, N, F, kinds[k]);
            kernels->gated_act_backward(dpre[t], y[t], x, N, F, kinds[k]);
        }
        check_same_bits("y", y[0], y[1], N * F);
        check_same_bits("dpre", dpre[0], dpre[1], 2 * N * F);
        for (int t = 0; t < 2; t++) {
            guarded_free(y[t], N * F);
            guarded_free(dpre[t], 2 * N * F);
        }
    }
    guarded_free(x, 2 * N * F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_adds_the_bias_and_keeps_the_sum),
        cmocka_unit_test(forward_works_in_place_and_without_bias),
        cmocka_unit_test(backward_multiplies_by_the_slope),
        cmocka_unit_test(two_threads_give_the_bits_of_one),
        cmocka_unit_test(gated_forward_multiplies_up_by_the_gates_value),
        cmocka_unit_test(gated_backward_equals_finite_differences),
        cmocka_unit_test(gated_on_two_threads_gives_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
