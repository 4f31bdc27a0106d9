#include "worker/data/rows_questions.h"

#include "common/metrics/words.h"
#include "worker/data/answers.h"

typedef struct Window {
    int64_t first, end; /* positions of its context's tokens */
    int64_t n, width; /* tokens, and with padding */
    int64_t cls;
} Window;

/* Where the first of these tokens stands that the tokenizer has; else 0. */
static int64_t find_cls(const Tokenizer *tokenizer, const Encoding *e)
{
    static const char *const names[] = { "cls_token", "bos_token" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int32_t id = tokenizer_special(tokenizer, names[i]);
        for (int64_t t = 0; id >= 0 && t < e->count; t++)
            if (e->ids[t] == id)
                return t;
    }
    return 0;
}

static int32_t pad_of(const Examples *x)
{
    static const char *const names[] = { "pad_token", "eos_token" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int32_t id = tokenizer_special(x->tokenizer, names[i]);
        if (id >= 0 && id < x->arch->V)
            return id;
    }
    return x->arch->pad_id >= 0 ? (int32_t)x->arch->pad_id : 0;
}

/* The first and the last token of the answer. Where it begins in the window's last token, the source's walk goes on over
 * what follows, whose offsets are 0, to the end of the row; so does this. */
static void find_goal(const Encoding *e, const Window *w, const Answer *answer, float goal[2])
{
    const int32_t *offsets = e->offsets;
    goal[0] = goal[1] = (float)w->cls;
    if (!answer || w->first >= w->end || offsets[2 * w->first] > answer->begin ||
        offsets[2 * (w->end - 1) + 1] < answer->end)
        return;
    int64_t start = w->first, end = w->end - 1;
    while (start < w->end && offsets[2 * start] <= answer->begin)
        start++;
    while (end >= w->first && offsets[2 * end + 1] >= answer->end)
        end--;
    goal[0] = (float)((start == w->end ? w->width : start) - 1);
    goal[1] = (float)(end + 1);
}

static void add_window(Examples *x, const PairTokens *counts, int64_t from, int64_t count, const Answer *answer)
{
    Encoding *e = &x->encoding;
    QuestionsBuilder *q = &x->questions;
    Window w = { .first = tokenizer_pair_window(x->tokenizer, counts, from, count, e) };
    float goal[2];
    w.end = w.first + count;
    w.n = e->count;
    w.width = x->options->padded ? x->options->max_length : w.n;
    w.cls = find_cls(x->tokenizer, e);
    find_goal(e, &w, answer, goal);
    for (int64_t t = 0; t < w.n; t++)
        if (t < w.first || t >= w.end)
            e->offsets[2 * t] = e->offsets[2 * t + 1] = QUESTIONS_NO_CONTEXT;
    examples_ids(x, e->ids, e->types, w.n);
    questions_window(q, e->offsets, w.n, w.n);
    for (int64_t t = w.n; t < w.width; t++) {
        const int32_t none[] = { QUESTIONS_NO_CONTEXT, QUESTIONS_NO_CONTEXT }, type = 0;
        examples_ids(x, &q->pad_id, &type, 1);
        int32s_add(&q->offsets, none, 2);
    }
    examples_goal(x, goal);
    examples_end(x, w.width);
}

/* Tokens of the context that a window has room for. */
static bool find_room(const Examples *x, const PairTokens *counts, int64_t *room, Err *bad)
{
    const DatasetOptions *o = x->options;
    *room = o->max_length - counts->text - counts->specials;
    if (counts->pair <= *room || *room > o->doc_stride)
        return true;
    err_set(
        bad, ERR_INPUT,
        *room > 0
            ? "the question has %lld tokens, which leaves room for %lld of the context: no more than data.doc_stride"
            : "the question has %lld tokens, which leaves no room for the context",
        (long long)counts->text, (long long)*room);
    return err_hint(bad, "raise data.max_length (it is %lld) or lower data.doc_stride (%lld); questions are never cut",
                    (long long)o->max_length, (long long)o->doc_stride);
}

/* By the tokenizer's truncation_side from the beginning of the context on, or from its end. */
static void add_windows(Examples *x, const PairTokens *counts, int64_t room, const Answer *answer)
{
    const int64_t step = room - x->options->doc_stride, N = counts->pair;
    if (N <= room) {
        add_window(x, counts, 0, N, answer);
        return;
    }
    for (int64_t at = 0;; at += step) {
        const int64_t left = N - at, count = left < room ? left : room;
        add_window(x, counts, counts->from_end ? left - count : at, count, answer);
        if (count == left)
            return;
    }
}

static bool check(const Examples *x, const WantedAnswers *answers, Err *bad)
{
    if (answers->count > 0 || !x->options->labelled || x->options->impossible)
        return true;
    err_set(bad, ERR_INPUT, "the question has no answer");
    return err_hint(bad, "where some have none: data.version_2_with_negative: true");
}

/* All tokens at once, as windows hold no others. */
static bool check_tokens(Examples *x, const PairTokens *counts, Err *bad)
{
    tokenizer_pair_window(x->tokenizer, counts, 0, counts->pair, &x->encoding);
    return examples_check_some(&x->encoding, bad) && examples_check_ids(x->arch, &x->encoding, bad);
}

static void note(Examples *x, const Record *r, const WantedAnswers *answers)
{
    QuestionsBuilder *q = &x->questions;
    q->impossible = x->options->impossible;
    q->pad_id = pad_of(x);
    questions_begin(q);
    questions_text(q, r->pair, r->pair_size);
    for (int64_t i = 0; i < answers->count; i++)
        questions_text(q, answers->list[i].text, answers->list[i].size);
}

bool rows_add_questions(Examples *x, const Record *r, Err *bad)
{
    WantedAnswers answers = { 0 };
    PairTokens counts = { 0 };
    int64_t room = 0;
    size_t space = 0;
    for (size_t n; space < r->text_size && (n = words_space(r->text + space, r->text_size - space)) > 0;)
        space += n;
    const bool ok = (!x->options->labelled || answers_read(&answers, r, bad)) && check(x, &answers, bad) &&
                    tokenizer_pair_begin(x->tokenizer, r->text + space, r->text_size - space, r->pair, r->pair_size,
                                         &counts, &x->encoding, bad) &&
                    find_room(x, &counts, &room, bad) && check_tokens(x, &counts, bad);
    if (ok) {
        note(x, r, &answers);
        add_windows(x, &counts, room, answers.count > 0 ? &answers.list[0] : NULL);
    }
    answers_release(&answers);
    return ok;
}
