/* Rows that ask the same, in a data set made by hand. */
#include "worker/eval/references.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 7, TOKENS = 4 };

/* Prompts 5 6 | 5 6 | 5 | 5 6 | 7 8 of two turns | 5 6 | 5 7; what is behind them is learnt. */
static const int32_t ids[ROWS * TOKENS] = {
    5, 6, 1, 2, /* */
    5, 6, 3, 2, /* */
    5, 6, 1, 2, /* */
    5, 6, 4, 2, /* */
    5, 6, 1, 2, /* */
    5, 6, 1, 2, /* */
    5, 7, 1, 2,
};
static const int32_t goals[ROWS * TOKENS] = {
    -100, 1,    2,    -100, /* */
    -100, 3,    2,    -100, /* */
    6,    1,    2,    -100, /* the prompt is 5 alone */
    -100, 4,    2,    -100, /* */
    6,    -100, 2,    -100, /* two stretches: the prompt is 5 6 1 */
    -100, 1,    -100, -100, /* the last token is not learnt */
    -100, 1,    2,    -100,
};
static const int64_t starts[ROWS + 1] = { 0, 4, 8, 12, 16, 20, 24, 28 };
static const Dataset data = { .count = ROWS, .start = starts, .ids = ids, .token_goal = goals };

static References of(const uint32_t *rows, int64_t count)
{
    References r;
    Err err = { 0 };
    assert_true(references_open(&r, &data, rows, count, &err));
    return r;
}

static void a_row_asks_with_all_before_the_last_stretch_that_is_learnt(void **state)
{
    (void)state;
    const int64_t want[ROWS] = { 2, 2, 1, 2, 3, 2, 2 };
    for (int64_t row = 0; row < ROWS; row++)
        assert_int_equal(references_prompt(&data, row), want[row]);
}

static void rows_of_one_prompt_hang_together_wherever_they_stand(void **state)
{
    (void)state;
    References r = of(NULL, ROWS);
    const int64_t next[ROWS] = { 1, 3, -1, 5, -1, -1, -1 };
    const bool first[ROWS] = { true, false, true, false, true, false, true };
    for (int64_t row = 0; row < ROWS; row++) {
        assert_int_equal(r.next[row], next[row]);
        assert_int_equal(r.first[row], first[row]);
    }
    references_release(&r);
    assert_null(r.next);
    references_release(&r);
}

static void rows_that_are_not_evaluated_are_no_references(void **state)
{
    (void)state;
    const uint32_t held[] = { 5, 6, 1 };
    References r = of(held, 3);
    for (int64_t row = 0; row < ROWS; row++) {
        assert_int_equal(r.first[row], row == 5 || row == 6);
        assert_int_equal(r.next[row], row == 5 ? 1 : -1);
    }
    references_release(&r);
}

static void none_are_none(void **state)
{
    (void)state;
    References r = of((uint32_t[]){ 0 }, 0);
    for (int64_t row = 0; row < ROWS; row++)
        assert_false(r.first[row]);
    references_release(&r);
}

/* Beside a plain look at every pair. */
static void thousands_of_rows_hang_together_as_pairs_say(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    int32_t *tokens = calloc(2 * MANY, sizeof *tokens), *goal = calloc(2 * MANY, sizeof *goal);
    int64_t *start = calloc(MANY + 1, sizeof *start);
    uint32_t *rows = calloc(MANY, sizeof *rows);
    assert_true(tokens && goal && start && rows);
    uint32_t x = 7;
    for (int64_t i = 0; i < MANY; i++) {
        x = x * 1664525 + 1013904223;
        tokens[2 * i] = (int32_t)(x >> 22); /* 1,024 prompts */
        tokens[2 * i + 1] = goal[2 * i] = (int32_t)i;
        goal[2 * i + 1] = -100;
        start[i + 1] = 2 * (i + 1);
        rows[i] = (uint32_t)(i * 7 % MANY); /* not in order */
    }
    const Dataset set = { .count = MANY, .start = start, .ids = tokens, .token_goal = goal };
    References r;
    Err err = { 0 };
    assert_true(references_open(&r, &set, rows, MANY, &err));
    for (int64_t i = 0; i < MANY; i++) {
        int64_t next = -1;
        for (int64_t k = i + 1; next < 0 && k < MANY; k++)
            next = tokens[2 * rows[k]] == tokens[2 * rows[i]] ? (int64_t)rows[k] : -1;
        bool first = true;
        for (int64_t k = 0; k < i; k++)
            first = first && tokens[2 * rows[k]] != tokens[2 * rows[i]];
        assert_int_equal(r.next[rows[i]], next);
        assert_int_equal(r.first[rows[i]], first);
    }
    references_release(&r);
    free(tokens);
    free(goal);
    free(start);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_asks_with_all_before_the_last_stretch_that_is_learnt),
        cmocka_unit_test(rows_of_one_prompt_hang_together_wherever_they_stand),
        cmocka_unit_test(rows_that_are_not_evaluated_are_no_references),
        cmocka_unit_test(none_are_none),
        cmocka_unit_test(thousands_of_rows_hang_together_as_pairs_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
