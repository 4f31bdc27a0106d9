#include "worker/eval/measure.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

MetricsSpec measure_spec(const ModelArch *arch)
{
    return (MetricsSpec){ arch->head.task->type, arch->head.problem,
                          arch->head.labels,     (const char *const *)arch->head.label_names,
                          arch->head.embed,      arch->head.tasks,
                          arch->head.task_count };
}

/* Source: seqeval 1.2, sequence_labeling.get_entities, _validate_chunk. */
static bool is_entity_tag(const char *tag)
{
    const bool letter = tag[0] && strchr("BIES", tag[0]);
    return strcmp(tag, "O") == 0 || (letter && (tag[1] == '\0' || tag[1] == '-'));
}

const char *measure_odd_tag(const ModelArch *arch)
{
    for (int64_t i = 0; arch->head.task->tags && i < arch->head.labels; i++)
        if (!is_entity_tag(arch->head.label_names[i]))
            return arch->head.label_names[i];
    return NULL;
}

int64_t measure_logits(const ModelArch *arch, int64_t tokens, int64_t examples)
{
    const Task *task = arch->head.task;
    return task->speaks ? 0 : (task->of_tokens ? tokens : examples) * arch->head.labels;
}

static void add_examples(Metrics *metrics, const Batch *batch, const float *logits, BatchLoss loss)
{
    metrics_add(metrics, logits, batch->goal, batch->B, (MetricsLoss){ loss.sum, loss.weight });
}

static void add_tags(Metrics *metrics, const Batch *batch, const float *logits, BatchLoss loss)
{
    metrics_add_tags(metrics, logits, batch->token_goal, batch->start, batch->B,
                     (MetricsLoss){ loss.sum, loss.weight });
}

static void add_tokens(Metrics *metrics, const Batch *batch, const float *logits, BatchLoss loss)
{
    (void)logits;
    metrics_add_tokens(metrics, batch->B, loss.count, loss.sum, loss.plain);
}

static void add_embeddings(Metrics *metrics, const Batch *batch, const float *logits, BatchLoss loss)
{
    (void)loss;
    metrics_add_embeddings(metrics, logits, batch->goal, batch->B / metrics->spec.embed.columns);
}

void measure_batch(Metrics *metrics, Model *model, MeasureAnswers *answers, const Batch *batch, const float *values,
                   float *logits)
{
    static void (*const add[])(Metrics *, const Batch *, const float *,
                               BatchLoss) = { [TASK_SEQ_CLS] = add_examples,
                                              [TASK_TOKEN_CLS] = add_tags,
                                              [TASK_CAUSAL_LM] = add_tokens,
                                              [TASK_IMAGE_CLS] = add_examples,
                                              [TASK_SEQ_2_SEQ_LM] = add_tokens,

                                              [TASK_FEATURE_EXTRACTION] = add_embeddings };
    const Task *task = task_get(metrics->spec.task);
    const BatchLoss loss = model_predict(model, batch, values, task->speaks ? NULL : logits);
    if (task->spans) {
        measure_answers_add(metrics, answers, batch, logits, loss);
        return;
    }
    add[task->type](metrics, batch, logits, loss);
}

/* ---- generated texts ------------------------------------------------------------------ */

/* Beside all that the row, and those that ask the same, want. */
static void add_text(Metrics *metrics, const MeasureTexts *how, const Generated *made, int64_t row)
{
    const References *r = how->references;
    int64_t count = 0;
    for (int64_t i = row; i != REFERENCES_LAST; i = r->next[i])
        count++;
    Text *wanted = xcalloc((size_t)count, sizeof *wanted), text = { 0 };
    const char **references = xmalloc((size_t)count * sizeof *references);
    for (int64_t i = row, n = 0; i != REFERENCES_LAST; i = r->next[i], n++) {
        const int64_t from = r->data->start[i] + references_prompt(r->data, i);
        tokenizer_decode(how->tokenizer, r->data->ids + from, r->data->start[i + 1] - from, true, &wanted[n]);
        references[n] = wanted[n].data ? wanted[n].data : "";
    }
    tokenizer_decode(how->tokenizer, made->ids, made->count, true, &text);
    metrics_add_text(metrics, text.data ? text.data : "", references, count);
    for (int64_t n = 0; n < count; n++)
        text_release(&wanted[n]);
    text_release(&text);
    free(references);
    free(wanted);
}

bool measure_texts(Metrics *metrics, const MeasureTexts *how, const Batch *batch, Err *err)
{
    const size_t B = (size_t)batch->B;
    int64_t *start = xmalloc((B + 1) * sizeof *start), *row = xmalloc(B * sizeof *row);
    int32_t *ids = xmalloc((size_t)batch->N * sizeof *ids);
    Generated *made = xcalloc(B, sizeof *made);
    int64_t count = 0;
    start[0] = 0;
    for (int64_t b = 0; b < batch->B; b++) {
        if (!how->references->first[batch->example[b]])
            continue; /* an earlier row has asked */
        row[count] = batch->example[b];
        const int64_t n = references_prompt(how->references->data, row[count]);
        memcpy(ids + start[count], batch->ids + batch->start[b], (size_t)n * sizeof *ids);
        start[count + 1] = start[count] + n;
        count++;
    }
    const GeneratePrompts prompts = { count, start, ids, row, NULL };
    const bool ok = count == 0 || generate(made, how->options, &prompts, how->engine, how->tokenizer, err);
    for (int64_t i = 0; i < count; i++) {
        if (ok)
            add_text(metrics, how, &made[i], row[i]);
        generated_release(&made[i]);
    }
    free(made);
    free(ids);
    free(row);
    free(start);
    return ok;
}
