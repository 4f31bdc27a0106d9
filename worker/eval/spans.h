/* spans - from the two logits of every token of a question's windows to the answer.
 *
 * Of each window the n_best largest starts meet its n_best largest ends, over all places of the row, padding included;
 * those pairs count whose tokens are of the context, in order, at most `longest` tokens. The n_best of all windows
 * are the candidates. Where there may be no answer, the first token's sum is what none is worth, of the window where it
 * is least. Sums are of floats. Among equal logits the later token comes first. Source: Transformers' examples,
 * question-answering/utils_qa.py.
 *
 * Owner: whoever holds the Spans. Threads: any, one at a time a Spans. */
#ifndef WORKER_EVAL_SPANS_H
#define WORKER_EVAL_SPANS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct SpansOptions {
    int64_t n_best, longest;
    bool impossible; /* a question may have no answer */
    double threshold; /* which is given when its odds are above this */
} SpansOptions;

/* Instead of places: the answer is the word "empty", which the source gives where there is no candidate. */
enum { SPANS_WORD = -1 };

/* An answer: characters [begin, end) of the context; none where it is empty. */
typedef struct AnswerSpan {
    int64_t begin, end;
    float score, start_logit, end_logit;
    double probability; /* among the candidates */
} AnswerSpan;

/* Zeroed is empty; used again for the next question. */
typedef struct Spans {
    AnswerSpan *found; /* [count], owned: the candidates, best first, behind spans_choose */
    int64_t count, room;
    AnswerSpan none; /* of the window where it is least */
    bool any; /* there was a window */
    int64_t answer; /* the chosen one; -1: no answer, where there may be none */
    double odds; /* of that: its sum less the best other one's */
} Spans;

void spans_begin(Spans *spans);
void spans_release(Spans *spans);

/* A window: logits[T][2] of its tokens' starts and ends, offsets[T][2] in characters of the context, -1 of other tokens. */
void spans_add(Spans *spans, const SpansOptions *options, const float *logits, const int32_t *offsets, int64_t T);

/* Behind the last window. */
void spans_choose(Spans *spans, const SpansOptions *options);

#endif
