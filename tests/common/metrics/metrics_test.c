#include "common/metrics/metrics.h"

#include "common/base/mem.h"
#include "common/metrics/entities.h"
#include "common/metrics/overlap.h"
#include "tests/support/metric_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CASES "tests/common/metrics/fixtures/metrics/cases.jsonl"

/* ---- helpers ------------------------------------------------------------- */

/* Calls `check` with every case of the fixture. */
static void for_cases(void (*check)(const json_t *line))
{
    FILE *file = fopen(CASES, "r");
    assert_non_null(file);
    json_error_t error;
    json_t *line;
    int count = 0;
    for (; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, &error)) != NULL; count++) {
        check(line);
        json_decref(line);
    }
    fclose(file);
    assert_int_equal(count, 98);
}

static void near(double have, double want)
{
    if (!(fabs(have - want) <= 1e-6 * fmax(1, fabs(want))))
        fail_msg("%.9g, wanted %.9g", have, want);
}

static double figure(const Metrics *m, const char *name)
{
    Figure figures[METRICS_FIGURES];
    const int count = metrics_figures(m, figures);
    for (int i = 0; i < count; i++)
        if (strcmp(figures[i].name, name) == 0)
            return figures[i].value;
    fail_msg("there is no figure %s", name);
    return 0;
}

/* ---- tests ------------------------------------------------------------------ */

static void check_figures(const json_t *line)
{
    const json_t *want = json_object_get(line, "figures");
    const char **names;
    Metrics m = metric_case(line, 4, &names);
    Figure figures[METRICS_FIGURES];
    const int count = metrics_figures(&m, figures);
    assert_int_equal(count, json_object_size(want));
    for (int i = 0; i < count; i++) {
        const json_t *value = json_object_get(want, figures[i].name);
        assert_non_null(value);
        const double number = json_number_value(value);
        if (!(fabs(figures[i].value - number) <= 1e-6 * fmax(1, fabs(number))))
            fail_msg("%s is %.9g, wanted %.9g, of %s", figures[i].name, figures[i].value, number, json_dumps(line, 0));
    }
    metrics_release(&m);
    free(names);
}

static void figures_are_those_of_the_libraries(void **state)
{
    (void)state;
    for_cases(check_figures);
}

/* However the examples are cut, counts are the same bits; only sums of reals may round otherwise.
 */
static void check_chunks(const json_t *line)
{
    const char **names, **more;
    Metrics a = metric_case(line, 1, &names), b = metric_case(line, 1000, &more);
    assert_int_equal(a.size, b.size);
    for (int64_t i = 0; i < a.size; i++)
        if (a.sums[i] == floor(a.sums[i]))
            assert_true(a.sums[i] == b.sums[i]);
        else
            near(b.sums[i], a.sums[i]);
    metrics_release(&a);
    metrics_release(&b);
    free(names);
    free(more);
}

static void sums_do_not_depend_on_the_chunks(void **state)
{
    (void)state;
    for_cases(check_chunks);
}

static void rows_of_another_size_are_refused(void **state)
{
    (void)state;
    const double row[17] = { 2, 1, 0, 0, 0, 0 };
    const struct {
        MetricsSpec spec;
        int64_t fits, more;
    } cases[] = {
        { { TASK_SEQ_CLS, PROBLEM_SINGLE_LABEL, 2, NULL, { .batch = 0 }, NULL, 0 }, 7, 8 },
        { { TASK_IMAGE_CLS, PROBLEM_SINGLE_LABEL, 3, NULL, { .batch = 0 }, NULL, 0 }, 12, 13 },
        { { TASK_SEQ_CLS, PROBLEM_MULTI_LABEL, 2, NULL, { .batch = 0 }, NULL, 0 }, 10, 9 },
        { { TASK_SEQ_CLS, PROBLEM_REGRESSION, 1, NULL, { .batch = 0 }, NULL, 0 },
          7,
          6 }, /* two pairs, as row[0] says */
        { { TASK_TOKEN_CLS, PROBLEM_SINGLE_LABEL, 2, NULL, { .batch = 0 }, NULL, 0 }, 8, 7 },
        { { TASK_CAUSAL_LM, PROBLEM_SINGLE_LABEL, 2, NULL, { .batch = 0 }, NULL, 0 }, 17, 16 },
        { { TASK_FEATURE_EXTRACTION, PROBLEM_REGRESSION, 2, NULL, { .columns = 2 }, NULL, 0 }, 13, 12 }, /* two rows */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Metrics m;
        metrics_init(&m, &cases[i].spec);
        assert_int_equal(metrics_width(&cases[i].spec, 2), cases[i].fits);
        assert_true(metrics_merge(&m, row, cases[i].fits));
        assert_false(metrics_merge(&m, row, cases[i].more));
        assert_false(metrics_merge(&m, row, 1));
        metrics_release(&m);
        metrics_release(&m);
    }
}

static void nothing_measured_gives_figures_that_are_numbers(void **state)
{
    (void)state;
    const char *const names[] = { "O", "B-A" };
    const MetricsSpec specs[] = {
        { TASK_SEQ_CLS, PROBLEM_SINGLE_LABEL, 2, NULL, { .batch = 0 }, NULL, 0 },
        { TASK_SEQ_CLS, PROBLEM_SINGLE_LABEL, 4, NULL, { .batch = 0 }, NULL, 0 },
        { TASK_SEQ_CLS, PROBLEM_MULTI_LABEL, 2, NULL, { .batch = 0 }, NULL, 0 },
        { TASK_SEQ_CLS, PROBLEM_REGRESSION, 1, NULL, { .batch = 0 }, NULL, 0 },
        { TASK_TOKEN_CLS, PROBLEM_SINGLE_LABEL, 2, names, { .batch = 0 }, NULL, 0 },
        { TASK_CAUSAL_LM, PROBLEM_SINGLE_LABEL, 0, NULL, { .batch = 0 }, NULL, 0 },
        { TASK_FEATURE_EXTRACTION, PROBLEM_REGRESSION, 2, NULL, { .columns = 2, .batch = 4 }, NULL, 0 },
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        Metrics m;
        metrics_init(&m, &specs[i]);
        Figure figures[METRICS_FIGURES];
        const int count = metrics_figures(&m, figures);
        assert_true(count >= 2 && count <= METRICS_FIGURES);
        for (int k = 0; k < count; k++)
            assert_true(isfinite(figures[k].value));
        metrics_release(&m);
    }
}

