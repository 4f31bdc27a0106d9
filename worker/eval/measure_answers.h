/* measure_answers - what the model says of windows, counted as answers of their questions.
 *
 * A question is scored with its last window: its windows come in their order, in one batch or in several, and no others
 * between.
 *
 * Owner: whoever evaluates. Threads: one at a time. */
#ifndef WORKER_EVAL_MEASURE_ANSWERS_H
#define WORKER_EVAL_MEASURE_ANSWERS_H

#include "common/metrics/metrics.h"
#include "worker/data/dataset.h"
#include "worker/data/questions.h"
#include "worker/eval/spans.h"
#include "worker/model/model.h"

/* Zeroed is empty, and what it is for other tasks. */
typedef struct MeasureAnswers {
    const Dataset *data; /* borrowed */
    Questions questions;
    SpansOptions options;
    Spans spans;
} MeasureAnswers;

/* data: NULL, or without questions: stays empty. */
void measure_answers_open(MeasureAnswers *answers, const Dataset *data, const SpansOptions *options);
void measure_answers_release(MeasureAnswers *answers);

/* A batch with its loss and logits[N][2]. */
void measure_answers_add(Metrics *metrics, MeasureAnswers *answers, const Batch *batch, const float *logits,
                         BatchLoss loss);

/* The text of an answer: a part of context[0, n), or the word of SPANS_WORD. Lent by the context. */
const char *measure_answers_text(const char *context, size_t n, const AnswerSpan *span, size_t *size);

#endif
