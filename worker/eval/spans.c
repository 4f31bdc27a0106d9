#include "worker/eval/spans.h"

#include "common/base/maths.h"
#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void spans_begin(Spans *spans)
{
    spans->count = 0;
    spans->any = false;
    spans->answer = -1;
    spans->odds = 0;
}

void spans_release(Spans *spans)
{
    free(spans->found);
    *spans = (Spans){ 0 };
}

static void add(Spans *spans, const AnswerSpan *span)
{
    if (spans->count == spans->room) {
        spans->room = 2 * spans->room + 64;
        spans->found = xrealloc(spans->found, (size_t)spans->room * sizeof *spans->found);
    }
    spans->found[spans->count++] = *span;
}

/* ---- the largest of a window ------------------------------------------------------------------ */

typedef struct SpanEnd {
    float logit;
    int64_t t;
} SpanEnd;

static int largest_first(const void *a, const void *b)
{
    const SpanEnd *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->t < y->t) - (x->t > y->t);
}

/* best[T]: of column `side` of logits[T][2] all places, of which the first n count. Returns that n. */
static int64_t rank(SpanEnd *best, const float *logits, int side, int64_t T, int64_t n)
{
    for (int64_t t = 0; t < T; t++)
        best[t] = (SpanEnd){ logits[2 * t + side], t };
    qsort(best, (size_t)T, sizeof *best, largest_first);
    return n < T ? n : T;
}

static bool is_context(const int32_t *offsets, int64_t t)
{
    return offsets[2 * t] >= 0;
}

static void take_none(Spans *spans, const float *logits)
{
    const float score = logits[0] + logits[1];
    if (!spans->any || score < spans->none.score)
        spans->none = (AnswerSpan){ .score = score, .start_logit = logits[0], .end_logit = logits[1] };
    spans->any = true;
}

void spans_add(Spans *spans, const SpansOptions *o, const float *logits, const int32_t *offsets, int64_t T)
{
    SpanEnd *starts = xmalloc((size_t)(2 * T) * sizeof *starts), *ends = starts + T;
    const int64_t n = rank(starts, logits, 0, T, o->n_best), m = rank(ends, logits, 1, T, o->n_best);
    take_none(spans, logits);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < m; k++) {
            const int64_t first = starts[i].t, last = ends[k].t;
            if (!is_context(offsets, first) || !is_context(offsets, last) || last < first ||
                last - first + 1 > o->longest)
                continue;
            add(spans, &(AnswerSpan){ .begin = offsets[2 * first],
                                      .end = offsets[2 * last + 1],
                                      .score = starts[i].logit + ends[k].logit,
                                      .start_logit = starts[i].logit,
                                      .end_logit = ends[k].logit });
        }
    }
    free(starts);
}

/* ---- of all windows ----------------------------------------------------------------------------- */

/* Best first, equal ones as they were found. */
static void sort(Spans *spans)
{
    SpanEnd *order = xmalloc((size_t)(spans->count + 1) * sizeof *order);
    AnswerSpan *sorted = xmalloc((size_t)(spans->count + 1) * sizeof *sorted);
    for (int64_t i = 0; i < spans->count; i++)
        order[i] = (SpanEnd){ spans->found[i].score, -i };
    qsort(order, (size_t)spans->count, sizeof *order, largest_first);
    for (int64_t i = 0; i < spans->count; i++)
        sorted[i] = spans->found[-order[i].t];
    if (spans->count > 0)
        memcpy(spans->found, sorted, (size_t)spans->count * sizeof *sorted);
    free(sorted);
    free(order);
}

static bool is_empty(const AnswerSpan *span)
{
    return span->begin != SPANS_WORD && span->end <= span->begin;
}

static bool has_none(const Spans *spans)
{
    for (int64_t i = 0; i < spans->count; i++)
        if (spans->found[i].begin == 0 && spans->found[i].end == 0)
            return true;
    return false;
}

/* softmax over the candidates' scores */
static void weigh(Spans *spans)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < spans->count; i++)
        max = fmax(max, (double)spans->found[i].score);
    for (int64_t i = 0; i < spans->count; i++)
        sum += spans->found[i].probability = maths_exp((double)spans->found[i].score - max);
    for (int64_t i = 0; i < spans->count; i++)
        spans->found[i].probability /= sum;
}

/* Where nothing, or nothing but the empty text, is there: the word that the source has for it, in front. */
static void mend(Spans *spans)
{
    if (spans->count > 1 || (spans->count == 1 && !is_empty(&spans->found[0])))
        return;
    add(spans, &(AnswerSpan){ .begin = SPANS_WORD, .end = SPANS_WORD });
    if (spans->count == 2) {
        const AnswerSpan first = spans->found[0];
        spans->found[0] = spans->found[1];
        spans->found[1] = first;
    }
}

/* -1: all are empty. */
static int64_t first_text(const Spans *spans)
{
    for (int64_t i = 0; i < spans->count; i++)
        if (!is_empty(&spans->found[i]))
            return i;
    return -1;
}

void spans_choose(Spans *spans, const SpansOptions *o)
{
    REQUIRE(spans->any);
    if (o->impossible)
        add(spans, &spans->none);
    sort(spans);
    spans->count = spans->count < o->n_best ? spans->count : o->n_best;
    if (o->impossible && !has_none(spans))
        add(spans, &spans->none);
    mend(spans);
    weigh(spans);
    spans->answer = o->impossible ? first_text(spans) : 0;
    if (!o->impossible || spans->answer < 0)
        return;
    const AnswerSpan *text = &spans->found[spans->answer];
    spans->odds = (double)(spans->none.score - text->start_logit - text->end_logit);
    if (spans->odds > o->threshold)
        spans->answer = -1;
}
