/* The table of tasks by what its rows promise each other. */
#include "common/model/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_row_is_its_task_and_bears_the_names_of_run_files_and_peft(void **state)
{
    (void)state;
    for (TaskType type = TASK_SEQ_CLS; type < TASK_COUNT; type++) {
        const Task *task = task_get(type);
        assert_int_equal(task->type, type);
        assert_true(strlen(task->auto_class) > 0);
        if (task->peft_name)
            assert_string_equal(task->peft_name, config_task_name(type));
        else
            assert_int_equal(type, TASK_IMAGE_CLS); /* PEFT's TaskType has no images */
    }
}

/* What speaks or tags has goals of tokens; whoever trains a new head late trains it at all. */
static void properties_imply_each_other(void **state)
{
    (void)state;
    for (TaskType type = TASK_SEQ_CLS; type < TASK_COUNT; type++) {
        const Task *task = task_get(type);
        assert_true(!task->speaks || (task->of_tokens && !task->tags && !task->saved));
        assert_true(!task->tags || task->of_tokens);
        assert_int_equal(task->of_tokens, task->tags || task->speaks || task->spans);
        assert_true(!task->spans || (!task->tags && !task->speaks));
        assert_true(!task->numbers || !task->of_tokens);
        assert_true(!task->saves_late || task->saved);
        assert_true(!task->saved || task->peft_name);
    }
}

static void names_of_heads_are_peft_s(void **state)
{
    (void)state;
    assert_true(task_saves(task_get(TASK_SEQ_CLS), "score"));
    assert_true(task_saves(task_get(TASK_TOKEN_CLS), "classifier"));
    assert_false(task_saves(task_get(TASK_TOKEN_CLS), "qa_outputs"));
    assert_true(task_saves(task_get(TASK_QUESTION_ANS), "qa_outputs"));
    assert_false(task_saves(task_get(TASK_QUESTION_ANS), "classifier"));
    assert_false(task_saves(task_get(TASK_CAUSAL_LM), "lm_head"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_its_task_and_bears_the_names_of_run_files_and_peft),
        cmocka_unit_test(properties_imply_each_other),
        cmocka_unit_test(names_of_heads_are_peft_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
