#include "common/base/mem.h"
#include "launch/predict.h"
#include "worker/data/examples.h"
#include "worker/eval/engine.h"
#include "worker/template/chat_template.h"

#include <stdlib.h>
#include <string.h>

/* Prompts that wait for the model, laid end to end. */
typedef struct Writer {
    Session *session;
    const PredictInput *input;
    TextEngine engine;
    GenerateOptions options;
    ChatTemplate *chat; /* opened with the first conversation */
    Encoding encoding;
    Int32s ids;
    int64_t most; /* tokens that a source is cut to; 0: a prompt, which is not cut */
    int64_t count, done; /* waiting; answered before them, which keys the draws */
    int64_t start[PREDICT_BATCH + 1], example[PREDICT_BATCH];
    NamedAdapter *next, *named[PREDICT_BATCH]; /* of several adapters who writes: the row's, and of those that wait */
} Writer;

static bool print_answers(Writer *w, Err *err)
{
    Generated texts[PREDICT_BATCH];
    const bool mixed = w->input->named_count > 0;
    Adapter *adapter[PREDICT_BATCH];
    for (int64_t b = 0; mixed && b < w->count; b++)
        adapter[b] = w->named[b]->adapter;
    const GeneratePrompts prompts = { w->count, w->start, w->ids.data, w->example, mixed ? adapter : NULL };
    if (w->count == 0)
        return true;
    bool ok = session_generate(w->session, texts, &w->options, &prompts, &w->engine, err);
    for (int64_t b = 0; b < w->count; b++) {
        Text text = { 0 };
        tokenizer_decode(w->session->base.tokenizer, texts[b].ids, texts[b].count, true, &text);
        json_t *line = json_object(); /* the text may hold a NUL */
        json_object_set_new(line, "text", json_stringn(text.data ? text.data : "", text.size));
        json_object_set_new(line, "tokens", json_integer((json_int_t)texts[b].count));
        if (mixed)
            json_object_set_new(line, ADAPTER_FIELD, json_string(w->named[b]->name));
        if (ok)
            ok = predict_print(line, err);
        else
            json_decref(line);
        text_release(&text);
        generated_release(&texts[b]);
    }
    w->done += w->count;
    w->count = 0;
    w->ids.count = 0;
    return ok;
}

/* A prompt without a token: nothing follows it, and the next one is read. */
static bool answer_nothing(Writer *w, Err *err)
{
    if (!print_answers(w, err))
        return false;
    w->done++;
    return predict_print(json_pack("{s:s, s:i}", "text", "", "tokens", 0), err);
}

/* What is in w->encoding waits, or is answered at once where a person waits for it. */
static bool add_prompt(Writer *w, Err *err)
{
    const Encoding *e = &w->encoding;
    const ModelArch *arch = w->session->base.adapted.arch;
    if (e->count == 0)
        return answer_nothing(w, err);
    if (e->count >= w->options.positions) {
        err_set(err, ERR_INPUT, "the prompt has %lld tokens, there is room for %lld with what follows",
                (long long)e->count, (long long)w->options.positions);
        return err_hint(err, "raise --max_length; the model has %lld positions", (long long)arch->positions);
    }
    if (!examples_check_ids(arch, e, err))
        return false;
    const int64_t begin = w->ids.count;
    int32s_add(&w->ids, e->ids, e->count);
    if (w->options.two_texts)
        int32s_put(&w->ids, (int32_t)arch->start_id);
    w->example[w->count] = w->done + w->count;
    w->named[w->count] = w->next;
    w->start[w->count + 1] = w->start[w->count] + w->ids.count - begin;
    w->count++;
    return (w->count < PREDICT_BATCH && w->input->path) || print_answers(w, err);
}

static bool add_line(void *self, const char *line, size_t n, Err *err)
{
    Writer *w = self;
    return tokenizer_encode(w->session->base.tokenizer, line, n, NULL, 0, w->most, &w->encoding, err) &&
           add_prompt(w, err);
}

static bool add_conversation(Writer *w, const json_t *messages, Err *err)
{
    const ChatOptions options = { .add_generation_prompt = true };
    Text text = { 0 };
    if (!w->chat && !(w->chat = chat_template_open(w->session->base.adapted.arch->folder, NULL, err)))
        return false;
    json_t *all = chat_with_system(messages, w->input->run->data.system);
    const bool ok =
        chat_template_render(w->chat, all, &options, &text, err) &&
        tokenizer_encode_plain(w->session->base.tokenizer, text.data ? text.data : "", text.size, &w->encoding, err) &&
        add_prompt(w, err);
    json_decref(all);
    text_release(&text);
    return ok;
}

static bool add_plain(void *self, const char *line, size_t n, Err *err)
{
    const Writer *w = self;
    if (w->input->named_count > 0)
        return predict_adapter(w->input, NULL, err) != NULL;
    return add_line(self, line, n, err);
}

static bool add_row(void *self, const Record *r, Err *err)
{
    Writer *w = self;
    if (w->input->named_count > 0 && !(w->next = predict_adapter(w->input, r, err)))
        return false;
    return r->messages ? add_conversation(self, r->messages, err) : add_line(self, r->text, r->text_size, err);
}

bool predict_prompts(Session *session, const PredictInput *input, Err *err)
{
    const DataConfig *d = &input->run->data;
    Writer *w = xcalloc(1, sizeof *w);
    w->session = session;
    w->input = input;
    bool ok = generate_options(&w->options, d, input->run->train.seed, session->base.adapted.arch, session->max_length,
                               session->base.tokenizer, err) &&
              session_writes(session, &w->engine, PREDICT_BATCH, err);
    ok = session_agree(session, ok);
    const int64_t room = session->max_length - d->max_new_tokens - 1, positions = session->base.adapted.arch->positions;
    w->most = !w->options.two_texts ? 0 : room < positions ? room : positions;
    const bool mixed = input->named_count > 0; /* rows with a second field, which says the adapter */
    const RecordColumns columns = { .kind = d->messages ? ROWS_MESSAGES
                                            : mixed     ? ROWS_LABELLED
                                                        : ROWS_TEXTS,
                                    .label = mixed ? ADAPTER_FIELD : NULL,
                                    .text = d->template_text ? NULL
                                            : d->prompt      ? d->prompt
                                                             : d->text,
                                    .form = d->template_text,
                                    .messages = d->messages };
    if (ok && predict_as_rows(input, columns.kind))
        ok = predict_rows(input, &columns, add_row, w, err);
    else
        ok = ok && predict_lines(input, add_plain, w, err);
    ok = ok && print_answers(w, err);
    text_engine_close(&w->engine);
    chat_template_close(w->chat);
    encoding_release(&w->encoding);
    int32s_release(&w->ids);
    free(w);
    return ok;
}
