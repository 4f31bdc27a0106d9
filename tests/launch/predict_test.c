/* What `lora predict` answers to logits, and how it reads its lines. */
#include "launch/predict.h"

#include "common/base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char cold[] = "cold", mild[] = "mild", hot[] = "hot";
static char *names[] = { cold, mild, hot };

static ModelArch arch_of(ProblemType problem, int64_t labels)
{
    return (ModelArch){ .head = { .problem = problem, .labels = labels, .label_names = names } };
}

static double number(const json_t *object, const char *outer, const char *inner)
{
    const json_t *value = json_object_get(object, outer);
    value = inner ? json_object_get(value, inner) : value;
    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* ---- answers -------------------------------------------------------------------------- */

static void one_label_has_the_largest_logit_and_its_softmax(void **state)
{
    (void)state;
    const ModelArch arch = arch_of(PROBLEM_SINGLE_LABEL, 3);
    const float logits[] = { 0.0f, 2.0f, 1.0f };
    const double whole = exp(0.0) + exp(2.0) + exp(1.0);
    json_t *out = predict_classes(&arch, logits, false);
    assert_string_equal(json_string_value(json_object_get(out, "label")), "mild");
    assert_float_equal(number(out, "probabilities", "cold"), 1 / whole, 1e-12);
    assert_float_equal(number(out, "probabilities", "mild"), exp(2.0) / whole, 1e-12);
    assert_float_equal(number(out, "probabilities", "hot"), exp(1.0) / whole, 1e-12);
    assert_null(json_object_get(out, "logits"));
    json_decref(out);
}

static void large_logits_are_no_overflow(void **state)
{
    (void)state;
    const ModelArch arch = arch_of(PROBLEM_SINGLE_LABEL, 3);
    const float logits[] = { -2000.0f, 3000.0f, 3000.0f };
    json_t *out = predict_classes(&arch, logits, true);
    assert_string_equal(json_string_value(json_object_get(out, "label")), "mild"); /* the first of equals */
    assert_true(number(out, "probabilities", "cold") == 0);
    assert_float_equal(number(out, "probabilities", "mild"), 0.5, 1e-12);
    assert_true(json_number_value(json_array_get(json_object_get(out, "logits"), 1)) == 3000);
    assert_int_equal(json_array_size(json_object_get(out, "logits")), 3);
    json_decref(out);
}

static void labels_of_many_are_those_above_one_half(void **state)
{
    (void)state;
    const ModelArch arch = arch_of(PROBLEM_MULTI_LABEL, 3);
    const float logits[] = { 1.5f, 0.0f, -1.5f };
    json_t *out = predict_classes(&arch, logits, false);
    const json_t *on = json_object_get(out, "labels");
    assert_int_equal(json_array_size(on), 1);
    assert_string_equal(json_string_value(json_array_get(on, 0)), "cold");
    assert_float_equal(number(out, "probabilities", "cold"), 1 / (1 + exp(-1.5)), 1e-12);
    assert_float_equal(number(out, "probabilities", "mild"), 0.5, 1e-12);
    assert_float_equal(number(out, "probabilities", "hot"), 1 / (1 + exp(1.5)), 1e-12);
    json_decref(out);
}

static void a_regression_gives_its_score(void **state)
{
    (void)state;
    const ModelArch arch = arch_of(PROBLEM_REGRESSION, 1);
    const float logits[] = { -0.25f };
    json_t *out = predict_classes(&arch, logits, false);
    assert_true(number(out, "score", NULL) == -0.25);
    assert_int_equal(json_object_size(out), 1);
    json_decref(out);
}

/* ---- lines ---------------------------------------------------------------------------- */

typedef struct Lines {
    char seen[256]; /* each with a | behind */
    int count, refuse; /* the line that is refused; 0: none */
} Lines;

static bool take(void *self, const char *line, size_t n, Err *err)
{
    Lines *lines = self;
    strncat(lines->seen, line, n);
    strcat(lines->seen, "|");
    return ++lines->count != lines->refuse || err_set(err, ERR_INPUT, "no");
}

static bool read_lines(const char *text, Lines *lines, Err *err)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    const PredictInput input = { .file = file, .name = "lines.txt" };
    assert_non_null(file);
    const bool ok = predict_lines(&input, take, lines, err);
    fclose(file);
    return ok;
}

static void lines_come_without_their_ends(void **state)
{
    (void)state;
    Err err = { 0 };
    Lines lines = { 0 };
    assert_true(read_lines("one\n\ntwo\tparts\r\nlast \303\244", &lines, &err));
    assert_string_equal(lines.seen, "one||two\tparts|last \303\244|");
}

static void a_bad_line_is_said_with_its_place(void **state)
{
    (void)state;
    Err err = { 0 };
    Lines lines = { 0 };
    assert_false(read_lines("good\n\303(\nnever\n", &lines, &err));
    assert_string_equal(err.what, "the line is not valid UTF-8");
    assert_string_equal(err.where, "lines.txt:2");
    assert_string_equal(lines.seen, "good|");
    err = (Err){ 0 };
    lines = (Lines){ .refuse = 3 };
    assert_false(read_lines("a\nb\nc\nd\n", &lines, &err));
    assert_string_equal(err.where, "lines.txt:3");
    assert_int_equal(lines.count, 3);
}

static void a_folder_has_no_lines(void **state)
{
    (void)state;
    Err err = { 0 };
    Lines lines = { 0 };
    const PredictInput input = { .name = "pictures" };
    assert_false(predict_lines(&input, take, &lines, &err));
    assert_int_equal(err_exit_code(&err), 2);
    assert_string_equal(err.where, "pictures");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_label_has_the_largest_logit_and_its_softmax),
        cmocka_unit_test(large_logits_are_no_overflow),
        cmocka_unit_test(labels_of_many_are_those_above_one_half),
        cmocka_unit_test(a_regression_gives_its_score),
        cmocka_unit_test(lines_come_without_their_ends),
        cmocka_unit_test(a_bad_line_is_said_with_its_place),
        cmocka_unit_test(a_folder_has_no_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
