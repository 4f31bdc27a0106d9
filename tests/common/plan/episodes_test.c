/* Which rows an episode is of: whole tasks in torch's order, cut one behind the other, whoever asks for which. */
#include "common/plan/episodes.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { FIRST = 26, SECOND = 13, ROWS = FIRST + SECOND, BATCH = 3, BATCHES = 4, SIZE = BATCH * BATCHES };

static const char *const names[] = { "mood", "words" };
static const int64_t ends[] = { FIRST, ROWS };

/* Row i of what is trained on is row 100 + 2 i of the data set. */
static void set_rows(uint32_t rows[ROWS])
{
    for (uint32_t i = 0; i < ROWS; i++)
        rows[i] = 100 + 2 * i;
}

static EpisodesOptions options_of(const uint32_t *rows, int64_t per_step)
{
    return (EpisodesOptions){ rows, ends, names, 2, BATCH, BATCHES, per_step, 7, true };
}

static Episodes *open_episodes(const EpisodesOptions *o)
{
    Err err = { 0 };
    Episodes *e = episodes_open(o, &err);
    if (!e)
        fail_msg("%s", err.what);
    return e;
}

/* Episode x of an epoch: two of the first task, then one of the second, each from torch's permutation of its task. */
static void expect_episode(const uint32_t *got, int64_t epoch, uint32_t x)
{
    uint32_t order[FIRST];
    const bool second = x == 2;
    rng_torch_randperm(order, second ? SECOND : FIRST, (uint64_t)(7 + epoch));
    for (int i = 0; i < SIZE; i++)
        assert_int_equal(got[i], 100 + 2 * ((second ? FIRST : 0) + order[(second ? 0 : (int)x * SIZE) + i]));
}

static void an_epoch_is_cut_and_dealt(void **state)
{
    (void)state;
    uint32_t data[ROWS], deal[3];
    set_rows(data);
    const EpisodesOptions o = options_of(data, 2);
    Episodes *e = open_episodes(&o);
    assert_int_equal(episodes_count(e), 3);
    for (int64_t epoch = 3; epoch >= 0; epoch--) { /* whichever was asked for before */
        const uint32_t *rows;
        rng_torch_randperm(deal, 3, (uint64_t)(7 + epoch));
        for (int64_t at = 0; at < 3; at++) {
            assert_int_equal(episodes_rows(e, 2 * epoch + at / 2, at % 2, &rows), SIZE);
            expect_episode(rows, epoch, deal[at]);
        }
        assert_int_equal(episodes_rows(e, 2 * epoch + 1, 1, &rows), 0); /* the last step of an epoch is short */
    }
    episodes_close(e);
}

static void an_order_may_be_the_files(void **state)
{
    (void)state;
    uint32_t data[ROWS];
    const uint32_t *rows;
    set_rows(data);
    EpisodesOptions o = options_of(data, 3);
    o.shuffle = false;
    Episodes *e = open_episodes(&o);
    const int at[] = { 0, SIZE, FIRST };
    for (int m = 0; m < 3; m++) {
        assert_int_equal(episodes_rows(e, 5, m, &rows), SIZE);
        assert_memory_equal(rows, data + at[m], SIZE * sizeof *rows);
    }
    episodes_close(e);
}

/* The three longest rows of the task where they are the longest. */
static void the_largest_batch_is_known(void **state)
{
    (void)state;
    uint32_t data[ROWS];
    int64_t start[100 + 2 * ROWS + 2] = { 0 };
    set_rows(data);
    const EpisodesOptions o = options_of(data, 2);
    Episodes *e = open_episodes(&o);
    for (size_t i = 0; i + 1 < sizeof start / sizeof *start; i++)
        start[i + 1] = start[i] + (i == 102 ? 50 : i == 100 + 2 * FIRST || i == 104 + 2 * FIRST ? 40 : 5);
    assert_int_equal(episodes_most_tokens(e, start), 40 + 40 + 5);
    episodes_close(e);
}

static void a_task_has_an_episode(void **state)
{
    (void)state;
    uint32_t data[ROWS];
    Err err = { 0 };
    set_rows(data);
    EpisodesOptions o = options_of(data, 2);
    o.batches = 5;
    assert_null(episodes_open(&o, &err));
    assert_string_equal(err.what, "an episode is 5 batches of 3 rows, and the task has 13 rows");
    assert_string_equal(err.where, "tasks.words");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_is_cut_and_dealt),
        cmocka_unit_test(an_order_may_be_the_files),
        cmocka_unit_test(the_largest_batch_is_known),
        cmocka_unit_test(a_task_has_an_episode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
