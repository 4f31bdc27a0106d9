#include "launch/serve/fields.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIELD_STOPS = 16 };

/* ---- the table ---------------------------------------------------------------------------------------- */

typedef enum { COMPLETIONS = 1, CHAT = 2, BOTH = 3 } FieldRoutes;

typedef struct TextField {
    const char *name;
    FieldRoutes routes;
    const char *plain; /* the only values that are taken, as a JSON list; NULL: any, it is read where it is heeded */
    const char *why; /* of a refusal */
} TextField;

#define HEEDED NULL, NULL
#define CHANGES_NOTHING NULL, NULL /* said for whoever keeps accounts or caches: answers are the same */

static const TextField table[] = {
    /* OpenAI's, heeded */
    { "model", BOTH, HEEDED },
    { "prompt", COMPLETIONS, HEEDED },
    { "messages", CHAT, HEEDED },
    { "max_tokens", BOTH, HEEDED },
    { "max_completion_tokens", CHAT, HEEDED },
    { "temperature", BOTH, HEEDED },
    { "top_p", BOTH, HEEDED },
    { "presence_penalty", BOTH, HEEDED },
    { "frequency_penalty", BOTH, HEEDED },
    { "logit_bias", BOTH, HEEDED },
    { "seed", BOTH, HEEDED },
    { "stop", BOTH, HEEDED },
    { "n", BOTH, HEEDED },
    { "logprobs", BOTH, HEEDED },
    { "top_logprobs", CHAT, HEEDED },
    { "echo", COMPLETIONS, HEEDED },
    { "stream", BOTH, HEEDED },
    { "stream_options", BOTH, HEEDED },
    /* vLLM's and our own, heeded */
    { "top_k", BOTH, HEEDED },
    { "min_p", BOTH, HEEDED },
    { "repetition_penalty", BOTH, HEEDED },
    { "ignore_eos", BOTH, HEEDED },
    { "return_token_ids", BOTH, HEEDED },
    { "add_special_tokens", COMPLETIONS, HEEDED },
    /* without effect */
    { "user", BOTH, CHANGES_NOTHING },
    { "metadata", CHAT, CHANGES_NOTHING },
    { "safety_identifier", CHAT, CHANGES_NOTHING },
    { "prompt_cache_key", CHAT, CHANGES_NOTHING },
    { "prompt_cache_retention", CHAT, CHANGES_NOTHING },
    /* not built */
    { "best_of", COMPLETIONS, "[null, 1]", "texts are not ranked: n gives several" },
    { "suffix", COMPLETIONS, "[null, \"\"]", "texts are not inserted before others" },
    { "tools", CHAT, "[null, []]", "tools are not called" },
    { "tool_choice", CHAT, "[null, \"none\", \"auto\"]", "tools are not called" },
    { "parallel_tool_calls", CHAT, "[null, true, false]", "tools are not called" },
    { "functions", CHAT, "[null, []]", "functions are not called" },
    { "function_call", CHAT, "[null, \"none\", \"auto\"]", "functions are not called" },
    { "response_format", CHAT, "[null, {\"type\": \"text\"}]", "texts are not held to a format" },
    { "modalities", CHAT, "[null, [\"text\"]]", "answers are texts" },
    { "audio", CHAT, "[null]", "answers are texts" },
    { "prediction", CHAT, "[null]", "texts are not predicted" },
    { "reasoning_effort", CHAT, "[null, \"none\"]", "a chat template has no measure of it" },
    { "verbosity", CHAT, "[null, \"medium\"]", "a chat template has no measure of it" },
    { "web_search_options", CHAT, "[null]", "nothing is looked up" },
    { "service_tier", CHAT, "[null, \"auto\", \"default\"]", "there is one tier" },
    { "store", CHAT, "[null, false]", "answers are not kept" },
};

static const TextField *find(const char *name, FieldRoutes route)
{
    for (size_t i = 0; i < LENGTH(table); i++)
        if (strcmp(table[i].name, name) == 0 && (table[i].routes & route))
            return &table[i];
    return NULL;
}

