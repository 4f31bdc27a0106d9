#include "common/config/config.h"

#include "common/config/config_table.h"
#include "common/config/config_value.h"

#include <stdlib.h>

void config_release(Config *config)
{
    int count;
    const ConfigKey *keys = config_keys(&count);
    for (int i = 0; i < count; i++)
        value_release(config, &keys[i]);
    free(config->origins);
    free(config->source);
    free(config->notes);
    *config = (Config){ 0 };
}

const char *config_task_name(TaskType task)
{
    static const char *const names[] = { "SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM", "IMAGE_CLS" };
    return names[task];
}
