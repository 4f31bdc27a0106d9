/* What a profile counts: calls, operations and pairs of attention beside plain loops; nothing twice, nothing of the
 * first step, nothing outside a phase; and no bit of a result. */
#include "tests/worker/kernels/support.h"

#include "common/base/profile.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/profiled.h"
#include "worker/layers/frozen.h"

#include <string.h>

static const ProfileSpot *spot(const char *name, int64_t rows, int64_t columns)
{
    const Profile *p = profile_seen();
    for (int i = 0; i < p->kernels; i++)
        if (strcmp(p->kernel[i].name, name) == 0 && p->kernel[i].rows == rows && p->kernel[i].columns == columns)
            return &p->kernel[i];
    return NULL;
}

/* Two steps: what is counted is the second. */
static void step_begin(int64_t step)
{
    profile_step(step);
    profile_phase(profile_computing);
}

enum { N = 5, O = 7, I = 3 };

static void products(float *y)
{
    float x[N * I], w[O * I];
    for (int i = 0; i < N * I; i++)
        x[i] = (float)i;
    for (int i = 0; i < O * I; i++)
        w[i] = (float)(i % 4);
    gemm_nt(y, O, x, I, w, I, N, O, I, 1, 0);
    gemm_nt(y, O, x, I, w, I, 1, O, I, 1, 0); /* one row: another kernel, within none */
}

static void products_are_counted_once_and_by_size(void **state)
{
    (void)state;
    float before[N * O], y[N * O];
    products(before);
    assert_null(profile_seen());
    profile_start();
    profiled_use();
    products(y); /* no phase yet */
    step_begin(10);
    products(y);
    step_begin(11);
    products(y);
    products(y);
    profile_phase("afterwards");
    step_begin(12);
    products(y);
    profile_phase(NULL);
    products(y);
    assert_memory_equal(y, before, sizeof y);

    const Profile *p = profile_seen();
    const ProfileSpot *s = spot("x W^T", O, I), *row = spot("x W^T, few rows", O, I);
    assert_int_equal(p->steps, 2);
    assert_int_equal(p->kernels, 2);
    assert_int_equal(s->calls, 3);
    assert_true(s->flops == 3 * 2.0 * N * O * I && s->bytes == 3 * 4.0 * (N * I + O * I + N * O));
    assert_int_equal(row->calls, 3);
    assert_true(row->flops == 3 * 2.0 * O * I);
    assert_int_equal(p->phases, 2);
    assert_int_equal(p->phase[0].calls, 2);
    assert_true(s->seconds + row->seconds <= p->phase[0].seconds);
    assert_int_equal(p->kept_step, 11);
    int kernels_kept = 0;
    for (int64_t i = 0; i < p->events; i++)
        kernels_kept += p->event[i].spot >= 0;
    assert_int_equal(kernels_kept, 4);
    assert_int_equal(p->events, 4 + 1); /* and the phase that ended in it */
}

/* One step more, of one attention: its operations, as a loop over all pairs counts them. */
static void check_attention(int64_t step, bool causal, int64_t window, int64_t keys)
{
    enum { B = 2, T = 9, H = 2, D = 4, WIDTH = 3 * H * D };
    const int64_t start[] = { 0, 4, 4 + T }, k_end[] = { keys < 4 ? keys : 4, keys };
    const Rows rows = { B, start[B], T, start };
    const AttentionShape shape = { .H = H,
                                   .K = H,
                                   .D = D,
                                   .ldqkv = WIDTH,
                                   .ldout = H * D,
                                   .scale = 1,
                                   .causal = causal,
                                   .window = window,
                                   .k_end = keys < T ? k_end : NULL,
                                   .threads = 1 };
    float qkv[(4 + T) * WIDTH] = { 0 }, out[(4 + T) * H * D], lse[(4 + T) * H];
    int64_t pairs = 0;
    for (int b = 0; b < B; b++)
        for (int64_t i = 0; i < start[b + 1] - start[b]; i++)
            for (int64_t j = 0; j < start[b + 1] - start[b] && j < (keys < T ? k_end[b] : T); j++)
                pairs += !(causal && j > i) && !(window > 0 && (j <= i - window || j >= i + window));
    void *scratch = xcalloc(1, (size_t)kernels->attention_scratch(&shape, T, 1));
    const double before = spot("attention, forward", H, D) ? spot("attention, forward", H, D)->flops : 0;
    step_begin(step);
    kernels->attention_forward(out, lse, qkv, &rows, &shape, (Dropout){ 0 }, scratch);
    profile_phase(NULL);
    assert_true(spot("attention, forward", H, D)->flops - before == 2.0 * 2 * D * H * (double)pairs);
    free(scratch);
}

static void attention_counts_the_pairs_that_are_seen(void **state)
{
    (void)state;
    check_attention(13, false, 0, 9);
    check_attention(14, true, 0, 9);
    check_attention(15, true, 3, 9);
    check_attention(16, false, 3, 9);
    check_attention(17, false, 0, 5);
    assert_int_equal(profile_seen()->lost, 0);
}

static void a_product_of_the_base_is_not_a_product_besides(void **state)
{
    (void)state;
    float x[N * I] = { 1 }, w[O * I] = { 2 }, y[N * O], dx[N * I];
    const Frozen base = frozen_of_floats(w, O, I);
    const int64_t before = spot("x W^T", O, I)->calls;
    step_begin(18);
    frozen_product(y, O, x, &base, N, false, NULL);
    frozen_pull(dx, y, O, &base, N, 0, NULL);
    profile_phase(NULL);
    assert_int_equal(spot("x W^T", O, I)->calls, before);
    assert_null(spot("y W", O, I));
    assert_true(spot("base: x W^T", O, I)->flops == 2.0 * N * O * I && spot("base: y W", O, I)->calls == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_counted_once_and_by_size),
        cmocka_unit_test(attention_counts_the_pairs_that_are_seen),
        cmocka_unit_test(a_product_of_the_base_is_not_a_product_besides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
