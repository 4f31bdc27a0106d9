#include "launch/serve/texts.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STREAM_HEADERS "Cache-Control: no-cache\nX-Accel-Buffering: no\n"

/* What a request wants of its answer. */
typedef struct TextForm {
    ExchangeForm form;
    bool chat, stream, usage, ids; /* ids: return_token_ids */
    char id[48];
    int64_t created;
    char *model; /* owned */
    /* of a stream */
    size_t *sent; /* [count] bytes of each text; owned */
    bool *ended; /* [count] its finish_reason was sent; owned */
    bool begun, over;
} TextForm;

static void free_form(void *self)
{
    TextForm *form = self;
    free(form->model);
    free(form->sent);
    free(form->ended);
    free(form);
}

/* ---- fields --------------------------------------------------------------------------------------- */

/* A number from `least` to `most`; null or none: the fallback, which is in *value. */
static bool take_real(double *value, const json_t *body, const char *key, double least, double most, Refusal *r)
{
    const json_t *given = json_object_get(body, key);
    if (!given || json_is_null(given))
        return true;
    *value = json_number_value(given);
    if (json_is_number(given) && *value >= least && *value <= most)
        return true;
    return refuse(r, 400, key, NULL, "'%s' is a number from %g to %g", key, least, most);
}

static bool take_int(int64_t *value, const json_t *body, const char *key, int64_t least, int64_t most, Refusal *r)
{
    const json_t *given = json_object_get(body, key);
    if (!given || json_is_null(given))
        return true;
    *value = json_integer_value(given);
    if (json_is_integer(given) && *value >= least && *value <= most)
        return true;
    return refuse(r, 400, key, NULL, "'%s' is a whole number from %lld to %lld", key, (long long)least,
                  (long long)most);
}

static bool take_bool(bool *value, const json_t *body, const char *key, Refusal *r)
{
    const json_t *given = json_object_get(body, key);
    if (!given || json_is_null(given))
        return true;
    *value = json_is_true(given);
    return json_is_boolean(given) || refuse(r, 400, key, NULL, "'%s' is true or false", key);
}

/* Known, and not built: refused unless it is what it would be without. */
static bool check_missing(const json_t *body, Refusal *r)
{
    static const struct {
        const char *key;
        double fallback;
    } numbers[] = { { "n", 1 },     { "best_of", 1 },  { "presence_penalty", 0 }, { "frequency_penalty", 0 },
                    { "min_p", 0 }, { "logprobs", 0 }, { "top_logprobs", 0 } };
    static const char *const others[] = { "logit_bias", "suffix",          "tools",       "functions", "echo",
                                          "audio",      "response_format", "tool_choice", "modalities" };
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        const json_t *given = json_object_get(body, numbers[i].key);
        const bool plain = !given || json_is_null(given) || json_is_false(given) ||
                           (json_is_number(given) && json_number_value(given) == numbers[i].fallback);
        if (!plain)
            return refuse(r, 400, numbers[i].key, "unsupported_parameter", "'%s' is not supported", numbers[i].key);
    }
    for (size_t i = 0; i < LENGTH(others); i++) {
        const json_t *given = json_object_get(body, others[i]);
        const char *type = json_string_value(json_object_get(given, "type"));
        const bool plain = !given || json_is_null(given) || json_is_false(given) ||
                           (json_is_array(given) && json_array_size(given) == 0) ||
                           (json_is_object(given) && json_object_size(given) == 0) ||
                           (type && strcmp(type, "text") == 0);
        if (!plain)
            return refuse(r, 400, others[i], "unsupported_parameter", "'%s' is not supported", others[i]);
    }
    return true;
}

/* A string or some of them, for good. */
static bool take_stop(StringList *stop, const json_t *body, Refusal *r)
{
    const json_t *given = json_object_get(body, "stop");
    const size_t count = json_is_array(given) ? json_array_size(given) : given && !json_is_null(given) ? 1 : 0;
    if (count > 16)
        return refuse(r, 400, "stop", NULL, "'stop' has %zu strings, and 16 are the most", count);
    stop->items = xcalloc(count + 1, sizeof *stop->items);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_is_array(given) ? json_array_get(given, i) : given);
        if (!text || !text[0])
            return refuse(r, 400, "stop", NULL, "'stop' is a string that is not empty, or a list of such");
        stop->items[stop->count++] = xstrdup(text);
    }
    return true;
}

/* A run's settings without a seed are different each time. */
static uint64_t any_seed(Service *s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u + (uint64_t)now.tv_sec + (uint64_t)++s->serial;
}

