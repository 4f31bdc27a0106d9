#include "common/optim/schedule.h"

#include "common/base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Learning rates that Transformers used, from the golden runs. */
static void check(const char *path, const Schedule *schedule)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *line = NULL;
    size_t room = 0;
    int64_t k = 0;
    while (getline(&line, &room, file) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        const double want = json_number_value(json_object_get(row, "learning_rate"));
        assert_true(fabs(schedule_rate(schedule, k) - want) <= 1e-12);
        json_decref(row);
        k++;
    }
    free(line);
    fclose(file);
    assert_int_equal(k, schedule->total);
}

static void linear_with_warmup_is_transformers(void **state)
{
    (void)state;
    check("tests/golden/bert-seqcls/expected/trajectory.jsonl",
          &(Schedule){ RATE_LINEAR, 0.02, schedule_warmup(5, 0.0, 52), 52 });
}

static void cosine_falls_from_the_rate_to_zero_with_half_at_the_middle(void **state)
{
    (void)state;
    const Schedule s = { RATE_COSINE, 2.0, schedule_warmup(0, 0.1, 101), 101 };
    assert_int_equal(s.warmup, 11);
    assert_true(schedule_rate(&s, 0) == 0.0);
    assert_true(schedule_rate(&s, 11) == 2.0);
    assert_true(fabs(schedule_rate(&s, 56) - 1.0) < 1e-12);
    assert_true(fabs(schedule_rate(&s, 101)) < 1e-12);
}

static void constant_rates_stay(void **state)
{
    (void)state;
    const Schedule plain = { RATE_CONSTANT, 0.5, 4, 10 };
    const Schedule warm = { RATE_CONSTANT_WITH_WARMUP, 0.5, 4, 10 };
    assert_true(schedule_rate(&plain, 0) == 0.5);
    assert_true(schedule_rate(&warm, 0) == 0.0);
    assert_true(schedule_rate(&warm, 1) == 0.125);
    assert_true(schedule_rate(&warm, 9) == 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_with_warmup_is_transformers),
        cmocka_unit_test(cosine_falls_from_the_rate_to_zero_with_half_at_the_middle),
        cmocka_unit_test(constant_rates_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
