#include "common/model/task.h"

#include <string.h>

static const char *const classes[] = { "classifier", "score", NULL };
static const char *const spans[] = { "qa_outputs", NULL };

static const Task tasks[TASK_COUNT] = {
    [TASK_SEQ_CLS] = { .type = TASK_SEQ_CLS,
                       .peft_name = "SEQ_CLS",
                       .auto_class = "SequenceClassification",
                       .numbers = true,
                       .saved = classes },
    [TASK_TOKEN_CLS] = { .type = TASK_TOKEN_CLS,
                         .peft_name = "TOKEN_CLS",
                         .auto_class = "TokenClassification",
                         .of_tokens = true,
                         .tags = true,
                         .saved = classes,
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
    [TASK_QUESTION_ANS] = { .type = TASK_QUESTION_ANS,
                            .peft_name = "QUESTION_ANS",
                            .auto_class = "QuestionAnswering",
                            .of_tokens = true,
                            .spans = true,
                            .head = "qa_outputs",
                            .saved = spans,
                            .saves_late = true },
};

const Task *task_get(TaskType type)
{
    return &tasks[type];
}

bool task_saves(const Task *task, const char *name)
{
    for (const char *const *head = task->saved; head && *head; head++)
        if (strcmp(*head, name) == 0)
            return true;
    return false;
}

bool task_passes_types(const Task *task, bool whole)
{
    return whole || !task->spans;
}
