#include "common/optim/schedule.h"

#include "common/base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Schedule schedule(RateKind kind, double rate, const json_t *options, int64_t warmup, int64_t total)
{
    Schedule s;
    Err err = { 0 };
    if (!schedule_init(&s, kind, rate, options, &err))
        fail_msg("%s", err.what);
    s.warmup = warmup;
    s.total = total;
    return s;
}

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
    const Schedule s = schedule(RATE_LINEAR, 0.02, NULL, schedule_warmup(5, 0.0, 52), 52);
    check("tests/golden/bert-seqcls/expected/trajectory.jsonl", &s);
}

static void cosine_falls_from_the_rate_to_zero_with_half_at_the_middle(void **state)
{
    (void)state;
    const Schedule s = schedule(RATE_COSINE, 2.0, NULL, schedule_warmup(0, 0.1, 101), 101);
    assert_int_equal(s.warmup, 11);
    assert_true(schedule_rate(&s, 0) == 0.0);
    assert_true(schedule_rate(&s, 11) == 2.0);
    assert_true(fabs(schedule_rate(&s, 56) - 1.0) < 1e-12);
    assert_true(fabs(schedule_rate(&s, 101)) < 1e-12);
}

static void constant_rates_stay(void **state)
{
    (void)state;
    const Schedule plain = schedule(RATE_CONSTANT, 0.5, NULL, 4, 10);
    const Schedule warm = schedule(RATE_CONSTANT_WITH_WARMUP, 0.5, NULL, 4, 10);
    assert_true(schedule_rate(&plain, 0) == 0.5);
    assert_true(schedule_rate(&warm, 0) == 0.0);
    assert_true(schedule_rate(&warm, 1) == 0.125);
    assert_true(schedule_rate(&warm, 9) == 0.5);
}

static const struct {
    const char *name;
    RateKind kind;
} kinds[] = {
    { "linear", RATE_LINEAR },
    { "cosine", RATE_COSINE },
    { "constant", RATE_CONSTANT },
    { "constant_with_warmup", RATE_CONSTANT_WITH_WARMUP },
    { "cosine_with_restarts", RATE_COSINE_WITH_RESTARTS },
    { "cosine_with_min_lr", RATE_COSINE_WITH_MIN_LR },
    { "cosine_warmup_with_min_lr", RATE_COSINE_WARMUP_WITH_MIN_LR },
    { "polynomial", RATE_POLYNOMIAL },
    { "inverse_sqrt", RATE_INVERSE_SQRT },
    { "warmup_stable_decay", RATE_WARMUP_STABLE_DECAY },
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Returns which kind the row was of, or -1. */
static int check_row(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "lr_scheduler_type"));
    int kind = 0;
    while (kind < KINDS && strcmp(kinds[kind].name, name) != 0)
        kind++;
    if (kind == KINDS)
        return -1;
    const Schedule s = schedule(kinds[kind].kind, 1e-2, json_object_get(row, "lr_scheduler_kwargs"),
                                json_integer_value(json_object_get(row, "warmup_steps")),
                                json_integer_value(json_object_get(row, "total_steps")));
    const json_t *rates = json_object_get(row, "learning_rate");
    assert_true((int64_t)json_array_size(rates) == s.total + 2);
    for (size_t k = 0; k < json_array_size(rates); k++) {
        const double want = json_number_value(json_array_get(rates, k)), got = schedule_rate(&s, (int64_t)k);
        if (!(fabs(got - want) <= 1e-14))
            fail_msg("%s, step %zu: %.17g, should be %.17g", name, k, got, want);
    }
    return kind;
}

/* Every rate of every schedule, beyond the last step too, with options and without. */
static void rates_of_all_schedules_are_transformers(void **state)
{
    (void)state;
    FILE *file = fopen("tests/golden/schedules/schedules.jsonl", "r");
    assert_non_null(file);
    char *line = NULL;
    size_t room = 0;
    int seen[KINDS] = { 0 };
    while (getline(&line, &room, file) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        const int kind = check_row(row);
        if (kind >= 0)
            seen[kind]++;
        json_decref(row);
    }
    free(line);
    fclose(file);
    for (int i = 0; i < KINDS; i++)
        assert_true(seen[i] > 0);
}

