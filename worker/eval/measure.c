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

/* ---- generated texts ------------------------------------------------------------------ */

/* Tokens of a row before the last stretch that is learnt. */
static int64_t prompt_size(const int32_t *goal, int64_t n)
{
    while (n > 0 && goal[n - 1] == -100)
        n--;
    while (n > 0 && goal[n - 1] != -100)
        n--;
    return n + 1; /* goal[i] is token i + 1 */
}

static void add_text(Metrics *metrics, const MeasureTexts *how, const Generated *made, const int32_t *ids, int64_t n)
{
    Text text = { 0 }, wanted = { 0 };
    tokenizer_decode(how->tokenizer, made->ids, made->count, true, &text);
    tokenizer_decode(how->tokenizer, ids, n, true, &wanted);
    const char *reference = wanted.data ? wanted.data : "";
    metrics_add_text(metrics, text.data ? text.data : "", &reference, 1);
    text_release(&text);
    text_release(&wanted);
}

bool measure_texts(Metrics *metrics, const MeasureTexts *how, const Batch *batch, Err *err)
{
    const size_t B = (size_t)batch->B;
    int64_t *start = xmalloc((B + 1) * sizeof *start);
    int32_t *ids = xmalloc((size_t)batch->N * sizeof *ids);
    Generated *made = xcalloc(B, sizeof *made);
    start[0] = 0;
    for (int64_t b = 0; b < batch->B; b++) {
        const int64_t from = batch->start[b], n = prompt_size(batch->token_goal + from, batch->start[b + 1] - from);
        memcpy(ids + start[b], batch->ids + from, (size_t)n * sizeof *ids);
        start[b + 1] = start[b] + n;
    }
    const GeneratePrompts prompts = { batch->B, start, ids, batch->example };
    const bool ok = generate(made, how->options, &prompts, how->engine, how->tokenizer, err);
    for (int64_t b = 0; b < batch->B; b++) {
        const int64_t at = batch->start[b] + start[b + 1] - start[b];
        if (ok)
            add_text(metrics, how, &made[b], batch->ids + at, batch->start[b + 1] - at);
        generated_release(&made[b]);
    }
    free(made);
    free(ids);
    free(start);
    return ok;
}