static bool is_plain(const TextField *field, const json_t *value)
{
    json_t *all = json_loads(field->plain, 0, NULL);
    REQUIRE(json_is_array(all));
    bool found = false;
    for (size_t i = 0; !found && i < json_array_size(all); i++)
        found = json_equal(json_array_get(all, i), value);
    json_decref(all);
    return found;
}

/* Is every field known, and what is not built left as it would be without? */
static bool check_names(const json_t *body, bool chat, Refusal *r)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        const TextField *field = find(name, chat ? CHAT : COMPLETIONS);
        if (!field && !json_is_null(value))
            return refuse(r, 400, NULL, "unknown_parameter", "there is no field '%.200s' in requests of %s", name,
                          chat ? "/v1/chat/completions" : "/v1/completions");
        if (field && field->plain && !is_plain(field, value))
            return refuse(r, 400, field->name, "unsupported_parameter", "'%s' is not supported: %s", field->name,
                          field->why);
    }
    return true;
}

/* ---- values ------------------------------------------------------------------------------------------- */

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

/* A string or some of them, for good. */
static bool take_stop(StringList *stop, const json_t *body, Refusal *r)
{
    const json_t *given = json_object_get(body, "stop");
    const size_t count = json_is_array(given) ? json_array_size(given) : given && !json_is_null(given) ? 1 : 0;
    if (count > FIELD_STOPS)
        return refuse(r, 400, "stop", NULL, "'stop' has %zu strings, and %d are the most", count, FIELD_STOPS);
    stop->items = xcalloc(count + 1, sizeof *stop->items);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_is_array(given) ? json_array_get(given, i) : given);
        if (!text || !text[0])
            return refuse(r, 400, "stop", NULL, "'stop' is a string that is not empty, or a list of such");
        stop->items[stop->count++] = xstrdup(text);
    }
    return true;
}

/* {"id": what is added to its logit}. */
static bool take_bias(TextFields *f, const json_t *body, int64_t V, Refusal *r)
{
    json_t *given = json_object_get(body, "logit_bias"), *value;
    const char *key;
    if (!given || json_is_null(given))
        return true;
    if (!json_is_object(given))
        return refuse(r, 400, "logit_bias", NULL, "'logit_bias' is an object: a number from -100 to 100 by token id");
    f->bias = xcalloc(json_object_size(given) + 1, sizeof *f->bias);
    json_object_foreach(given, key, value)
    {
        char *rest;
        const long long id = strtoll(key, &rest, 10);
        const double bias = json_number_value(value);
        const bool written = key[0] >= '0' && key[0] <= '9' && (key[0] != '0' || !key[1]) && !*rest;
        if (!written || id >= V)
            return refuse(r, 400, "logit_bias", NULL, "'%.40s' is no id of the model's %lld tokens", key, (long long)V);
        if (!json_is_number(value) || !(bias >= -100 && bias <= 100))
            return refuse(r, 400, "logit_bias", NULL, "the bias of token %lld is a number from -100 to 100", id);
        f->bias[f->generate.sample.bias_count++] = (TokenBias){ (int32_t)id, (float)bias };
    }
    f->generate.sample.bias = f->bias;
    return true;
}

/* completions: how many likeliest tokens; chat: yes or no, and top_logprobs. */
static bool take_logprobs(TextFields *f, const json_t *body, bool chat, Refusal *r)
{
    bool wanted = false;
    f->tops = -1;
    if (!chat)
        return take_int(&f->tops, body, "logprobs", 0, 5, r);
    if (!take_bool(&wanted, body, "logprobs", r))
        return false;
    const json_t *tops = json_object_get(body, "top_logprobs");
    if (!wanted && tops && !json_is_null(tops))
        return refuse(r, 400, "top_logprobs", NULL, "'top_logprobs' is asked for with \"logprobs\": true");
    f->tops = wanted ? 0 : -1;
    return take_int(&f->tops, body, "top_logprobs", 0, FIELDS_TOPS, r);
}

