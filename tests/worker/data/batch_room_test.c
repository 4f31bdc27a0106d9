/* Rows of a data set as a batch: end to end, each with what belongs to it. */
#include "worker/data/batch_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Rows of 2, 1, 3 and 1 tokens. */
static const int64_t start[] = { 0, 2, 3, 6, 7 };
static const int32_t ids[] = { 10, 11, 20, 30, 31, 32, 40 }, types[] = { 0, 1, 0, 0, 0, 1, 0 };
static const int32_t token_goal[] = { -100, 1, 2, 3, -100, 4, 5 };
static const float goal[] = { 1, 0, 0, 1, 0.5F, 0.25F, 1, 1 };

static const Dataset of_labels = {
    .count = 4, .goal_width = 2, .start = start, .ids = ids, .types = types, .goal = goal
};
static const Dataset of_tokens = { .count = 4, .start = start, .ids = ids, .token_goal = token_goal };

static BatchRoom open_room(int64_t goal_width)
{
    const BatchSize size = { 16, 4, goal_width, 0 };
    BatchRoom room = { 0 };
    Err err = { 0 };
    assert_true(batch_room(&room, &size, &err));
    return room;
}

/* Dropout is drawn by it: the same row has the same masks wherever it stands. */
static void expect_examples(const Batch *batch, const int64_t *want)
{
    for (int64_t b = 0; b < batch->B; b++)
        assert_int_equal(batch->example[b], want[b]);
}

static void rows_lie_end_to_end_with_their_numbers(void **state)
{
    (void)state;
    BatchRoom room = open_room(2);
    const uint32_t rows[] = { 2, 0, 3 };
    const Batch batch = batch_fill(&room, &of_labels, rows, 3, 0);
    assert_int_equal(batch.B, 3);
    assert_int_equal(batch.N, 6);
    assert_memory_equal(batch.start, ((int64_t[]){ 0, 3, 5, 6 }), 4 * sizeof(int64_t));
    assert_memory_equal(batch.ids, ((int32_t[]){ 30, 31, 32, 10, 11, 40 }), 6 * sizeof(int32_t));
    assert_memory_equal(batch.types, ((int32_t[]){ 0, 0, 1, 0, 1, 0 }), 6 * sizeof(int32_t));
    assert_memory_equal(batch.goal, ((float[]){ 0.5F, 0.25F, 1, 0, 1, 1 }), 6 * sizeof(float));
    expect_examples(&batch, (int64_t[]){ 2, 0, 3 });
    assert_null(batch.token_goal);
    batch_release(&room);
}

static void room_is_used_again(void **state)
{
    (void)state;
    BatchRoom room = open_room(0);
    const uint32_t all[] = { 0, 1, 2, 3 }, one[] = { 1 };
    batch_fill(&room, &of_tokens, all, 4, 0);
    const Batch batch = batch_fill(&room, &of_tokens, one, 1, 0);
    assert_int_equal(batch.N, 1);
    assert_int_equal(batch.start[1], 1);
    assert_int_equal(batch.ids[0], 20);
    assert_int_equal(batch.token_goal[0], 2);
    expect_examples(&batch, (int64_t[]){ 1 });
    assert_null(batch.goal);
    assert_null(batch.types);
    batch_release(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_lie_end_to_end_with_their_numbers),
        cmocka_unit_test(room_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