static bool take_options(Service *s, GenerateOptions *o, const json_t *body, bool chat, Refusal *r)
{
    double temperature = 1, top_p = 1, penalty = 1;
    int64_t top_k = 0, most = chat ? s->generate.positions : 16, seed = -1;
    bool ignore_end = false;
    *o = s->generate;
    if (!check_missing(body, r) || !take_real(&temperature, body, "temperature", 0, 2, r) ||
        !take_real(&top_p, body, "top_p", 0, 1, r) || !take_real(&penalty, body, "repetition_penalty", 0.01, 100, r) ||
        !take_int(&top_k, body, "top_k", -1, INT32_MAX, r) || !take_int(&seed, body, "seed", INT64_MIN, INT64_MAX, r) ||
        !take_int(&most, body, "max_tokens", 1, INT32_MAX, r) ||
        !take_int(&most, body, "max_completion_tokens", 1, INT32_MAX, r) ||
        !take_bool(&ignore_end, body, "ignore_eos", r))
        return false;
    if (top_p <= 0)
        return refuse(r, 400, "top_p", NULL, "'top_p' is above 0");
    const json_t *given = json_object_get(body, "seed");
    o->sample = (SampleOptions){ .do_sample = temperature > 0,
                                 .temperature = temperature > 0 ? temperature : 1,
                                 .top_p = top_p,
                                 .repetition_penalty = penalty,
                                 .top_k = top_k > 0 ? top_k : 0,
                                 .seed = json_is_integer(given) ? (uint64_t)seed : any_seed(s) };
    o->max_new_tokens = most;
    o->end_count = ignore_end ? 0 : o->end_count;
    return true;
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
    const bool ok = plain ? tokenizer_encode_plain(tokenizer, text, n, &job->encoding, &err)
                          : tokenizer_encode(tokenizer, text, n, NULL, 0, 0, &job->encoding, &err);
    return ok ? take_ids(s, job, job->encoding.ids, job->encoding.count, param, asked, r)
              : refuse_err(r, 400, param, &err);
}

static bool is_ids(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_integer(json_array_get(value, i)))
            return false;
    return json_array_size(value) > 0;
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
    if (is_ids(prompt))
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

static bool take_chat(const Service *s, ServeJob *job, const json_t *body, bool asked, Refusal *r)
{
    Err err = { 0 };
    Text text = { 0 };
    const ChatOptions chat = { .add_generation_prompt = true };
    json_t *messages = take_messages(body, r);
    if (!messages)
        return false;
    bool ok = s->chat || refuse(r, 400, "messages", NULL, "the model has no chat template (%s); ask /v1/completions",
                                s->chat_fault.what);
    if (ok && !chat_template_render(s->chat, messages, &chat, &text, &err))
        ok = refuse_err(r, 400, "messages", &err);
    ok = ok && take_text(s, job, text.data ? text.data : "", text.size, true, "messages", asked, r);
    text_release(&text);
    json_decref(messages);
    return ok;
}

/* ---- answers -------------------------------------------------------------------------------------------- */

static json_t *string_of(const char *bytes, size_t n)
{
    json_t *text = json_stringn(bytes ? bytes : "", n);
    return text ? text : json_string("");
}

static json_t *usage_of(const ServeExchange *x)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < x->count; i++)
        tokens += x->jobs[i].tokens;
    return json_pack("{s:I, s:I, s:I}", "prompt_tokens", (json_int_t)x->prompt_tokens, "completion_tokens",
                     (json_int_t)tokens, "total_tokens", (json_int_t)(x->prompt_tokens + tokens));
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