static void clearing_begins_anew(void **state)
{
    (void)state;
    Metrics m;
    metrics_init(&m, &(MetricsSpec){ TASK_SEQ_CLS, PROBLEM_REGRESSION, 1, NULL, { .batch = 0 }, NULL, 0 });
    const float logits[] = { 1, 2 }, goal[] = { 1, 3 };
    metrics_add(&m, logits, goal, 2, (MetricsLoss){ 1, 2 });
    near(figure(&m, "mse"), 0.5);
    metrics_clear(&m);
    metrics_add(&m, logits, goal, 1, (MetricsLoss){ 0.25, 1 });
    near(figure(&m, "mse"), 0);
    near(figure(&m, "loss"), 0.25);
    metrics_release(&m);
}

static void one_text_alone_is_scored_as_a_corpus_of_one(void **state)
{
    (void)state;
    const char *references[] = { "The cat is on the mat.", "There is a cat on the mat." };
    const BleuCounts same = bleu_count(references[0], (const char *const *)references, 2);
    near(bleu_score(&same), 100);
    const BleuCounts none = bleu_count("", (const char *const *)references, 2);
    near(bleu_score(&none), 0);
    near(rouge_l("the cat", (const char *const *)references, 1), 0.5);
    near(rouge_l("", (const char *const *)references, 2), 0);
}

static void an_inside_tag_behind_another_type_begins_an_entity(void **state)
{
    (void)state;
    const char *const names[] = { "O", "B-A", "I-A", "I-B" };
    const int32_t goal[] = { 1, 2, 3, 0, 2 }, guess[] = { 1, 2, 2, 0, 1 };
    const EntityCounts counts = entities_count(names, goal, guess, 5);
    assert_int_equal(counts.wanted, 3);
    assert_int_equal(counts.guessed, 2);
    assert_int_equal(counts.both, 1); /* I-A alone and B-A alone are the same entity */
}

/* Examples of two tasks among each other: each has the figures that it has alone, and all have their means. */
static void several_tasks_have_the_figures_of_each(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b";
    const TaskLabels tasks[] = { { a, 0, 2 }, { b, 2, 5 } };
    const MetricsSpec both = { .problem = PROBLEM_SINGLE_LABEL, .labels = 5, .tasks = tasks, .task_count = 2 };
    Metrics all, alone[2];
    metrics_init(&all, &both);
    for (int t = 0; t < 2; t++)
        metrics_init(&alone[t],
                     &(MetricsSpec){ .problem = PROBLEM_SINGLE_LABEL, .labels = tasks[t].end - tasks[t].begin });
    for (int i = 0; i < 40; i++) {
        float x[5];
        const int t = i % 3 == 0, labels = t ? 3 : 2, first = t ? 2 : 0, own = (i * 7) % labels;
        for (int l = 0; l < 5; l++)
            x[l] = (float)((i * 31 + l * 17) % 23) / 5.0f; /* the largest may be another task's */
        double sum = 0;
        for (int l = 0; l < labels; l++)
            sum += exp((double)x[first + l]);
        const double loss = log(sum) - (double)x[first + own];
        metrics_add(&all, x, &(float){ (float)(first + own) }, 1, (MetricsLoss){ (t ? 3 : 1) * loss, t ? 3 : 1 });
        metrics_add(&alone[t], x + first, &(float){ (float)own }, 1, (MetricsLoss){ loss, 1 });
    }
    Metrics twice;
    metrics_init(&twice, &both);
    assert_true(metrics_merge(&twice, all.sums, all.size));
    Figure of[2][METRICS_FIGURES], want[METRICS_FIGURES], mean[METRICS_FIGURES];
    assert_int_equal(metrics_figures(&twice, mean), 6);
    for (int t = 0; t < 2; t++) {
        assert_int_equal(metrics_task_figures(&twice, t, of[t]), metrics_figures(&alone[t], want));
        for (int i = 0; i < 6; i++) {
            assert_string_equal(of[t][i].name, want[i].name);
            near(of[t][i].value, want[i].value);
        }
    }
    for (int i = 1; i < 6; i++)
        near(mean[i].value, (of[0][i].value + of[1][i].value) / 2);
    near(mean[0].value, all.sums[1] / all.sums[2]);
    metrics_release(&all);
    metrics_release(&twice);
    metrics_release(&alone[0]);
    metrics_release(&alone[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_the_libraries),
        cmocka_unit_test(sums_do_not_depend_on_the_chunks),
        cmocka_unit_test(rows_of_another_size_are_refused),
        cmocka_unit_test(nothing_measured_gives_figures_that_are_numbers),
        cmocka_unit_test(clearing_begins_anew),
        cmocka_unit_test(several_tasks_have_the_figures_of_each),
        cmocka_unit_test(one_text_alone_is_scored_as_a_corpus_of_one),
        cmocka_unit_test(an_inside_tag_behind_another_type_begins_an_entity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
