#include "launch/serve/questions.h"

#include "common/base/mem.h"
#include "worker/data/examples.h"
#include "worker/data/rows.h"
#include "worker/eval/measure_answers.h"
#include "worker/train/settings.h"

#include <stdlib.h>
#include <string.h>

/* What a request wants of its answer. */
typedef struct QuestionForm {
    ExchangeForm form;
    json_t *body; /* owned: the contexts lie in it */
    bool listed, several; /* a list of questions; of answers to each */
    int64_t top; /* most answers to each */
    SpansOptions choice;
    int64_t *first; /* [count + 1] window of each question; owned */
    int64_t count;
    Examples examples; /* the windows of all */
    DatasetOptions options;
} QuestionForm;

static void free_form(void *self)
{
    QuestionForm *form = self;
    examples_release(&form->examples);
    json_decref(form->body);
    free(form->first);
    free(form);
}

/* ---- answers ------------------------------------------------------------------------------------ */

static const json_t *question_at(const QuestionForm *form, int64_t i)
{
    const json_t *inputs = json_object_get(form->body, "inputs");
    return form->listed ? json_array_get(inputs, (size_t)i) : inputs;
}

/* {"answer", "score", "start", "end"}; span NULL: there is none. */
static json_t *answer_of(const json_t *context, const AnswerSpan *span)
{
    const bool placed = span && span->begin != SPANS_WORD;
    size_t n = 0;
    const char *text =
        placed ? measure_answers_text(json_string_value(context), json_string_length(context), span, &n) : "";
    return json_pack("{s:f, s:I, s:I, s:o}", "score", span ? span->probability : 0.0, "start",
                     (json_int_t)(placed ? span->begin : 0), "end", (json_int_t)(placed ? span->end : 0), "answer",
                     json_stringn(text, n));
}

/* The chosen answer of those found, or no answer. */
static const AnswerSpan *chosen(const Spans *spans)
{
    if (spans->answer >= 0)
        return &spans->found[spans->answer];
    for (int64_t i = 0; i < spans->count; i++)
        if (spans->found[i].begin == 0 && spans->found[i].end == 0)
            return &spans->found[i];
    return NULL;
}

static json_t *answers_of(const QuestionForm *form, const ServeExchange *x, int64_t i, Spans *spans)
{
    const json_t *context = json_object_get(question_at(form, i), "context");
    const Examples *windows = &form->examples;
    spans_begin(spans);
    for (int64_t w = form->first[i]; w < form->first[i + 1]; w++)
        spans_add(spans, &form->choice, x->jobs[w].logits, windows->questions.offsets.data + 2 * windows->start.data[w],
                  x->jobs[w].encoding.count);
    spans_choose(spans, &form->choice);
    if (!form->several)
        return answer_of(context, chosen(spans));
    json_t *list = json_array();
    for (int64_t n = 0; n < spans->count && n < form->top; n++)
        json_array_append_new(list, answer_of(context, &spans->found[n]));
    return list;
}

static void answer(Service *s, HttpRequest *request, ServeExchange *x)
{
    (void)s;
    const QuestionForm *form = x->form;
    Spans spans = { 0 };
    json_t *all = json_array();
    for (int64_t i = 0; i < form->count; i++)
        json_array_append_new(all, answers_of(form, x, i, &spans));
    spans_release(&spans);
    service_json(request, 200, form->listed ? json_incref(all) : json_incref(json_array_get(all, 0)));
    json_decref(all);
}

/* ---- requests ------------------------------------------------------------------------------------- */

static bool take_number(int64_t *value, const json_t *given, const char *name, int64_t most, Refusal *r)
{
    if (!json_is_integer(given) || json_integer_value(given) < 1 || json_integer_value(given) > most)
        return refuse(r, 422, name, NULL, "'%s' is a number from 1 to %lld", name, (long long)most);
    *value = json_integer_value(given);
    return true;
}

