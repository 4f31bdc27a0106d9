#include "common/base/mem.h"
#include "launch/predict.h"

#include <stdlib.h>
#include <string.h>

typedef struct Tagger {
    Session *session;
    const PredictInput *input;
    Encoding encoding;
    const char **text; /* words of a line, into it */
    size_t *size, room;
} Tagger;

/* {"tokens": [...], "tags": [...]}; null for words that max_length cut off, or that have no token. */
static json_t *answer(const Tagger *t, const WordList *words, const float *logits)
{
    const ModelArch *arch = t->session->base.adapted.arch;
    const Encoding *e = &t->encoding;
    json_t *out = json_object(), *tokens = json_array(), *tags = json_array();
    for (int64_t i = 0; i < words->count; i++) {
        json_array_append_new(tokens, json_stringn(words->text[i], words->size[i]));
        json_array_append_new(tags, json_null());
    }
    for (int64_t i = 0, last = -1; i < e->count; last = e->words[i++]) {
        if (e->words[i] < 0 || e->words[i] == last)
            continue;
        const int64_t best = predict_best(logits + i * arch->head.labels, arch->head.labels);
        json_array_set_new(tags, (size_t)e->words[i], json_string(arch->head.label_names[best]));
    }
    json_object_set_new(out, "tokens", tokens);
    json_object_set_new(out, "tags", tags);
    return out;
}

static bool add_logits(json_t *out, const Tagger *t, const float *logits)
{
    const int64_t labels = t->session->base.adapted.arch->head.labels;
    json_t *all = json_array();
    for (int64_t i = 0, last = -1; i < t->encoding.count; last = t->encoding.words[i++]) {
        if (t->encoding.words[i] < 0 || t->encoding.words[i] == last)
            continue;
        json_t *row = json_array();
        for (int64_t l = 0; l < labels; l++)
            json_array_append_new(row, json_real((double)logits[i * labels + l]));
        json_array_append_new(all, row);
    }
    return json_object_set_new(out, "logits", all) == 0;
}

static bool tag(Tagger *t, const WordList *words, Err *err)
{
    Session *s = t->session;
    const Encoding *e = &t->encoding;
    if (!tokenizer_encode_words(s->base.tokenizer, words, s->max_length, &t->encoding, err))
        return false;
    for (int64_t i = 0; i < e->count; i++)
        if (e->ids[i] >= s->base.adapted.arch->V)
            return err_set(err, ERR_INPUT, "the tokenizer gives id %d, the model has %lld words", e->ids[i],
                           (long long)s->base.adapted.arch->V);
    const int64_t start[] = { 0, e->count }, example[] = { 0 };
    const Batch batch = { .B = 1,
                          .N = e->count,
                          .start = start,
                          .ids = e->ids,
                          .example = example,
                          .types = s->base.adapted.arch->types > 1 ? e->types : NULL };
    if (e->count > 0 && !session_predict(s, &batch, err))
        return false;
    json_t *out = answer(t, words, s->logits);
    if (t->input->logits)
        add_logits(out, t, s->logits);
    return predict_print(out, err);
}

static bool tag_line(void *self, const char *line, size_t n, Err *err)
{
    Tagger *t = self;
    size_t count = 0;
    for (size_t at = 0; at < n;) {
        if (line[at] == ' ' || line[at] == '\t') {
            at++;
            continue;
        }
        size_t end = at;
        while (end < n && line[end] != ' ' && line[end] != '\t')
            end++;
        if (count == t->room) {
            t->room = t->room ? 2 * t->room : 64;
            t->text = xrealloc(t->text, t->room * sizeof *t->text);
            t->size = xrealloc(t->size, t->room * sizeof *t->size);
        }
        t->text[count] = line + at;
        t->size[count++] = end - at;
        at = end;
    }
    return tag(t, &(WordList){ t->text, t->size, (int64_t)count }, err);
}

static bool tag_row(void *self, const Record *record, Err *err)
{
    return tag(self, &record->words, err);
}

bool predict_words(Session *session, const PredictInput *input, Err *err)
{
    Tagger t = { .session = session, .input = input };
    const RecordColumns columns = { .kind = ROWS_WORDS, .tokens = input->run->data.tokens };
    const bool ok = predict_as_rows(input, columns.kind) ? predict_rows(input, &columns, tag_row, &t, err)
                                                         : predict_lines(input, tag_line, &t, err);
    encoding_release(&t.encoding);
    free(t.text);
    free(t.size);
    return ok;
}