static json_t *choice_of(const TextForm *form, const ServeExchange *x, int64_t i)
{
    const ServeJob *job = &x->jobs[i];
    json_t *text = string_of(job->text.data, job->text.size);
    json_t *choice = json_pack("{s:I, s:s, s:n}", "index", (json_int_t)i, "finish_reason", reason_of(job), "logprobs");
    if (form->chat)
        json_object_set_new(choice, "message", json_pack("{s:s, s:o}", "role", "assistant", "content", text));
    else
        json_object_set_new(choice, "text", text);
    if (form->ids) {
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
    json_object_set_new(whole, "usage", usage_of(x));
    service_json(request, 200, whole);
}

/* Takes the object. */
static void add_event(Text *out, json_t *takes)
{
    char *text = json_dumps(takes, JSON_COMPACT);
    text_addf(out, "data: %s\n\n", text);
    free(text);
    json_decref(takes);
}

/* One choice of a chunk. piece NULL: none; first: the role. */
static void add_chunk(const TextForm *form, int64_t index, json_t *piece, bool first, const char *reason, Text *out)
{
    json_t *chunk = head_of(form, form->chat ? "chat.completion.chunk" : "text_completion");
    json_t *choice = json_pack("{s:I, s:s?, s:n}", "index", (json_int_t)index, "finish_reason", reason, "logprobs");
    if (form->chat) {
        json_t *delta = first ? json_pack("{s:s}", "role", "assistant") : json_object();
        if (piece || first)
            json_object_set_new(delta, "content", piece ? piece : json_string(""));
        json_object_set_new(choice, "delta", delta);
    } else {
        json_object_set_new(choice, "text", piece ? piece : json_string(""));
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

/* What is new of a choice. */
static void add_news(TextForm *form, const ServeExchange *x, int64_t i, Text *out)
{
    const ServeJob *job = &x->jobs[i];
    const bool done = job->state == JOB_DONE;
    const size_t size = job->text.size, held = done ? 0 : held_back(&x->stop, job->text.data, size);
    if (size - held > form->sent[i]) {
        add_chunk(form, i, string_of(job->text.data + form->sent[i], size - held - form->sent[i]), false, NULL, out);
        form->sent[i] = size - held;
    }
    if (done && job->end == JOB_RIGHT && !form->ended[i]) {
        add_chunk(form, i, NULL, false, reason_of(job), out);
        form->ended[i] = true;
    }
}

static bool more(Service *s, HttpRequest *request, ServeExchange *x, Text *out)
{
    (void)request;
    TextForm *form = x->form;
    for (int64_t i = 0; form->chat && !form->begun && i < x->count; i++)
        add_chunk(form, i, NULL, true, NULL, out);
    form->begun = true;
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
    if (form->usage) {
        json_t *chunk = head_of(form, form->chat ? "chat.completion.chunk" : "text_completion");
        json_object_set_new(chunk, "choices", json_array());
        json_object_set_new(chunk, "usage", usage_of(x));
        add_event(out, chunk);
    }
    text_adds(out, "data: [DONE]\n\n");
    return false;
}

/* ---- requests ------------------------------------------------------------------------------------------- */

static bool take_form(Service *s, ServeExchange *x, const json_t *body, bool chat, Refusal *r)
{
    TextForm *form = xcalloc(1, sizeof *form);
    *form = (TextForm){ .form = { answer, more }, .chat = chat, .created = (int64_t)time(NULL) };
    x->form = form;
    x->form_free = free_form;
    form->model = xstrdup(x->served->named->name);
    form->sent = xcalloc((size_t)x->count, sizeof *form->sent);
    form->ended = xcalloc((size_t)x->count, sizeof *form->ended);
    snprintf(form->id, sizeof form->id, "%s-%llx%06llx", chat ? "chatcmpl" : "cmpl", (unsigned long long)form->created,
             (unsigned long long)++s->serial);
    return take_bool(&form->stream, body, "stream", r) && take_bool(&form->ids, body, "return_token_ids", r) &&
           take_bool(&form->usage, json_object_get(body, "stream_options"), "include_usage", r);
}

/* All jobs of the exchange. */
static bool take_jobs(Service *s, ServeExchange *x, const json_t *body, bool chat, Refusal *r)
{
    GenerateOptions options;
    const json_t *prompt = json_object_get(body, "prompt"), *given = json_object_get(body, "add_special_tokens");
    const json_t *most[] = { json_object_get(body, "max_tokens"), json_object_get(body, "max_completion_tokens") };
    const bool asked = !chat || json_is_integer(most[0]) || json_is_integer(most[1]);
    bool special = true, ok = take_options(s, &options, body, chat, r) && take_stop(&x->stop, body, r) &&
                              (!given || take_bool(&special, body, "add_special_tokens", r));
    options.stop = &x->stop;
    for (int64_t i = 0; ok && i < x->count; i++) {
        ServeJob *job = &x->jobs[i];
        job->options = options;
        if (chat)
            ok = take_chat(s, job, body, asked, r);
        else if (json_is_array(prompt) && !is_ids(prompt))
            ok = take_prompt(s, job, json_array_get(prompt, (size_t)i), !special, asked, r);
        else
            ok = take_prompt(s, job, prompt, !special, asked, r);
    }
    return ok;
}

/* Prompts of the request; 0 with the refusal set. */
static int64_t count_prompts(const Service *s, const json_t *body, bool chat, Refusal *r)
{
    const json_t *prompt = json_object_get(body, "prompt");
    if (chat)
        return 1;
    if (!prompt || json_is_null(prompt)) {
        refuse(r, 400, "prompt", NULL, "'prompt' is missing");
        return 0;
    }
    if (!json_is_array(prompt) || is_ids(prompt))
        return 1;
    const int64_t count = (int64_t)json_array_size(prompt);
    if (count > s->options.most_batch)
        refuse(r, 413, "prompt", NULL, "%lld prompts are more than the %lld of a request", (long long)count,
               (long long)s->options.most_batch);
    else if (count == 0)
        refuse(r, 400, "prompt", NULL, "'prompt' is empty");
    return count > s->options.most_batch ? 0 : count;
}

static void write_texts(Service *s, HttpRequest *request, bool chat, Refusal *r)
{
    json_t *body = service_body(request, r);
    ServedAdapter *served = body ? service_choose(s, body, r) : NULL;
    const int64_t count = served ? count_prompts(s, body, chat, r) : 0;
    if (served && count == 0)
        jobs_unuse(s->jobs, served);
    ServeExchange *x = count > 0 ? exchange_new(request, served, count) : NULL;
    if (x && !(take_form(s, x, body, chat, r) && take_jobs(s, x, body, chat, r))) {
        service_drop(s, x);
        x = NULL;
    }
    json_decref(body);
    const bool stream = x && ((const TextForm *)x->form)->stream;
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
