#include "worker/eval/measure_answers.h"

#include "common/base/mem.h"
#include "worker/eval/squad.h"

#include <stdlib.h>
#include <string.h>

void measure_answers_open(MeasureAnswers *answers, const Dataset *data, const SpansOptions *options)
{
    *answers = (MeasureAnswers){ 0 };
    if (data && data->notes)
        *answers = (MeasureAnswers){ data, questions_view(data->notes), *options, { 0 } };
}

void measure_answers_release(MeasureAnswers *answers)
{
    spans_release(&answers->spans);
    *answers = (MeasureAnswers){ 0 };
}

/* Bytes before that character. */
static size_t byte_at(const char *text, size_t n, int64_t character)
{
    size_t at = 0;
    for (; at < n && character > 0; character--)
        do
            at++;
        while (at < n && ((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

const char *measure_answers_text(const char *context, size_t n, const AnswerSpan *span, size_t *size)
{
    static const char word[] = "empty";
    if (!span || span->begin == SPANS_WORD) {
        *size = span ? strlen(word) : 0;
        return word;
    }
    const size_t begin = byte_at(context, n, span->begin), end = byte_at(context, n, span->end);
    *size = end > begin ? end - begin : 0;
    return context + begin;
}

/* The chosen answer beside all that are wanted. */
static void score(Metrics *metrics, const MeasureAnswers *a, int64_t question)
{
    const Questions *q = &a->questions;
    const int64_t count = questions_answers(q, question);
    SquadText *wanted = xcalloc((size_t)count + 1, sizeof *wanted), given;
    size_t n;
    const char *context = questions_piece(q, question, 0, &n);
    for (int64_t i = 0; i < count; i++)
        wanted[i].data = questions_piece(q, question, i + 1, &wanted[i].size);
    given.data =
        measure_answers_text(context, n, a->spans.answer < 0 ? NULL : &a->spans.found[a->spans.answer], &given.size);
    const SquadScore s = squad_score(given, wanted, count, q->impossible);
    metrics_add_answer(metrics, &(MetricsAnswer){ s.exact, s.f1, q->impossible, count > 0 });
    free(wanted);
}

void measure_answers_add(Metrics *metrics, MeasureAnswers *a, const Batch *batch, const float *logits, BatchLoss loss)
{
    const Questions *q = &a->questions;
    REQUIRE(a->data);
    metrics_add_windows(metrics, batch->B, (MetricsLoss){ loss.sum, loss.weight });
    for (int64_t b = 0; b < batch->B; b++) {
        const int64_t w = batch->example[b], question = q->of[w];
        if (w == 0 || q->of[w - 1] != question)
            spans_begin(&a->spans);
        spans_add(&a->spans, &a->options, logits + 2 * batch->start[b], q->offsets + 2 * a->data->start[w],
                  batch->start[b + 1] - batch->start[b]);
        if (w + 1 < q->windows && q->of[w + 1] == question)
            continue;
        spans_choose(&a->spans, &a->options);
        score(metrics, a, question);
    }
}
