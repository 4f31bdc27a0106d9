#include "launch/serve/texts.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "launch/serve/fields.h"
#include "launch/serve/inputs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STREAM_HEADERS "Cache-Control: no-cache\nX-Accel-Buffering: no\n"

/* What a request wants of its answer, and how much of it a stream has had. */
typedef struct TextForm {
    ExchangeForm form;
    TextFields fields;
    bool chat;
    char id[48];
    int64_t created;
    char *model; /* owned */
    Text *echo; /* [count] what stands before each text; owned */
    const Tokenizer *tokenizer;
    /* of a stream, [count], owned */
    size_t *sent; /* bytes of each text */
    int64_t *logged; /* tokens of each */
    bool *ended; /* its finish_reason was sent */
    bool begun;
    int64_t count;
} TextForm;

static void free_form(void *self)
{
    TextForm *form = self;
    for (int64_t i = 0; i < form->count; i++)
        text_release(&form->echo[i]);
    fields_release(&form->fields);
    free(form->model);
    free(form->echo);
    free(form->sent);
    free(form->logged);
    free(form->ended);
    free(form);
}

/* ---- prompts ----------------------------------------------------------------------------------------- */

/* Into job: count ids, with room for what follows. asked: tokens that were asked for, not the rest of the context. */
static bool take_ids(const Service *s, ServeJob *job, const int32_t *ids, int64_t count, const char *param, bool asked,
                     Refusal *r)
{
    GenerateOptions *o = &job->options;
    const int64_t room = o->positions - count, V = s->options.session->base.adapted.arch->V;
    if (count == 0)
        return refuse(r, 400, param, NULL, "the prompt has no token");
    if (room < 1 || (asked && o->max_new_tokens > room))
        return refuse(r, 400, param, "context_length_exceeded",
                      "the context has %lld tokens, and the prompt has %lld and %lld are asked for",
                      (long long)o->positions, (long long)count, (long long)(asked ? o->max_new_tokens : 1));
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= V)
            return refuse(r, 400, param, NULL, "token %d is none of the model's %lld", ids[i], (long long)V);
    o->max_new_tokens = o->max_new_tokens < room ? o->max_new_tokens : room;
    const TextForm *form = job->exchange->form;
    Err err = { 0 };
    if (form->fields.tops >= 0 && !(job->log = token_log_open(o->max_new_tokens, form->fields.tops, V, &err)))
        return refuse_err(r, 503, "logprobs", &err);
    job->writing.options = o;
    job->writing.adapter = job->exchange->served->named->adapter;
    job->writing.example = job - job->exchange->jobs;
    writing_init(&job->writing, ids, count);
    job->decoder = decode_stream_new(s->options.session->base.tokenizer, true);
    return true;
}

static bool take_text(const Service *s, ServeJob *job, const char *text, size_t n, bool plain, const char *param,
                      bool asked, Refusal *r)
{
    Err err = { 0 };
    const Tokenizer *tokenizer = s->options.session->base.tokenizer;
    const bool ok = plain ? tokenizer_encode_plain(tokenizer, text, n, s->encoding, &err)
                          : tokenizer_encode(tokenizer, text, n, NULL, 0, 0, s->encoding, &err);
    return ok ? take_ids(s, job, s->encoding->ids, s->encoding->count, param, asked, r)
              : refuse_err(r, 400, param, &err);
}

static bool take_list(const Service *s, ServeJob *job, const json_t *list, bool asked, Refusal *r)
{
    const int64_t count = (int64_t)json_array_size(list);
    int32_t *ids = xmalloc((size_t)count * sizeof *ids);
    for (int64_t i = 0; i < count; i++) {
        const json_int_t id = json_integer_value(json_array_get(list, (size_t)i));
        ids[i] = id >= 0 && id < INT32_MAX ? (int32_t)id : -1;
    }
    const bool ok = take_ids(s, job, ids, count, "prompt", asked, r);
    free(ids);
    return ok;
}

