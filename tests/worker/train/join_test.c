/* Pieces of sums, cut anywhere, beside the sum from the root of the tree. */
#include "worker/train/join.h"

#include "common/base/rng.h"
#include "common/slots/tree.h"
#include "common/tensor/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 3, MOST = 21, DRAWS = 40 };

static WireDtype dtype; /* of the sums */

static void round_all(float grad[SIZE])
{
    for (int i = 0; dtype == WIRE_BF16 && i < SIZE; i++) {
        const uint32_t bits = (uint32_t)tensor_bf16(grad[i]) << 16;
        memcpy(grad + i, &bits, sizeof bits);
    }
}

/* What micro-batch m gives; the deviations lie so far apart that another order has other bits. */
static JoinPiece leaf(int64_t m, float grad[SIZE])
{
    static const float deviations[] = { 1.0F, 1e-3F, 1e4F, 0.1F, 30.0F };
    rng_normal(grad, SIZE, deviations[m % 5], rng_key(3, 0, m, 0));
    round_all(grad);
    return (JoinPiece){ { { m, m + 1 }, 10 * m + 3, (double)m + 1, 0.25 * (double)m }, grad };
}

/* Left half + right half at every node, the halves of the next power of two: the definition. */
static void add_from_the_root(float out[SIZE], int64_t begin, int64_t width, int64_t M)
{
    if (width == 1) {
        leaf(begin, out);
        return;
    }
    const int64_t middle = begin + width / 2;
    add_from_the_root(out, begin, width / 2, M);
    if (middle >= M)
        return;
    float right[SIZE];
    add_from_the_root(right, middle, width / 2, M);
    for (int i = 0; i < SIZE; i++)
        out[i] += right[i];
    round_all(out);
}

static int64_t width_of(int64_t begin, int64_t end, int64_t M)
{
    int64_t width = 1;
    while (begin + width < end || (end < M && begin + width > end))
        width *= 2;
    return width;
}

/* Nodes that a range falls into at the least. */
static int nodes_in(int64_t begin, int64_t end, int64_t M)
{
    int count = 0;
    for (; begin < end; count++)
        begin = tree_node_end(begin, end, M);
    return count;
}

static void expect_piece(const JoinPiece *piece, int64_t M)
{
    const Range at = piece->sum.range;
    float want[SIZE];
    assert_true(tree_is_node(at.begin, at.end, M));
    add_from_the_root(want, at.begin, width_of(at.begin, at.end, M), M);
    assert_memory_equal(piece->grad, want, sizeof want);
    int64_t count = 0, tokens = 0;
    double loss = 0;
    for (int64_t m = at.begin; m < at.end; m++) {
        count += m + 1;
        tokens += 10 * m + 3;
        loss += 0.25 * (double)m;
    }
    assert_true(piece->sum.weight == (double)count);
    assert_int_equal(piece->sum.tokens, tokens);
    assert_true(piece->sum.loss == loss); /* quarters: exact */
}

/* One piece a micro-batch, as of a rank each. */
static void expect_joined(int64_t begin, int64_t end, int64_t M)
{
    float grads[MOST][SIZE];
    JoinPiece pieces[MOST];
    int count = 0;
    for (int64_t m = begin; m < end; m++) {
        pieces[count++] = leaf(m, grads[m]);
        count = join_siblings(pieces, count, M, SIZE, dtype);
    }
    assert_int_equal(count, nodes_in(begin, end, M));
    int64_t at = begin;
    for (int i = 0; i < count; i++) {
        assert_int_equal(pieces[i].sum.range.begin, at);
        expect_piece(&pieces[i], M);
        at = pieces[i].sum.range.end;
    }
    assert_int_equal(at, end);
}

static void any_range_of_any_tree_becomes_its_largest_nodes(void **state)
{
    (void)state;
    for (dtype = WIRE_FP32; dtype <= WIRE_BF16; dtype++)
        for (int64_t M = 1; M <= MOST; M++)
            for (int64_t begin = 0; begin < M; begin++)
                for (int64_t end = begin + 1; end <= M; end++)
                    expect_joined(begin, end, M);
    dtype = WIRE_FP32;
}

/* Ranks that cut [0, M) anywhere have joined their own parts before. */
static void a_whole_step_is_one_piece_however_ranks_cut_it(void **state)
{
    (void)state;
    for (int64_t M = 1; M <= MOST; M++)
        for (uint32_t draw = 0; draw < DRAWS; draw++) {
            float grads[MOST][SIZE];
            JoinPiece all[MOST], part[MOST];
            int count = 0;
            for (int64_t at = 0; at < M;) {
                const int64_t stop = at + 1 + rng_bits(rng_key(M, draw, 0, 0), (uint32_t)at) % (M - at);
                int own = 0;
                for (; at < stop; at++) {
                    part[own++] = leaf(at, grads[at]);
                    own = join_siblings(part, own, M, SIZE, dtype);
                }
                for (int i = 0; i < own; i++) {
                    all[count++] = part[i];
                    count = join_siblings(all, count, M, SIZE, dtype);
                }
            }
            assert_int_equal(count, 1);
            assert_int_equal(all[0].sum.range.begin, 0);
            assert_int_equal(all[0].sum.range.end, M);
            expect_piece(&all[0], M);
        }
}

static void neighbours_that_are_no_siblings_stay_apart(void **state)
{
    (void)state;
    float grads[4][SIZE], kept[4][SIZE];
    JoinPiece pieces[4];
    static const int64_t pairs[][2] = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 0, 2 } }; /* of 8: cousins; a gap */
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        for (int k = 0; k < 2; k++) {
            pieces[k] = leaf(pairs[i][k], grads[k]);
            memcpy(kept[k], grads[k], sizeof kept[k]);
        }
        assert_int_equal(join_siblings(pieces, 2, 8, SIZE, WIRE_FP32), 2);
        assert_memory_equal(grads, kept, 2 * sizeof *grads);
    }
}

int main(void)
{
    alarm(20); /* the parent of a range that is no node is sought for ever */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_range_of_any_tree_becomes_its_largest_nodes),
        cmocka_unit_test(a_whole_step_is_one_piece_however_ranks_cut_it),
        cmocka_unit_test(neighbours_that_are_no_siblings_stay_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
