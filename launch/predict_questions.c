#include "common/base/mem.h"
#include "launch/predict.h"
#include "worker/data/examples.h"
#include "worker/data/rows.h"
#include "worker/eval/measure_answers.h"
#include "worker/train/settings.h"

#include <stdlib.h>
#include <string.h>

typedef struct Asker {
    Session *session;
    const PredictInput *input;
    DatasetOptions options;
    SpansOptions choice;
    Examples examples; /* windows of one question */
    Spans spans;
} Asker;

/* Text and place; null: of no answer, or of the word that stands for none. */
static void add_span(json_t *out, const Asker *a, const Record *r, const AnswerSpan *span)
{
    size_t n;
    const char *text = measure_answers_text(r->pair, r->pair_size, span, &n);
    const bool placed = span && span->begin != SPANS_WORD && n > 0;
    json_object_set_new(out, "text", json_stringn(text, n));
    json_object_set_new(out, "start", placed ? json_integer(span->begin) : json_null());
    json_object_set_new(out, "end", placed ? json_integer(span->end) : json_null());
    if (!span)
        return;
    json_object_set_new(out, "score", json_real(span->probability));
    if (a->input->logits) {
        json_object_set_new(out, "start_logit", json_real((double)span->start_logit));
        json_object_set_new(out, "end_logit", json_real((double)span->end_logit));
    }
}

/* The candidate that stands for no answer. */
static const AnswerSpan *none_of(const Spans *spans)
{
    for (int64_t i = 0; i < spans->count; i++)
        if (spans->found[i].begin == 0 && spans->found[i].end == 0)
            return &spans->found[i];
    return NULL;
}

static json_t *answer_of(const Asker *a, const Record *r)
{
    const Spans *spans = &a->spans;
    json_t *out = json_object(), *list = json_array();
    if (r->id)
        json_object_set(out, "id", (json_t *)(uintptr_t)r->id);
    add_span(out, a, r, spans->answer >= 0 ? &spans->found[spans->answer] : none_of(spans));
    if (a->choice.impossible)
        json_object_set_new(out, "null_odds", json_real(spans->odds));
    for (int64_t i = 0; i < spans->count && i < a->input->most_answers; i++) {
        json_t *one = json_object();
        add_span(one, a, r, &spans->found[i]);
        json_array_append_new(list, one);
    }
    if (a->input->most_answers > 0)
        json_object_set(out, "nbest", list);
    json_decref(list);
    return out;
}

/* The windows [first, end), as a batch. */
static bool look(Asker *a, int64_t first, int64_t end, Err *err)
{
    const Examples *x = &a->examples;
    const int64_t from = x->start.data[first], B = end - first;
    int64_t *start = xmalloc((size_t)(B + 1) * sizeof *start), *example = xcalloc((size_t)B, sizeof *example);
    for (int64_t b = 0; b <= B; b++)
        start[b] = (first + b < x->count ? x->start.data[first + b] : x->tokens) - from;
    const Batch batch = { .B = B,
                          .N = start[B],
                          .start = start,
                          .real = x->questions.real.data + first,
                          .ids = x->ids.data + from,
                          .types = x->arch->types > 1 ? x->types.data + from : NULL,
                          .example = example };
    const bool ok = session_predict(a->session, &batch, err);
    for (int64_t b = 0; ok && b < B; b++)
        spans_add(&a->spans, &a->choice, a->session->logits + 2 * start[b],
                  x->questions.offsets.data + 2 * (from + start[b]), start[b + 1] - start[b]);
    free(example);
    free(start);
    return ok;
}

static bool ask(void *self, const Record *r, Err *err)
{
    Asker *a = self;
    Examples *x = &a->examples;
    examples_clear(x);
    spans_begin(&a->spans);
    if (!rows_add(x, r, err))
        return false;
    for (int64_t first = 0, end; first < x->count; first = end) {
        for (end = first + 1; end < x->count; end++)
            if ((end + 1 < x->count ? x->start.data[end + 1] : x->tokens) - x->start.data[first] >
                a->session->most_tokens)
                break;
        if (!look(a, first, end, err))
            return false;
    }
    spans_choose(&a->spans, &a->choice);
    return predict_print(answer_of(a, r), err);
}

static bool ask_line(void *self, const char *line, size_t n, Err *err)
{
    const char *tab = memchr(line, '\t', n);
    if (!tab) {
        err_set(err, ERR_INPUT, "there is no TAB between a question and its context");
        return err_hint(err, "or name a .jsonl file with fields 'question' and 'context'");
    }
    const Record r = {
        .text = line, .text_size = (size_t)(tab - line), .pair = tab + 1, .pair_size = n - (size_t)(tab - line) - 1
    };
    return ask(self, &r, err);
}

bool predict_questions(Session *session, const PredictInput *input, Err *err)
{
    Asker a = { .session = session,
                .input = input,
                .options = settings_data(input->run, &input->run->data.test),
                .choice = settings_spans(input->run) };
    a.options.labelled = false;
    a.options.max_length = session->max_length;
    a.examples =
        (Examples){ .options = &a.options, .arch = session->base.adapted.arch, .tokenizer = session->base.tokenizer };
    const RecordColumns columns = { .kind = ROWS_QUESTIONS, .text = a.options.text, .pair = a.options.text_pair };
    const bool ok = predict_as_rows(input, columns.kind) ? predict_rows(input, &columns, ask, &a, err)
                                                         : predict_lines(input, ask_line, &a, err);
    examples_release(&a.examples);
    spans_release(&a.spans);
    return ok;
}