static bool take_prompt(const Service *s, ServeJob *job, const json_t *prompt, bool plain, bool asked, Refusal *r)
{
    if (json_is_string(prompt))
        return take_text(s, job, json_string_value(prompt), json_string_length(prompt), plain, "prompt", asked, r);
    if (inputs_are_ids(prompt))
        return take_list(s, job, prompt, asked, r);
    return refuse(r, 400, "prompt", NULL,
                  "'prompt' is a text, a list of texts, a list of token ids, or a list of such lists");
}

/* Messages as templates read them: content in parts becomes one text. */
static json_t *take_messages(const json_t *body, Refusal *r)
{
    const json_t *given = json_object_get(body, "messages");
    json_t *all = json_array();
    bool ok = json_array_size(given) > 0 || refuse(r, 400, "messages", NULL, "'messages' is a list of messages");
    for (size_t i = 0; ok && i < json_array_size(given); i++) {
        json_t *message = json_copy(json_array_get(given, i));
        const json_t *content = json_object_get(message, "content");
        Text text = { 0 };
        ok = json_is_string(json_object_get(message, "role")) && (json_is_string(content) || json_is_array(content));
        for (size_t k = 0; ok && k < json_array_size(content); k++) {
            const json_t *part = json_object_get(json_array_get(content, k), "text");
            ok = json_is_string(part);
            text_add(&text, ok ? json_string_value(part) : "", json_string_length(part));
        }
        if (!ok)
            refuse(r, 400, "messages", NULL,
                   "message %zu is not {\"role\": ..., \"content\": a text, or parts of texts}", i);
        else if (json_is_array(content))
            json_object_set_new(message, "content", json_stringn(text.data ? text.data : "", text.size));
        text_release(&text);
        json_array_append_new(all, message);
    }
    if (ok)
        return all;
    json_decref(all);
    return NULL;
}

bool texts_render(const Service *s, const json_t *body, bool generation, Text *text, Refusal *r)
{
    Err err = { 0 };
    const ChatOptions chat = { .add_generation_prompt = generation };
    json_t *messages = take_messages(body, r);
    if (!messages)
        return false;
    const char *why = s->chat_fault.what[0] ? s->chat_fault.what : "what is served takes no conversations";
    bool ok = s->chat || refuse(r, 400, "messages", NULL, "%s; give one text as 'prompt'", why);
    if (ok && !chat_template_render(s->chat, messages, &chat, text, &err))
        ok = refuse_err(r, 400, "messages", &err);
    json_decref(messages);
    return ok;
}

static bool take_chat(const Service *s, ServeJob *job, const json_t *body, bool asked, Refusal *r)
{
    Text text = { 0 };
    const bool ok = texts_render(s, body, true, &text, r) &&
                    take_text(s, job, text.data ? text.data : "", text.size, true, "messages", asked, r);
    text_release(&text);
    return ok;
}

/* ---- answers -------------------------------------------------------------------------------------------- */

static json_t *string_of(const char *bytes, size_t n)
{
    json_t *text = json_stringn(bytes ? bytes : "", n);
    return text ? text : json_string("");
}

/* A prompt of several texts counts once. */
static json_t *usage_of(const TextForm *form, const ServeExchange *x)
{
    int64_t prompts = 0, tokens = 0;
    for (int64_t i = 0; i < x->count; i++) {
        prompts += i % form->fields.n == 0 ? x->jobs[i].writing.prompt : 0;
        tokens += x->jobs[i].tokens;
    }
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)prompts, "completion_tokens", (json_int_t)tokens,
                     "total_tokens", (json_int_t)(prompts + tokens));
}

static json_t *head_of(const TextForm *form, const char *object)
{
    return json_pack("{s:s, s:s, s:I, s:s}", "id", form->id, "object", object, "created", (json_int_t)form->created,
                     "model", form->model);
}

static const char *reason_of(const ServeJob *job)
{
    return job->stopped ? "stop" : "length";
}

