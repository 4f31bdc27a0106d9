/* Gradients that come in pieces: in any order, twice, of several clients at once. */
#include "ps/pieces.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIECES = 3, SIZE = 2 * WIRE_PIECE + 7 };

static PiecesAnswer add(GradientPieces *pieces, float **gradient, uint64_t client, Range range, int piece)
{
    const int64_t at = (int64_t)piece * WIRE_PIECE, n = msg_piece(SIZE, at);
    Msg push = { .type = MSG_PUSH, .client = client, .range = { range }, .range_count = 1, .at = at };
    float *data = xcalloc((size_t)n, sizeof *data);
    for (int64_t i = 0; i < n; i++)
        data[i] = (float)(at + i) + (float)client;
    push.data = data;
    push.size = (size_t)n * sizeof *data;
    const PiecesAnswer answer = pieces_add(pieces, gradient, &push, SIZE);
    msg_release(&push);
    return answer;
}

static void expect_whole(float *gradient, uint64_t client)
{
    for (int64_t i = 0; i < SIZE; i++)
        assert_true(gradient[i] == (float)i + (float)client);
    free(gradient);
}

static void a_gradient_is_whole_with_its_last_piece(void **state)
{
    (void)state;
    GradientPieces pieces = { 0 };
    float *gradient = NULL;
    const Range a = { 0, 4 }, b = { 4, 8 };
    assert_int_equal(add(&pieces, &gradient, 1, a, 2), PIECES_MORE);
    assert_int_equal(add(&pieces, &gradient, 2, b, 0), PIECES_MORE);
    assert_int_equal(add(&pieces, &gradient, 1, a, 0), PIECES_MORE);
    assert_int_equal(add(&pieces, &gradient, 1, a, 0), PIECES_MORE); /* again: an answer was lost */
    assert_int_equal(add(&pieces, &gradient, 2, b, 2), PIECES_MORE);
    assert_int_equal(add(&pieces, &gradient, 1, a, 1), PIECES_WHOLE);
    expect_whole(gradient, 1);
    assert_int_equal(add(&pieces, &gradient, 2, b, 1), PIECES_WHOLE);
    expect_whole(gradient, 2);
    assert_int_equal(pieces.count, 0);
    pieces_release(&pieces);
}

/* Who begins another range, or is gone, or came too late for the step, leaves nothing of what it had begun. */
static void what_is_given_up_is_begun_anew(void **state)
{
    (void)state;
    GradientPieces pieces = { 0 };
    float *gradient = NULL;
    const Range a = { 0, 4 }, b = { 4, 8 };
    for (int way = 0; way < 3; way++) {
        assert_int_equal(add(&pieces, &gradient, 1, a, 0), PIECES_MORE);
        if (way == 0)
            assert_int_equal(add(&pieces, &gradient, 1, b, 0), PIECES_MORE);
        else if (way == 1)
            pieces_drop(&pieces, 1);
        else
            pieces_clear(&pieces);
        assert_int_equal(add(&pieces, &gradient, 1, a, 1), PIECES_MORE);
        assert_int_equal(add(&pieces, &gradient, 1, a, 2), PIECES_MORE);
        assert_int_equal(add(&pieces, &gradient, 1, a, 0), PIECES_WHOLE);
        expect_whole(gradient, 1);
    }
    assert_int_equal(pieces.count, 0);
    pieces_release(&pieces);
}

static void what_is_kept_is_the_next_ones_room(void **state)
{
    (void)state;
    GradientPieces pieces = { 0 };
    float *gradient = NULL, *kept = xcalloc(SIZE, sizeof *kept);
    const Range a = { 0, 4 };
    pieces_keep(&pieces, xcalloc(SIZE, sizeof *kept));
    pieces_keep(&pieces, kept);
    pieces_clear(&pieces);
    for (int piece = 0; piece < PIECES; piece++)
        add(&pieces, &gradient, 1, a, piece);
    assert_ptr_equal(gradient, kept);
    pieces_keep(&pieces, gradient);
    pieces_release(&pieces);
    assert_null(pieces.spare);
}

static void pieces_tile_a_buffer(void **state)
{
    (void)state;
    assert_int_equal(msg_piece(SIZE, 0), WIRE_PIECE);
    assert_int_equal(msg_piece(SIZE, 2 * WIRE_PIECE), 7);
    assert_int_equal(msg_piece(SIZE, 3 * WIRE_PIECE), 0);
    assert_int_equal(msg_piece(SIZE, 1), 0);
    assert_int_equal(msg_piece(SIZE, -1), 0);
    assert_int_equal(msg_piece(5, 0), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gradient_is_whole_with_its_last_piece),
        cmocka_unit_test(what_is_given_up_is_begun_anew),
        cmocka_unit_test(what_is_kept_is_the_next_ones_room),
        cmocka_unit_test(pieces_tile_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
