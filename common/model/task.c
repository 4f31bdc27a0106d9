#include "common/model/task.h"

static const Task tasks[] = {
    [TASK_SEQ_CLS] = { .type = TASK_SEQ_CLS,
                       .peft_name = "SEQ_CLS",
                       .auto_class = "SequenceClassification",
                       .numbers = true,
                       .saves_head = true },
    [TASK_TOKEN_CLS] = { .type = TASK_TOKEN_CLS,
                         .peft_name = "TOKEN_CLS",
                         .auto_class = "TokenClassification",
                         .of_tokens = true,
                         .tags = true,
                         .saves_head = true,
                         .saves_late = true },
    [TASK_CAUSAL_LM] = { .type = TASK_CAUSAL_LM,
                         .peft_name = "CAUSAL_LM",
                         .auto_class = "CausalLM",
                         .of_tokens = true,
                         .speaks = true },
    [TASK_SEQ_2_SEQ_LM] = { .type = TASK_SEQ_2_SEQ_LM,
                            .peft_name = "SEQ_2_SEQ_LM",
                            .auto_class = "Seq2SeqLM",
                            .of_tokens = true,
                            .speaks = true,
                            .two_texts = true },
    [TASK_FEATURE_EXTRACTION] = { .type = TASK_FEATURE_EXTRACTION,
                                  .peft_name = "FEATURE_EXTRACTION",
                                  .auto_class = "FeatureExtraction",
                                  .embeds = true },
    [TASK_IMAGE_CLS] = { .type = TASK_IMAGE_CLS, .auto_class = "ImageClassification" },
};

const Task *task_get(TaskType type)
{
    return &tasks[type];
}
