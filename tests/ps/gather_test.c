/* What the server holds of a step's sums: those that wait for their sibling, and nothing else. */
#include "ps/gather.h"

#include "common/base/mem.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { M = 8, SIZE = 1 << 18 }; /* 1 MB a sum */

/* Sums that are allocated, by the C library's count. The sanitizers' allocators are not in it: 0. */
static int64_t sums_held(size_t before)
{
    const struct mallinfo2 info = mallinfo2();
    return (int64_t)(info.uordblks + info.hblkhd - before) / (SIZE * (int64_t)sizeof(float));
}

static void add(Gather *gather, int64_t m)
{
    Err err = { 0 };
    GatherSum sum = { .gradient = mem_alloc(SIZE * sizeof(float), &err), .weight = 1, .tokens = 2, .loss = 0.5 };
    assert_non_null(sum.gradient);
    for (int64_t i = 0; i < SIZE; i++)
        sum.gradient[i] = (float)(m + 1);
    assert_int_equal(gather_add(gather, m, m + 1, &sum), GATHER_KEPT);
    assert_null(sum.gradient);
}

static void sums_that_wait_for_nobody_are_given_back(void **state)
{
    (void)state;
    static const int most[M] = { 1, 1, 2, 1, 2, 2, 3, 1 }; /* whole subtrees of the first leaves */
    Gather gather;
    gather_init(&gather, M, SIZE, WIRE_FP32);
    const struct mallinfo2 info = mallinfo2();
    const size_t before = info.uordblks + info.hblkhd;
    for (int step = 0; step < 3; step++) {
        for (int64_t m = 0; m < M; m++) {
            assert_null(gather_root(&gather));
            add(&gather, m);
            assert_true(sums_held(before) <= most[m]);
        }
        const GatherSum *root = gather_root(&gather);
        assert_non_null(root);
        assert_true(root->weight == M && root->tokens == 2 * M && root->loss == 0.5 * M);
        assert_true(root->gradient[0] == 36 && root->gradient[SIZE - 1] == 36);
        gather_clear(&gather);
        assert_int_equal(sums_held(before), 0);
    }
    gather_release(&gather);
}

static void what_is_known_or_no_node_stays_the_callers(void **state)
{
    (void)state;
    float one[1] = { 1 };
    Gather gather;
    gather_init(&gather, 4, 1, WIRE_FP32);
    GatherSum whole = { .gradient = malloc(sizeof *whole.gradient) }, again = { .gradient = one };
    whole.gradient[0] = 3;
    assert_int_equal(gather_add(&gather, 0, 2, &whole), GATHER_KEPT);
    assert_int_equal(gather_add(&gather, 1, 2, &again), GATHER_KNOWN);
    assert_int_equal(gather_add(&gather, 1, 3, &again), GATHER_NO_NODE);
    assert_ptr_equal(again.gradient, one);
    gather_release(&gather);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_that_wait_for_nobody_are_given_back),
        cmocka_unit_test(what_is_known_or_no_node_stays_the_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