/* A run's settings without a seed are different each time. */
static uint64_t any_seed(Service *s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u + (uint64_t)now.tv_sec + (uint64_t)++s->serial;
}

static bool take_sample(TextFields *f, Service *s, const json_t *body, Refusal *r)
{
    SampleOptions *o = &f->generate.sample;
    double temperature = 1;
    int64_t top_k = 0, seed = 0;
    *o = (SampleOptions){ .top_p = 1, .repetition_penalty = 1 };
    if (!take_real(&temperature, body, "temperature", 0, 2, r) || !take_real(&o->top_p, body, "top_p", 0, 1, r) ||
        !take_real(&o->min_p, body, "min_p", 0, 1, r) ||
        !take_real(&o->repetition_penalty, body, "repetition_penalty", 0.01, 100, r) ||
        !take_real(&o->presence_penalty, body, "presence_penalty", -2, 2, r) ||
        !take_real(&o->frequency_penalty, body, "frequency_penalty", -2, 2, r) ||
        !take_int(&top_k, body, "top_k", -1, INT32_MAX, r) || !take_int(&seed, body, "seed", INT64_MIN, INT64_MAX, r) ||
        !take_bias(f, body, s->options.session->base.adapted.arch->V, r))
        return false;
    if (o->top_p <= 0)
        return refuse(r, 400, "top_p", NULL, "'top_p' is above 0");
    o->do_sample = temperature > 0;
    o->temperature = temperature > 0 ? temperature : 1;
    o->top_k = top_k > 0 ? top_k : 0;
    o->seed = json_is_integer(json_object_get(body, "seed")) ? (uint64_t)seed : any_seed(s);
    return true;
}

static bool take_stream(TextFields *f, const json_t *body, Refusal *r)
{
    json_t *options = json_object_get(body, "stream_options"), *value;
    const char *name;
    if (!take_bool(&f->stream, body, "stream", r))
        return false;
    if (!options || json_is_null(options))
        return true;
    if (!json_is_object(options) || !f->stream)
        return refuse(r, 400, "stream_options", NULL, "'stream_options' is an object, of \"stream\": true");
    json_object_foreach(options, name, value)
    {
        const bool padding = strcmp(name, "include_obfuscation") == 0 && !json_is_true(value);
        if (strcmp(name, "include_usage") != 0 && !padding)
            return refuse(r, 400, "stream_options", NULL, "'stream_options' has include_usage alone");
    }
    return take_bool(&f->usage, options, "include_usage", r);
}

bool fields_take(TextFields *f, Service *s, const json_t *body, bool chat, Refusal *r)
{
    bool ignore_end = false;
    int64_t most = 0;
    *f = (TextFields){ .generate = s->generate, .n = 1, .special = true };
    if (!check_names(body, chat, r) || !take_sample(f, s, body, r) || !take_stop(&f->stop, body, r) ||
        !take_logprobs(f, body, chat, r) || !take_stream(f, body, r) ||
        !take_int(&f->n, body, "n", 1, s->options.most_batch, r) ||
        !take_int(&most, body, "max_tokens", 1, INT32_MAX, r) ||
        !take_int(&most, body, "max_completion_tokens", 1, INT32_MAX, r) ||
        !take_bool(&ignore_end, body, "ignore_eos", r) || !take_bool(&f->ids, body, "return_token_ids", r) ||
        !take_bool(&f->echo, body, "echo", r) || !take_bool(&f->special, body, "add_special_tokens", r))
        return false;
    if (f->echo && f->tops >= 0)
        return refuse(r, 400, "logprobs", NULL, "a prompt's tokens have no 'logprobs': ask without 'echo'");
    f->asked = !chat || most > 0;
    f->generate.max_new_tokens = most > 0 ? most : chat ? s->generate.positions : 16;
    f->generate.end_count = ignore_end ? 0 : f->generate.end_count;
    return true;
}

void fields_release(TextFields *f)
{
    for (int i = 0; i < f->stop.count; i++)
        free(f->stop.items[i]);
    free(f->stop.items);
    free(f->bias);
    *f = (TextFields){ 0 };
}
