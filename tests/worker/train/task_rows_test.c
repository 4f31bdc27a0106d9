/* How often the rows of several tasks come in an epoch. */
#include "worker/train/task_rows.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SMALL = 4, LARGE = 16, ROWS = SMALL + LARGE };

/* Tasks of 4 and of 16 rows: how many of each come, and that they are in order, each again from the first. */
static void check(TaskSampling sampling, double temperature, int64_t small, int64_t large)
{
    DataTask items[] = { { .first = 0, .labels = 2 }, { .first = 2, .labels = 3 } };
    Config config = { .tasks = { .items = items, .count = 2 } };
    float goal[ROWS];
    uint32_t *rows = xcalloc(ROWS, sizeof *rows);
    int64_t count = ROWS;
    config.data.sampling = sampling;
    config.data.sampling_temperature = temperature;
    for (uint32_t i = 0; i < ROWS; i++) {
        rows[i] = i;
        goal[i] = i < SMALL ? (float)(i % 2) : (float)(2 + i % 3);
    }
    rows = task_rows(&(Dataset){ .count = ROWS, .goal_width = 1, .goal = goal }, &config, rows, &count);
    assert_int_equal(count, small + large);
    for (int64_t i = 0; i < small; i++)
        assert_int_equal(rows[i], i % SMALL);
    for (int64_t i = 0; i < large; i++)
        assert_int_equal(rows[small + i], SMALL + i % LARGE);
    free(rows);
}

static void each_row_comes_once(void **state)
{
    (void)state;
    check(SAMPLING_PROPORTIONAL, 2, SMALL, LARGE);
    check(SAMPLING_TEMPERATURE, 1, SMALL, LARGE);
}

static void tasks_come_alike(void **state)
{
    (void)state;
    check(SAMPLING_EQUAL, 2, LARGE, LARGE);
}

/* The roots of 4 and 16 are as 1 to 2. */
static void a_temperature_lies_between(void **state)
{
    (void)state;
    check(SAMPLING_TEMPERATURE, 2, 8, LARGE);
    check(SAMPLING_TEMPERATURE, 1000, LARGE, LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_comes_once),
        cmocka_unit_test(tasks_come_alike),
        cmocka_unit_test(a_temperature_lies_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
