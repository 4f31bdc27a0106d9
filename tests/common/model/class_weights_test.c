/* Weights of classes as run files give them, and what cannot be. */
#include "common/model/class_weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char no[] = "no", yes[] = "yes", zero[] = "0", *names[] = { no, yes, zero };
static const Task speaking = { .type = TASK_CAUSAL_LM, .speaks = true }, choosing = { .type = TASK_SEQ_CLS };

static ModelArch arch_of(ProblemType problem)
{
    return (ModelArch){ .head = { .task = &choosing, .labels = 3, .label_names = names, .problem = problem } };
}

static json_t *json_of(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    return json;
}

static void read(const char *text, double a, double b, double c)
{
    const ModelArch arch = arch_of(PROBLEM_SINGLE_LABEL);
    double weights[3] = { -1, -1, -1 };
    json_t *given = json_of(text);
    Err err = { 0 };
    assert_true(class_weights_are_given(given) && !class_weights_are_balanced(given));
    assert_true(class_weights_check(given, &arch, &err));
    class_weights_read(weights, given, &arch);
    assert_true(weights[0] == a && weights[1] == b && weights[2] == c);
    json_decref(given);
}

static void lists_and_maps_are_read(void **state)
{
    (void)state;
    read("[1, 2.5, 0]", 1, 2.5, 0);
    read("{\"yes\": 3, \"no\": 0.5, \"0\": 7}", 0.5, 3, 7); /* a name before a number */
    read("{\"1\": 3, \"no\": 0.5, \"2\": 7}", 0.5, 3, 7);
}

static void refused(const ModelArch *arch, const char *text, const char *what, const char *hint)
{
    json_t *given = json_of(text);
    Err err = { 0 };
    assert_false(class_weights_check(given, arch, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    if (!strstr(err.what, what) || !strstr(err.hint, hint) || strcmp(err.where, "train.class_weights") != 0)
        fail_msg("%s: %s (%s) at %s", text, err.what, err.hint, err.where);
    json_decref(given);
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    ModelArch arch = arch_of(PROBLEM_SINGLE_LABEL);
    refused(&arch, "[1, 2]", "2 weights for 3 labels", "no, yes, 0");
    refused(&arch, "[1, 2, 3, 4]", "4 weights for 3 labels", "no, yes, 0");
    refused(&arch, "[1, -2, 3]", "the weight of class '1' is not a number from 0", "");
    refused(&arch, "[1, \"a\", 3]", "the weight of class '1' is not a number from 0", "");
    refused(&arch, "[0, 0, 0]", "all weights are 0", "");
    refused(&arch, "[1e308, 1e308, 1e308]", "the weights are too large", "");
    refused(&arch, "{\"no\": 1, \"yes\": 2}", "label '0' has no weight", "no, yes, 0");
    refused(&arch, "{\"no\": 1, \"yes\": 2, \"0\": 1, \"maybe\": 1}", "'maybe' is not one of the labels", "no, yes, 0");
    refused(&arch, "{\"no\": 1, \"yes\": 2, \"1\": 1}", "label '1' has two weights", "no, yes, 0");
    refused(&arch, "{\"no\": 1, \"yes\": 2, \"3\": 1}", "'3' is not one of the labels", "no, yes, 0");
    refused(&arch, "{\"no\": 1, \"yes\": null, \"0\": 1}", "the weight of class 'yes' is not a number from 0", "");
    arch.head.problem = PROBLEM_REGRESSION;
    refused(&arch, "\"balanced\"", "the goals are numbers (regression)", "remove train.class_weights");
    arch.head.problem = PROBLEM_MULTI_LABEL;
    refused(&arch, "[1, 2, 3]", "the goals are several labels a row", "remove");
    arch.head.task = &speaking;
    refused(&arch, "[1, 2, 3]", "the goals are tokens", "remove");
}

/* Names that only the data know are not asked for, numbers are. */
static void labels_may_still_be_open(void **state)
{
    (void)state;
    ModelArch arch = arch_of(PROBLEM_SINGLE_LABEL);
    Err err = { 0 };
    json_t *given = json_of("{\"maybe\": 1, \"never\": 4}");
    arch.head.labels_open = true;
    assert_true(class_weights_check(given, &arch, &err));
    json_decref(given);
    refused(&arch, "{\"maybe\": -1}", "the weight of class 'maybe' is not a number from 0", "");
}

static void nothing_given_is_no_weights(void **state)
{
    (void)state;
    const ModelArch arch = arch_of(PROBLEM_REGRESSION);
    json_t *empty = json_of("{}");
    Err err = { 0 };
    assert_false(class_weights_are_given(empty) || class_weights_are_given(NULL));
    assert_true(class_weights_check(empty, &arch, &err) && class_weights_check(NULL, &arch, &err));
    json_decref(empty);
}

/* sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1, 2], y=six 0, one 1 and three 2). */
static void balanced_is_that_of_scikit_learn(void **state)
{
    (void)state;
    const ModelArch arch = arch_of(PROBLEM_SINGLE_LABEL);
    double weights[3];
    Err err = { 0 };
    assert_true(class_weights_balance(weights, (const int64_t[]){ 6, 1, 3 }, &arch, &err));
    assert_true(weights[0] == 10.0 / 18 && weights[1] == 10.0 / 3 && weights[2] == 10.0 / 9);
    assert_false(class_weights_balance(weights, (const int64_t[]){ 6, 0, 3 }, &arch, &err));
    assert_non_null(strstr(err.what, "nothing that is trained on has label 'yes'"));
    assert_non_null(strstr(err.hint, "as numbers"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_maps_are_read),          cmocka_unit_test(what_cannot_be_is_said),
        cmocka_unit_test(labels_may_still_be_open),         cmocka_unit_test(nothing_given_is_no_weights),
        cmocka_unit_test(balanced_is_that_of_scikit_learn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
