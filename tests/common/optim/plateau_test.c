/* Learning rates behind each evaluation, beside torch's (golden/schedules/plateau.py), one group of rates and two. */
#include "common/optim/plateau.h"

#include "common/base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const json_t *of(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    if (!value)
        fail_msg("no %s", key);
    return value;
}

static Schedule schedule_of(const json_t *row, double rate)
{
    Schedule s;
    Err err = { 0 };
    if (!schedule_init(&s, RATE_REDUCE_ON_PLATEAU, rate, of(row, "lr_scheduler_kwargs"), &err))
        fail_msg("%s", err.what);
    return s;
}

/* rates: after evaluation i of each group, or of the only one. */
static void check_row(const json_t *row, const double *highest, int groups, const json_t *rates)
{
    const Schedule s = schedule_of(row, highest[0]);
    const json_t *metrics = of(row, "metrics");
    Plateau plateau = { 0 };
    assert_true(schedule_rate(&s, 7) == highest[0]);
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        plateau_evaluated(&plateau, &s, json_number_value(json_array_get(metrics, i)));
        const json_t *after = json_array_get(rates, i);
        for (int g = 0; g < groups; g++) {
            const double want = json_number_value(json_is_array(after) ? json_array_get(after, (size_t)g) : after),
                         got = plateau_rate(&s, highest[g], plateau.reduced);
            if (!(fabs(got - want) <= 1e-12 * highest[g]))
                fail_msg("evaluation %zu, group %d: %.17g, should be %.17g", i, g, got, want);
        }
    }
}

/* Returns how many rows of the file are of this schedule. */
static int check_file(const char *path, bool groups)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *line = NULL;
    size_t room = 0;
    int rows = 0;
    while (getline(&line, &room, file) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        const double highest[] = { 1e-2, 1.6e-1 };
        if (groups)
            check_row(row, highest, 2, of(row, "learning_rates_after"));
        else if (json_object_get(row, "metrics"))
            check_row(row, highest, 1, of(row, "learning_rate_after"));
        rows += json_object_get(row, "metrics") != NULL;
        json_decref(row);
    }
    free(line);
    fclose(file);
    return rows;
}

static void rates_behind_evaluations_are_torchs(void **state)
{
    (void)state;
    assert_int_equal(check_file("tests/golden/schedules/schedules.jsonl", false), 1);
    assert_int_equal(check_file("tests/golden/schedules/plateau.jsonl", true), 13);
}

/* As torch's comparisons with it are all false. */
static void a_figure_that_is_no_number_is_never_better(void **state)
{
    (void)state;
    json_t *row = json_pack("{s:{s:i,s:f}}", "lr_scheduler_kwargs", "patience", 1, "factor", 0.5);
    const Schedule s = schedule_of(row, 1.0);
    const double figures[] = { NAN, 3, NAN, NAN, 2 };
    const int64_t reduced[] = { 0, 0, 0, 1, 1 };
    Plateau plateau = { 0 };
    for (int i = 0; i < 5; i++) {
        plateau_evaluated(&plateau, &s, figures[i]);
        assert_int_equal(plateau.reduced, reduced[i]);
    }
    assert_true(plateau.best == 2);
    assert_true(plateau_rate(&s, 1.0, plateau.reduced) == 0.5);
    json_decref(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_behind_evaluations_are_torchs),
        cmocka_unit_test(a_figure_that_is_no_number_is_never_better),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
