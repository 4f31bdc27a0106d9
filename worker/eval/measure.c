#include "worker/eval/measure.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

MetricsSpec measure_spec(const ModelArch *arch)
{
    return (MetricsSpec){ arch->task, arch->problem, arch->labels, (const char *const *)arch->label_names };
}

/* Source: seqeval 1.2, sequence_labeling.get_entities, _validate_chunk. */
static bool is_entity_tag(const char *tag)
{
    const bool letter = tag[0] && strchr("BIES", tag[0]);
    return strcmp(tag, "O") == 0 || (letter && (tag[1] == '\0' || tag[1] == '-'));
}

const char *measure_odd_tag(const ModelArch *arch)
{
    for (int64_t i = 0; arch->task == TASK_TOKEN_CLS && i < arch->labels; i++)
        if (!is_entity_tag(arch->label_names[i]))
            return arch->label_names[i];
    return NULL;
}

int64_t measure_logits(const ModelArch *arch, int64_t tokens, int64_t examples)
{
    switch (arch->task) {
    case TASK_CAUSAL_LM:
        return 0;
    case TASK_TOKEN_CLS:
        return tokens * arch->labels;
    case TASK_SEQ_CLS:
    case TASK_IMAGE_CLS:
        break;
    }
    return examples * arch->labels;
}

void measure_batch(Metrics *metrics, Model *model, const Batch *batch, const float *values, float *logits)
{
    const TaskType task = metrics->spec.task;
    const BatchLoss loss = model_predict(model, batch, values, task == TASK_CAUSAL_LM ? NULL : logits);
    switch (task) {
    case TASK_CAUSAL_LM:
        metrics_add_tokens(metrics, batch->B, loss.count, loss.sum);
        break;
    case TASK_TOKEN_CLS:
        metrics_add_tags(metrics, logits, batch->token_goal, batch->start, batch->B, loss.sum);
        break;
    case TASK_SEQ_CLS:
    case TASK_IMAGE_CLS:
        metrics_add(metrics, logits, batch->goal, batch->B, loss.sum);
        break;
    }
}
