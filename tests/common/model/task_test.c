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
        assert_true(!task->speaks || (task->of_tokens && !task->tags && !task->saves_head));
        assert_true(!task->tags || task->of_tokens);
        assert_int_equal(task->of_tokens, task->tags || task->speaks);
        assert_true(!task->numbers || !task->of_tokens);
        assert_true(!task->saves_late || task->saves_head);
        assert_true(!task->saves_head || task->peft_name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_its_task_and_bears_the_names_of_run_files_and_peft),
        cmocka_unit_test(properties_imply_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
