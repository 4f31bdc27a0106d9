#include "common/config/config.h"

#include "common/config/config_table.h"
#include "common/config/config_tasks.h"
#include "common/config/config_value.h"

#include <stdlib.h>

void config_release(Config *config)
{
    int count;
    const ConfigKey *keys = config_keys(&count);
    for (int i = 0; i < count; i++)
        value_release(config, &keys[i]);
    config_tasks_release(&config->tasks);
    free(config->origins);
    free(config->source);
    free(config->notes);
    *config = (Config){ 0 };
}

const char *config_task_name(TaskType task)
{
    static const char *const names[TASK_COUNT] = {
        [TASK_SEQ_CLS] = "SEQ_CLS",           [TASK_TOKEN_CLS] = "TOKEN_CLS",
        [TASK_CAUSAL_LM] = "CAUSAL_LM",       [TASK_IMAGE_CLS] = "IMAGE_CLS",
        [TASK_SEQ_2_SEQ_LM] = "SEQ_2_SEQ_LM", [TASK_FEATURE_EXTRACTION] = "FEATURE_EXTRACTION",
        [TASK_QUESTION_ANS] = "QUESTION_ANS"
    };
    return names[task];
}

bool config_is_language(TaskType task)
{
    return task == TASK_CAUSAL_LM || task == TASK_SEQ_2_SEQ_LM;
}
