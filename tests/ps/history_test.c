/* What is kept of a long run's lines: all on disk, in memory as many as are said, with every evaluation. */
#include "ps/history.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 3 * HISTORY_LINES, EVERY = 1000 };

static void memory_does_not_grow_with_logged_lines(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *path = path_join(folder, "metrics.jsonl");
    Run run = { .folder = folder, .state = { .history = json_array() } };
    size_t most = 0;
    for (int i = 1; i <= STEPS; i++) {
        history_add(&run, json_pack("{s:i, s:f}", "step", i, "loss", 1.0 / i), "tokens_per_second", 3);
        if (i % EVERY == 0)
            history_add(&run, json_pack("{s:i, s:f}", "step", i, "eval_loss", 2.0 / i), NULL, 0);
        const size_t now = json_array_size(run.state.history);
        most = now > most ? now : most;
    }
    assert_true(most <= HISTORY_LINES);
    int64_t before = 0;
    int evaluations = 0;
    const size_t size = json_array_size(run.state.history);
    for (size_t i = 0; i < size; i++) { /* in order, nothing twice, the newest without a gap */
        const json_t *entry = json_array_get(run.state.history, i);
        const int64_t step = json_integer_value(json_object_get(entry, "step"));
        const bool evaluation = json_object_get(entry, "eval_loss");
        evaluations += evaluation;
        assert_true(evaluation ? step >= before : step > before);
        if (step > STEPS - HISTORY_LINES / 4)
            assert_true(step <= before + 1 || i == 0 || before <= STEPS - HISTORY_LINES / 4);
        before = step;
    }
    assert_int_equal(before, STEPS);
    assert_int_equal(evaluations, STEPS / EVERY);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(run.state.history, 0), "step")), 1);
    char *text = file_read(path, NULL, NULL);
    int lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, STEPS + STEPS / EVERY);
    json_decref(run.state.history);
    free(text);
    free(path);
    test_folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(memory_does_not_grow_with_logged_lines) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