/* The pipeline's parameters; those that are not built are refused by name. */
static bool take_parameters(QuestionForm *form, Refusal *r)
{
    json_t *all = json_object_get(form->body, "parameters"), *value;
    const char *name;
    if (all && !json_is_null(all) && !json_is_object(all))
        return refuse(r, 422, "parameters", NULL, "'parameters' are an object");
    json_object_foreach(all, name, value)
    {
        bool ok = true;
        if (json_is_null(value))
            continue;
        if (strcmp(name, "top_k") == 0)
            ok = take_number(&form->top, value, "top_k", form->choice.n_best, r);
        else if (strcmp(name, "max_answer_len") == 0)
            ok = take_number(&form->choice.longest, value, "max_answer_len", form->options.max_length, r);
        else
            return refuse(r, 422, "parameters", NULL, "there is no parameter '%.200s'; top_k and max_answer_len are",
                          name);
        if (!ok)
            return false;
    }
    form->several = form->top > 1;
    return true;
}

static bool take_question(QuestionForm *form, int64_t i, int64_t most, Refusal *r)
{
    const json_t *question = json_object_get(question_at(form, i), "question"),
                 *context = json_object_get(question_at(form, i), "context");
    Err err = { 0 };
    if (!json_is_string(question) || !json_is_string(context) || json_string_length(context) == 0)
        return refuse(r, 422, "inputs", NULL,
                      "an input is {\"question\": ..., \"context\": ...}, two texts; several are a list of these");
    const Record record = { .text = json_string_value(question),
                            .text_size = json_string_length(question),
                            .pair = json_string_value(context),
                            .pair_size = json_string_length(context) };
    if (!rows_add(&form->examples, &record, &err))
        return refuse_err(r, 422, "inputs", &err);
    form->first[i + 1] = form->examples.count;
    return form->examples.count <= most ||
           refuse(r, 413, "inputs", NULL, "%lld windows are more than the %lld rows of a request",
                  (long long)form->examples.count, (long long)most);
}

static bool take_questions(const Service *s, QuestionForm *form, Refusal *r)
{
    const json_t *inputs = json_object_get(form->body, "inputs");
    const int64_t most = s->options.most_batch;
    form->listed = json_is_array(inputs);
    form->count = form->listed ? (int64_t)json_array_size(inputs) : 1;
    if (form->count < 1 || form->count > most)
        return refuse(r, form->count < 1 ? 422 : 413, "inputs", NULL, "'inputs' are 1 to %lld questions",
                      (long long)most);
    form->first = xcalloc((size_t)form->count + 1, sizeof *form->first);
    bool ok = true;
    for (int64_t i = 0; ok && i < form->count; i++)
        ok = take_question(form, i, most, r);
    return ok;
}

/* A job a window. */
static void make_jobs(ServeExchange *x, const Examples *windows)
{
    for (int64_t w = 0; w < windows->count; w++) {
        const int64_t from = windows->start.data[w],
                      n = (w + 1 < windows->count ? windows->start.data[w + 1] : windows->tokens) - from;
        Encoding *e = &x->jobs[w].encoding;
        *e = (Encoding){ .ids = xcalloc((size_t)n, sizeof *e->ids), .types = xcalloc((size_t)n, sizeof *e->types) };
        e->count = n;
        memcpy(e->ids, windows->ids.data + from, (size_t)n * sizeof *e->ids);
        if (windows->arch->types > 1)
            memcpy(e->types, windows->types.data + from, (size_t)n * sizeof *e->types);
    }
}

static QuestionForm *new_form(const Service *s, json_t *takes)
{
    const Session *session = s->options.session;
    QuestionForm *form = xcalloc(1, sizeof *form);
    *form = (QuestionForm){ .form = { answer, NULL },
                            .body = takes,
                            .top = 1,
                            .choice = settings_spans(s->options.run),
                            .options = settings_data(s->options.run, &s->options.run->data.test) };
    form->options.labelled = form->options.padded = false;
    form->options.max_length = session->max_length;
    form->examples = (Examples){ .options = &form->options,
                                 .arch = session->base.adapted.arch,
                                 .tokenizer = session->base.tokenizer };
    return form;
}

void questions_predict(Service *s, HttpRequest *request, Refusal *r)
{
    json_t *body = service_body(request, r);
    if (!body)
        return;
    QuestionForm *form = new_form(s, body);
    ServedAdapter *served = take_parameters(form, r) && take_questions(s, form, r) ? service_choose(s, body, r) : NULL;
    if (!served) {
        free_form(form);
        return;
    }
    ServeExchange *x = exchange_new(request, served, form->examples.count);
    x->form = form;
    x->form_free = free_form;
    make_jobs(x, &form->examples);
    if (service_start(s, request, x, r))
        http_wait(request);
}