static void options_that_a_schedule_cannot_take_are_refused(void **state)
{
    (void)state;
    const struct {
        RateKind kind;
        const char *options, *what, *hint;
    } rows[] = {
        { RATE_LINEAR, "{'power': 2}", "no option 'power'", "it has none" },
        { RATE_POLYNOMIAL, "{'num_cycles': 2}", "no option 'num_cycles'", "lr_end, power" },
        { RATE_COSINE, "{'min_lr': 0}", "no option 'min_lr'", "num_cycles" },
        { RATE_COSINE_WITH_MIN_LR, "{'warmup_lr_rate': 0}", "no option", "min_lr_rate, min_lr" },
        { RATE_POLYNOMIAL, "{'power': 'two'}", "power is not a number", "from 0 to 1000" },
        { RATE_POLYNOMIAL, "{'power': -1}", "power is not a number", "from 0" },
        { RATE_POLYNOMIAL, "{'lr_end': 0.01}", "lr_end is 0.01, not below the learning rate 0.01", "lower it" },
        { RATE_INVERSE_SQRT, "{'timescale': 0}", "timescale is not", "above 0" },
        { RATE_COSINE_WITH_MIN_LR, "{}", "needs its least learning rate", "min_lr_rate: 0.1" },
        { RATE_COSINE_WITH_MIN_LR, "{'min_lr': null}", "needs its least learning rate", "min_lr_rate: 0.1" },
        { RATE_COSINE_WITH_MIN_LR, "{'min_lr': 0.02}", "min_lr is 0.02, above the learning rate", "lower it" },
        { RATE_COSINE_WITH_MIN_LR, "{'min_lr': 'low'}", "min_lr is not a number", "from 0" },
        { RATE_COSINE_WARMUP_WITH_MIN_LR, "{'min_lr': 0.001, 'min_lr_rate': 0.1}", "min_lr and as min_lr_rate",
          "one of them" },
        { RATE_COSINE_WARMUP_WITH_MIN_LR, "{'min_lr_rate': 1.5}", "min_lr_rate is not", "to 1" },
        { RATE_WARMUP_STABLE_DECAY, "{}", "needs the number of steps", "num_decay_steps" },
        { RATE_WARMUP_STABLE_DECAY, "{'num_decay_steps': 2.5}", "num_decay_steps is not a whole number", "whole" },
        { RATE_WARMUP_STABLE_DECAY, "{'num_decay_steps': 5, 'decay_type': 'sqrt'}", "decay_type is not linear",
          "decay_type: linear" },
        { RATE_REDUCE_ON_PLATEAU, "{'mode': 'less'}", "mode is not min or max", "mode: min" },
        { RATE_REDUCE_ON_PLATEAU, "{'threshold_mode': 1}", "threshold_mode is not rel or abs", "threshold_mode: rel" },
        { RATE_REDUCE_ON_PLATEAU, "{'factor': 1}", "factor is not", "from 0 to below 1" },
        { RATE_REDUCE_ON_PLATEAU, "{'patience': 1.5}", "patience is not a whole number", "whole" },
        { RATE_REDUCE_ON_PLATEAU, "{'min_lr': [0, 1e-6]}", "min_lr is not a number", "from 0" },
        { RATE_REDUCE_ON_PLATEAU, "{'min_lr': 0.02}", "min_lr is 0.02, above the learning rate", "lower it" },
        { RATE_REDUCE_ON_PLATEAU, "{'power': 2}", "no option 'power'", "mode, factor, patience, threshold" },
        { RATE_WARMUP_STABLE_DECAY, "{'num_decay_steps': 5, 'warmup_type': 1}", "warmup_type is not linear", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        size_t n = 0;
        for (; rows[i].options[n]; n++)
            text[n] = (char)(rows[i].options[n] == '\'' ? '"' : rows[i].options[n]);
        json_t *options = json_loadb(text, n, 0, NULL);
        assert_non_null(options);
        Schedule s;
        Err err = { 0 };
        if (schedule_init(&s, rows[i].kind, 0.01, options, &err) || !strstr(err.what, rows[i].what) ||
            !strstr(err.hint, rows[i].hint))
            fail_msg("%s: '%s' (%s)", rows[i].options, err.what, err.hint);
        json_decref(options);
    }
}

/* The golden rows leave them out: as many stable steps as are said, the least rate from then on. */
static void stable_steps_may_be_given(void **state)
{
    (void)state;
    json_t *options = json_pack("{s:i,s:i,s:f,s:s}", "num_decay_steps", 4, "num_stable_steps", 3, "min_lr_ratio", 0.5,
                                "decay_type", "linear");
    const Schedule s = schedule(RATE_WARMUP_STABLE_DECAY, 1.0, options, 0, 20);
    assert_true(schedule_rate(&s, 2) == 1.0);
    assert_true(schedule_rate(&s, 3) == 1.0);
    assert_true(schedule_rate(&s, 5) == 0.75);
    assert_true(schedule_rate(&s, 7) == 0.5);
    assert_true(schedule_rate(&s, 19) == 0.5);
    json_decref(options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_with_warmup_is_transformers),
        cmocka_unit_test(cosine_falls_from_the_rate_to_zero_with_half_at_the_middle),
        cmocka_unit_test(constant_rates_stay),
        cmocka_unit_test(rates_of_all_schedules_are_transformers),
        cmocka_unit_test(options_that_a_schedule_cannot_take_are_refused),
        cmocka_unit_test(stable_steps_may_be_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
