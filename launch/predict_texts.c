#include "common/base/mem.h"
#include "launch/predict.h"
#include "worker/data/examples.h"

#include <stdlib.h>
#include <string.h>

/* Lines that wait for the model, laid end to end. */
typedef struct WaitingTexts {
    Session *session;
    const PredictInput *input;
    int64_t count, tokens;
    int64_t start[PREDICT_BATCH + 1], example[PREDICT_BATCH];
    NamedAdapter *named[PREDICT_BATCH]; /* of several adapters who answers */
    PredictGive give;
    void *self; /* of give */
    Encoding encoding;
    Text joined; /* a prompt with its text */
} WaitingTexts;

/* Of several adapters: each answers by its own labels. */
static bool print_mixed(WaitingTexts *p, const Batch *batch, Err *err)
{
    int64_t room = 0;
    for (int64_t b = 0; b < p->count; b++)
        room += adapter_arch(p->named[b]->adapter)->head.labels;
    float *logits = xcalloc((size_t)room + 1, sizeof *logits), *at = logits;
    bool ok = predict_mixed(p->session, batch, p->named, logits, err);
    for (int64_t b = 0; ok && b < p->count; b++) {
        const ModelArch *arch = adapter_arch(p->named[b]->adapter);
        json_t *line = predict_classes(arch, at, p->input->logits);
        json_object_set_new(line, ADAPTER_FIELD, json_string(p->named[b]->name));
        ok = predict_print(line, err);
        at += arch->head.labels;
    }
    free(logits);
    return ok;
}

static bool print_answers(WaitingTexts *p, Err *err)
{
    Session *s = p->session;
    const Batch batch = { .B = p->count,
                          .N = p->tokens,
                          .start = p->start,
                          .ids = s->room.ids,
                          .types = s->base.adapted.arch->types > 1 ? s->room.types : NULL,
                          .example = p->example };
    const bool mixed = p->input->named_count > 0;
    bool ok = p->count == 0 || (mixed ? print_mixed(p, &batch, err) : session_predict(s, &batch, err));
    for (int64_t b = 0; ok && !mixed && b < p->count; b++)
        ok = p->give(p->self, s->logits + b * s->base.adapted.arch->head.labels, err);
    p->count = p->tokens = 0;
    return ok;
}

static bool add_encoding(WaitingTexts *p, Err *err)
{
    Session *s = p->session;
    const Encoding *e = &p->encoding;
    if ((p->count == PREDICT_BATCH || p->tokens + e->count > s->most_tokens) && !print_answers(p, err))
        return false;
    for (int64_t i = 0; i < e->count; i++)
        if (e->ids[i] >= s->base.adapted.arch->V)
            return err_set(err, ERR_INPUT, "the tokenizer gives id %d, the model has %lld words", e->ids[i],
                           (long long)s->base.adapted.arch->V);
    memcpy(s->room.ids + p->tokens, e->ids, (size_t)e->count * sizeof *e->ids);
    memcpy(s->room.types + p->tokens, e->types, (size_t)e->count * sizeof *e->types);
    p->start[p->count] = p->tokens;
    p->example[p->count] = p->count;
    p->tokens += e->count;
    p->start[++p->count] = p->tokens;
    return true;
}

/* pair NULL: one text. named NULL: there is one adapter. */
static bool add_text(WaitingTexts *p, NamedAdapter *named, const char *text, size_t n, const char *pair, size_t pair_n,
                     Err *err)
{
    const Session *s = p->session;
    if (p->input->prompt) {
        text_clear(&p->joined);
        text_adds(&p->joined, p->input->prompt);
        text_add(&p->joined, text, n);
        text = p->joined.data ? p->joined.data : "";
        n = p->joined.size;
    }
    if (!tokenizer_encode(s->base.tokenizer, text, n, pair, pair_n, s->max_length, &p->encoding, err) ||
        !examples_check_some(&p->encoding, err) || !add_encoding(p, err))
        return false;
    p->named[p->count - 1] = named;
    return p->input->path || print_answers(p, err);
}

static bool add_line(void *self, const char *line, size_t n, Err *err)
{
    const char *tab = memchr(line, '\t', n);
    const size_t first = tab ? (size_t)(tab - line) : n;
    const WaitingTexts *p = self;
    if (p->input->named_count > 0)
        return predict_adapter(p->input, NULL, err) != NULL;
    return add_text(self, NULL, line, first, tab ? tab + 1 : NULL, tab ? n - first - 1 : 0, err);
}

static bool add_row(void *self, const Record *r, Err *err)
{
    const WaitingTexts *p = self;
    NamedAdapter *named = p->input->named_count > 0 ? predict_adapter(p->input, r, err) : NULL;
    return (named || p->input->named_count == 0) &&
           add_text(self, named, r->text, r->text_size, r->pair, r->pair_size, err);
}

bool predict_each(Session *session, const PredictInput *input, const char *column, PredictGive give, void *self,
                  Err *err)
{
    WaitingTexts *p = xcalloc(1, sizeof *p);
    p->session = session;
    p->input = input;
    p->give = give;
    p->self = self;
    const DataConfig *d = &input->run->data;
    const RecordColumns columns = { .kind = ROWS_LABELLED,
                                    .text = column ? column : d->text,
                                    .pair = column ? NULL : d->text_pair,
                                    .label = input->named_count > 0 ? ADAPTER_FIELD : NULL };
    const bool read = predict_as_rows(input, columns.kind) ? predict_rows(input, &columns, add_row, p, err)
                                                           : predict_lines(input, add_line, p, err);
    const bool ok = read && print_answers(p, err);
    encoding_release(&p->encoding);
    text_release(&p->joined);
    free(p);
    return ok;
}

/* Whose classes an answer is of. */
typedef struct Answers {
    const Session *session;
    const PredictInput *input;
} Answers;

static bool print_classes(void *self, const float *logits, Err *err)
{
    const Answers *a = self;
    return predict_print(predict_classes(a->session->base.adapted.arch, logits, a->input->logits), err);
}

bool predict_texts(Session *session, const PredictInput *input, Err *err)
{
    Answers answers = { session, input };
    return predict_each(session, input, NULL, print_classes, &answers, err);
}
