/* A label's class: the first of that name, its number, or a sentence; also among thousands. */
#include "worker/data/labels.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t class_of(const ModelArch *arch, const char *label)
{
    LabelIndex index = { 0 };
    Err bad = { 0 };
    const int64_t at = label_class(&index, arch, label, &bad);
    assert_int_equal(at < 0, bad.kind != ERR_NONE);
    label_index_release(&index);
    return at;
}

static void a_name_comes_before_a_number(void **state)
{
    (void)state;
    char neg[] = "neg", two[] = "2", again[] = "neg", ete[] = "\xc3\xa9t\xc3\xa9", ten[] = "10";
    char *names[] = { neg, two, again, ete, ten };
    const ModelArch arch = { .head = { .task = task_get(TASK_SEQ_CLS), .labels = 5, .label_names = names } };
    assert_int_equal(class_of(&arch, "neg"), 0); /* the first of that name */
    assert_int_equal(class_of(&arch, "2"), 1);
    assert_int_equal(class_of(&arch, "\xc3\xa9t\xc3\xa9"), 3);
    assert_int_equal(class_of(&arch, "10"), 4);
    assert_int_equal(class_of(&arch, "3"), 3); /* no name: a number from 0 */
    assert_int_equal(class_of(&arch, "5"), -1);
    assert_int_equal(class_of(&arch, "-1"), -1);
    assert_int_equal(class_of(&arch, "ne"), -1);
    assert_int_equal(class_of(&arch, ""), -1);
    assert_int_equal(class_of(&arch, "True"), 1);
}

static void among_thousands_it_is_found_at_once(void **state)
{
    (void)state;
    enum { LABELS = 9000, ROWS = 1000000 };
    char **names = xcalloc(LABELS, sizeof *names);
    for (int i = 0; i < LABELS; i++)
        names[i] = xprintf("class of things number %d", (i * 7919) % LABELS);
    const ModelArch arch = { .head = { .task = task_get(TASK_SEQ_CLS), .labels = LABELS, .label_names = names } };
    LabelIndex index = { 0 };
    Err bad = { 0 };
    for (int i = 0; i < LABELS; i++)
        assert_int_equal(label_class(&index, &arch, names[i], &bad), i);
    const double start = clock_now();
    int64_t sum = 0;
    for (int i = 0; i < ROWS; i++)
        sum += label_class(&index, &arch, names[LABELS - 1 - i % 100], &bad);
    const double seconds = clock_now() - start;
    assert_true(sum > 0);
    if (seconds > 5) /* one after the other takes a minute */
        fail_msg("%d rows of %d labels took %.1f s", ROWS, LABELS, seconds);
    label_index_release(&index);
    for (int i = 0; i < LABELS; i++)
        free(names[i]);
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_comes_before_a_number),
        cmocka_unit_test(among_thousands_it_is_found_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