/* What is known of the tokens [from, to) of a text. */
static json_t *logprobs_of(const TextForm *form, const ServeJob *job, int64_t from, int64_t to)
{
    if (!job->log)
        return json_null();
    const Writing *w = &job->writing;
    const TokenLogPart part = {
        .log = job->log,
        .tokenizer = form->tokenizer,
        .before = w->ids[w->prompt - 1],
        .from = from,
        .to = to,
        .text = &job->text,
    };
    return form->chat ? token_log_chat(&part) : token_log_completion(&part);
}

/* Tokens of a text that is done: what a stop string took away is none of it. */
static int64_t logged_of(const ServeJob *job)
{
    return job->log && job->writing.stop_at >= 0 ? token_log_within(job->log, job->tokens, job->text.size)
                                                 : job->tokens;
}

static json_t *choice_of(const TextForm *form, const ServeExchange *x, int64_t i)
{
    const ServeJob *job = &x->jobs[i];
    Text whole = { 0 };
    text_add(&whole, form->echo[i].data ? form->echo[i].data : "", form->echo[i].size);
    text_add(&whole, job->text.data ? job->text.data : "", job->text.size);
    json_t *text = string_of(whole.data, whole.size);
    json_t *choice = json_pack("{s:I, s:s, s:o}", "index", (json_int_t)i, "finish_reason", reason_of(job), "logprobs",
                               logprobs_of(form, job, 0, logged_of(job)));
    text_release(&whole);
    if (form->chat)
        json_object_set_new(choice, "message", json_pack("{s:s, s:o}", "role", "assistant", "content", text));
    else
        json_object_set_new(choice, "text", text);
    if (form->fields.ids) {
        json_t *ids = json_array();
        for (int64_t k = job->writing.prompt; k < job->writing.count; k++)
            json_array_append_new(ids, json_integer(job->writing.ids[k]));
        json_object_set_new(choice, "token_ids", ids);
    }
    return choice;
}

static void answer(Service *s, HttpRequest *request, ServeExchange *x)
{
    (void)s;
    const TextForm *form = x->form;
    json_t *whole = head_of(form, form->chat ? "chat.completion" : "text_completion"), *choices = json_array();
    for (int64_t i = 0; i < x->count; i++)
        json_array_append_new(choices, choice_of(form, x, i));
    json_object_set_new(whole, "choices", choices);
    json_object_set_new(whole, "usage", usage_of(form, x));
    service_json(request, 200, whole);
}

/* Takes the object. */
static void add_event(Text *out, json_t *takes)
{
    char *text = json_dumps(takes, JSON_COMPACT | JSON_REAL_PRECISION(9));
    text_addf(out, "data: %s\n\n", text);
    free(text);
    json_decref(takes);
}

/* One choice of a chunk. */
typedef struct TextPiece {
    int64_t index;
    json_t *text, *logprobs; /* taken; NULL: none */
    bool first; /* of its message: the role */
    const char *reason; /* NULL: it goes on */
} TextPiece;

static void add_chunk(const TextForm *form, const TextPiece *piece, Text *out)
{
    json_t *chunk = head_of(form, form->chat ? "chat.completion.chunk" : "text_completion");
    json_t *choice = json_pack("{s:I, s:s?, s:o}", "index", (json_int_t)piece->index, "finish_reason", piece->reason,
                               "logprobs", piece->logprobs ? piece->logprobs : json_null());
    if (form->chat) {
        json_t *delta = piece->first ? json_pack("{s:s}", "role", "assistant") : json_object();
        if (piece->text || piece->first)
            json_object_set_new(delta, "content", piece->text ? piece->text : json_string(""));
        json_object_set_new(choice, "delta", delta);
    } else {
        json_object_set_new(choice, "text", piece->text ? piece->text : json_string(""));
    }
    json_object_set_new(chunk, "choices", json_pack("[o]", choice));
    add_event(out, chunk);
}

/* Bytes at the end of text[0, n) that may be the beginning of a stop string. */
static size_t held_back(const StringList *stop, const char *text, size_t n)
{
    size_t held = 0;
    for (int i = 0; i < stop->count; i++)
        for (size_t k = strlen(stop->items[i]) - 1; k > held; k--)
            if (k <= n && memcmp(text + n - k, stop->items[i], k) == 0)
                held = k;
    return held;
}

