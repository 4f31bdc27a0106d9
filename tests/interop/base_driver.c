/* base_driver - is a model folder what it says, for tests/interop/bases.py.
 *
 *   base_driver MODEL TASK      "ok", or the error, on stdout; TASK: SEQ_CLS, TOKEN_CLS, CAUSAL_LM, IMAGE_CLS */
#include "common/model/base.h"

#include <stdio.h>
#include <string.h>

static bool task_of(const char *name, TaskType *task)
{
    for (*task = TASK_SEQ_CLS; *task < TASK_COUNT; (*task)++)
        if (strcmp(name, config_task_name(*task)) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    TaskType task;
    if (argc != 3 || !task_of(argv[2], &task)) {
        fprintf(stderr, "usage: base_driver MODEL TASK\n");
        return 2;
    }
    const StringList none = { 0 };
    Err err = { 0 };
    ModelArch *arch = arch_open(argv[1], NULL, task, &none, 3, PROBLEM_AUTO, &err);
    SafeTensors *files = arch ? safetensors_open_model(argv[1], &err) : NULL;
    Text doubts = { 0 };
    if (files && base_check(arch, files, &err))
        base_doubts(arch, files, &doubts);
    if (err.kind != ERR_NONE)
        err_print(&err, stdout);
    else
        printf("ok\n%s", doubts.data ? doubts.data : "");
    text_release(&doubts);
    safetensors_close(files);
    arch_close(arch);
    return 0;
}
