/* data.shots: so many rows of each class, drawn by the seed. */
#include "worker/train/rows.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ROWS = 30, USED = 24, LABELS = 3, SHOTS = 4 };

static char one[] = "bad", two[] = "good", three[] = "rare";
static char *names[] = { one, two, three };

static void set_goals(float goal[ROWS])
{
    for (int i = 0; i < ROWS; i++)
        goal[i] = (float)(i % LABELS);
}

/* Rows 5, 6 ... of the data set. */
static void set_rows(uint32_t rows[USED])
{
    for (uint32_t i = 0; i < USED; i++)
        rows[i] = 5 + i;
}

static void the_first_of_each_class_in_torchs_order(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        float goal[ROWS];
        uint32_t rows[USED], order[USED];
        bool want[ROWS] = { false };
        int left[LABELS] = { SHOTS, SHOTS, SHOTS };
        Err err = { 0 };
        set_goals(goal);
        set_rows(rows);
        rng_torch_randperm(order, USED, seed);
        for (int i = 0; i < USED; i++)
            if (left[(5 + order[i]) % LABELS]-- > 0)
                want[5 + order[i]] = true;
        const HeadArch head = { .labels = LABELS, .label_names = names };
        const Dataset data = { .count = ROWS, .goal_width = 1, .goal = goal };
        assert_int_equal(rows_of_classes(rows, USED, &data, &head, SHOTS, seed, &err), LABELS * SHOTS);
        int n = 0;
        for (uint32_t row = 0; row < ROWS; row++)
            if (want[row])
                assert_int_equal(rows[n++], row);
        assert_int_equal(n, LABELS * SHOTS);
    }
}

static void a_class_with_fewer_is_named(void **state)
{
    (void)state;
    float goal[ROWS];
    uint32_t rows[USED];
    Err err = { 0 };
    set_goals(goal);
    set_rows(rows);
    goal[8] = goal[11] = goal[14] = 0; /* were of the third class, which has 8 */
    const HeadArch head = { .labels = LABELS, .label_names = names };
    const Dataset data = { .count = ROWS, .goal_width = 1, .goal = goal };
    assert_int_equal(rows_of_classes(rows, USED, &data, &head, 6, 1, &err), -1);
    assert_string_equal(err.what, "there are 5 rows of class 'rare', and 6 are to be drawn");
    assert_string_equal(err.where, "data.shots");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_each_class_in_torchs_order),
        cmocka_unit_test(a_class_with_fewer_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