/* Tokens up to `to` that were not sent with their text yet. */
static json_t *fresh_logprobs(TextForm *form, const ServeJob *job, int64_t i, int64_t to)
{
    const int64_t from = form->logged[i];
    if (to <= from)
        return NULL;
    form->logged[i] = to;
    return logprobs_of(form, job, from, to);
}

/* What is new of a choice. */
static void add_news(TextForm *form, const ServeExchange *x, int64_t i, Text *out)
{
    const ServeJob *job = &x->jobs[i];
    const bool done = job->state == JOB_DONE;
    const size_t size = job->text.size, held = done ? 0 : held_back(&form->fields.stop, job->text.data, size);
    const size_t from = form->sent[i], to = size - held;
    if (to > from) {
        json_t *known = job->log ? fresh_logprobs(form, job, i, token_log_within(job->log, job->tokens, to)) : NULL;
        add_chunk(form,
                  &(TextPiece){ .index = i, .text = string_of(job->text.data + from, to - from), .logprobs = known },
                  out);
        form->sent[i] = to;
    }
    if (done && job->end == JOB_RIGHT && !form->ended[i]) {
        json_t *rest = job->log ? fresh_logprobs(form, job, i, logged_of(job)) : NULL;
        add_chunk(form, &(TextPiece){ .index = i, .logprobs = rest, .reason = reason_of(job) }, out);
        form->ended[i] = true;
    }
}

/* What stands before all texts: the role of a message, a prompt that is echoed. */
static void begin(TextForm *form, const ServeExchange *x, Text *out)
{
    for (int64_t i = 0; i < x->count; i++) {
        const Text *echo = &form->echo[i];
        json_t *prompt = echo->size > 0 ? string_of(echo->data, echo->size) : NULL;
        if (form->chat || prompt)
            add_chunk(form, &(TextPiece){ .index = i, .text = prompt, .first = true }, out);
    }
    form->begun = true;
}

static bool more(Service *s, HttpRequest *request, ServeExchange *x, Text *out)
{
    (void)request;
    TextForm *form = x->form;
    if (!form->begun)
        begin(form, x, out);
    jobs_lock(s->jobs);
    for (int64_t i = 0; i < x->count; i++)
        add_news(form, x, i, out);
    const bool done = jobs_are_done(x);
    const JobEnd fault = jobs_fault(x);
    jobs_unlock(s->jobs);
    if (!done)
        return true;
    if (fault != JOB_RIGHT) {
        const Refusal r = service_fault(fault);
        add_event(out, service_error(&r));
        return false;
    }
    if (form->fields.usage) {
        json_t *chunk = head_of(form, form->chat ? "chat.completion.chunk" : "text_completion");
        json_object_set_new(chunk, "choices", json_array());
        json_object_set_new(chunk, "usage", usage_of(form, x));
        add_event(out, chunk);
    }
    text_adds(out, "data: [DONE]\n\n");
    return false;
}

/* ---- requests ------------------------------------------------------------------------------------------- */

/* Takes the fields. */
static void set_form(Service *s, ServeExchange *x, TextFields *fields, bool chat)
{
    TextForm *form = xcalloc(1, sizeof *form);
    const size_t count = (size_t)x->count;
    *form = (TextForm){ .form = { answer, more },
                        .fields = *fields,
                        .chat = chat,
                        .created = (int64_t)time(NULL),
                        .tokenizer = s->options.session->base.tokenizer,
                        .count = x->count };
    *fields = (TextFields){ 0 };
    form->fields.generate.stop = &form->fields.stop;
    form->model = xstrdup(x->served->named->name);
    form->echo = xcalloc(count, sizeof *form->echo);
    form->sent = xcalloc(count, sizeof *form->sent);
    form->logged = xcalloc(count, sizeof *form->logged);
    form->ended = xcalloc(count, sizeof *form->ended);
    snprintf(form->id, sizeof form->id, "%s-%llx%06llx", chat ? "chatcmpl" : "cmpl", (unsigned long long)form->created,
             (unsigned long long)++s->serial);
    x->form = form;
    x->form_free = free_form;
}

/* The prompt as it was given; ids as their text. */
static void keep_echo(TextForm *form, int64_t i, const ServeJob *job, const json_t *prompt)
{
    if (json_is_string(prompt))
        text_add(&form->echo[i], json_string_value(prompt), json_string_length(prompt));
    else
        tokenizer_decode(form->tokenizer, job->writing.ids, job->writing.prompt, true, &form->echo[i]);
}

/* All jobs of the exchange: n of each prompt. */
static bool take_jobs(Service *s, ServeExchange *x, const json_t *body, Refusal *r)
{
    TextForm *form = x->form;
    const TextFields *f = &form->fields;
    const json_t *given = json_object_get(body, "prompt");
    const bool several = json_is_array(given) && !inputs_are_ids(given);
    bool ok = true;
    for (int64_t i = 0; ok && i < x->count; i++) {
        ServeJob *job = &x->jobs[i];
        const json_t *prompt = several ? json_array_get(given, (size_t)(i / f->n)) : given;
        job->options = f->generate;
        ok = form->chat ? take_chat(s, job, body, f->asked, r) : take_prompt(s, job, prompt, !f->special, f->asked, r);
        if (ok && f->echo)
            keep_echo(form, i, job, prompt);
    }
    return ok;
}

/* Texts that are asked for, n of each prompt; 0 with the refusal set. */
static int64_t count_texts(const Service *s, const TextFields *f, const json_t *body, bool chat, Refusal *r)
{
    const json_t *prompt = json_object_get(body, "prompt");
    const bool several = !chat && json_is_array(prompt) && !inputs_are_ids(prompt);
    const int64_t count = several ? (int64_t)json_array_size(prompt) : 1;
    if (!chat && (!prompt || json_is_null(prompt)))
        refuse(r, 400, "prompt", NULL, "'prompt' is missing");
    else if (count == 0)
        refuse(r, 400, "prompt", NULL, "'prompt' is empty");
    else if (count > s->options.most_batch || count * f->n > s->options.most_batch)
        refuse(r, 413, count > 1 ? "prompt" : "n", NULL, "%lld texts are more than the %lld of a request",
               (long long)(count * f->n), (long long)s->options.most_batch);
    else
        return count * f->n;
    return 0;
}

/* What the body asks for, ready for the queue; NULL with the refusal set. */
static ServeExchange *read_texts(Service *s, HttpRequest *request, const json_t *body, bool chat, Refusal *r)
{
    TextFields fields;
    if (!fields_take(&fields, s, body, chat, r)) {
        fields_release(&fields);
        return NULL;
    }
    const int64_t count = count_texts(s, &fields, body, chat, r);
    ServedAdapter *served = count > 0 ? service_choose(s, body, r) : NULL;
    ServeExchange *x = served ? exchange_new(request, served, count) : NULL;
    if (x)
        set_form(s, x, &fields, chat);
    fields_release(&fields);
    if (!x || take_jobs(s, x, body, r))
        return x;
    service_drop(s, x);
    return NULL;
}

static void write_texts(Service *s, HttpRequest *request, bool chat, Refusal *r)
{
    json_t *body = service_body(request, r);
    ServeExchange *x = body ? read_texts(s, request, body, chat, r) : NULL;
    json_decref(body);
    const bool stream = x && ((const TextForm *)x->form)->fields.stream;
    if (!x || !service_start(s, request, x, r))
        return;
    if (stream)
        http_stream(request, "text/event-stream; charset=utf-8", STREAM_HEADERS);
    else
        http_wait(request);
}

void texts_complete(Service *s, HttpRequest *request, Refusal *r)
{
    write_texts(s, request, false, r);
}

void texts_chat(Service *s, HttpRequest *request, Refusal *r)
{
    write_texts(s, request, true, r);
}
