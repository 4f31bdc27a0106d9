#include "launch/serve/routes.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/version.h"
#include "common/http/cors.h"
#include "launch/serve/classes.h"
#include "launch/serve/page.h"
#include "launch/serve/questions.h"
#include "launch/serve/texts.h"
#include "launch/serve/tokens.h"
#include "launch/serve/vectors.h"

#include <stdlib.h>
#include <string.h>

/* ---- routes ------------------------------------------------------------------------------------------------ */

static void say_health(Service *s, HttpRequest *request, Refusal *r)
{
    (void)r;
    jobs_lock(s->jobs);
    const bool ready = s->ready && !s->draining;
    const char *why = s->draining ? "draining" : "loading";
    jobs_unlock(s->jobs);
    if (ready) {
        service_json(request, 200, json_pack("{s:s}", "status", "ok"));
        return;
    }
    Refusal busy;
    refuse(&busy, 503, NULL, why, "the server is %s", why);
    service_refuse(request, &busy);
}

static void say_metrics(Service *s, HttpRequest *request, Refusal *r)
{
    (void)r;
    FiguresNow now = { .adapters = s->count };
    Text out = { 0 };
    jobs_now(s->jobs, &now);
    figures_write(&s->figures, &now, &out);
    http_answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", NULL, out.data, out.size);
    text_release(&out);
}

static json_t *model_of(const Service *s, const ServedAdapter *served)
{
    const NamedAdapter *named = served->named;
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s?}", "id", named->name, "object", "model", "created",
                     (json_int_t)served->created, "owned_by", "lora", "root",
                     named->folder ? named->folder : named->name, "parent", named->folder ? s->options.base : NULL);
}

static void say_models(Service *s, HttpRequest *request, Refusal *r)
{
    (void)r;
    json_t *list = json_array();
    for (int i = 0; i < s->count; i++)
        json_array_append_new(list, model_of(s, s->served[i]));
    service_json(request, 200, json_pack("{s:s, s:o}", "object", "list", "data", list));
}

static void say_model(Service *s, HttpRequest *request, Refusal *r)
{
    const char *name = request->path + strlen("/v1/models/");
    const ServedAdapter *served = service_find(s, name);
    if (served)
        service_json(request, 200, model_of(s, served));
    else
        refuse(r, 404, "model", "model_not_found", "the model '%s' does not exist", name);
}

/* In TEI's words. */
static const char *pooling_of(const ModelArch *arch)
{
    switch (arch->head.embed.how.pooling) {
    case POOLING_CLS:
        return "cls";
    case POOLING_LAST:
        return "last_token";
    default:
        return "mean";
    }
}

static void say_info(Service *s, HttpRequest *request, Refusal *r)
{
    (void)r;
    const ModelArch *arch = s->count > 0 && s->served[0]->named->adapted.arch ? s->served[0]->named->adapted.arch
                                                                              : s->options.session->base.adapted.arch;
    const Task *task = arch->head.task;
    json_t *kind = json_object();
    if (task->embeds)
        json_object_set_new(kind, "pooling", json_string(pooling_of(arch)));
    if (!task->speaks && !task->embeds && !task->spans) {
        json_t *names = json_object(), *ids = json_object();
        for (int64_t i = 0; arch->head.label_names && i < arch->head.labels; i++) {
            char number[24];
            snprintf(number, sizeof number, "%lld", (long long)i);
            json_object_set_new(names, number, json_string(arch->head.label_names[i]));
            json_object_set_new(ids, arch->head.label_names[i], json_integer((json_int_t)i));
        }
        json_object_set_new(kind, "id2label", names);
        json_object_set_new(kind, "label2id", ids);
    }
    service_json(request, 200,
                 json_pack("{s:s, s:{s:o}, s:I, s:I, s:s}", "model_id", s->options.base, "model_type",
                           task->speaks   ? "generator"
                           : task->embeds ? "embedding"
                           : task->spans  ? "question-answering"
                                          : "classifier",
                           kind, "max_input_length", (json_int_t)s->options.session->max_length,
                           "max_client_batch_size", (json_int_t)s->options.most_batch, "version", LORA_VERSION));
}

static void say_page(Service *s, HttpRequest *request, Refusal *r)
{
    (void)s;
    (void)r;
    http_answer(request, 200, "text/html; charset=utf-8", PAGE_HEADERS, page_html, strlen(page_html));
}

/* lora_name and, if wanted, lora_path of a body. */
static const char *name_in(const json_t *body, const char *key, Refusal *r)
{
    const char *value = json_string_value(json_object_get(body, key));
    if (!value || !value[0]) {
        refuse(r, 400, key, NULL, "'%s' is missing, or no text", key);
        return NULL;
    }
    return value;
}

/* The real path, if it lies below adapters_dir; owned. */
static char *allowed_folder(const Service *s, const char *given, Refusal *r)
{
    const char *below = s->options.adapters_dir;
    char *real = realpath(given, NULL);
    if (!below)
        refuse(r, 403, NULL, NULL, "adapters are loaded where the server was started with --adapters_dir");
    else if (real && text_starts(real, below) && real[strlen(below)] == '/')
        return real;
    else
        refuse(r, 403, "lora_path", NULL, "there is no such folder below --adapters_dir");
    free(real);
    return NULL;
}

static void say_loaded(HttpRequest *request, const char *what, const char *name)
{
    Text text = { 0 };
    text_addf(&text, "Success: %s '%s'\n", what, name);
    http_answer(request, 200, "text/plain; charset=utf-8", NULL, text.data, text.size);
    text_release(&text);
}

static void load_adapter(Service *s, HttpRequest *request, Refusal *r)
{
    Err err = { 0 };
    json_t *body = service_body(request, r);
    const char *name = body ? name_in(body, "lora_name", r) : NULL;
    const char *given = name ? name_in(body, "lora_path", r) : NULL;
    char *folder = given ? allowed_folder(s, given, r) : NULL;
    ServedAdapter *before = folder ? service_find(s, name) : NULL;
    const bool again = json_is_true(json_object_get(body, "load_inplace"));
    if (before && (!again || !before->named->folder)) {
        refuse(r, 400, "lora_name", NULL, "'%s' is loaded already; \"load_inplace\": true replaces an adapter", name);
    } else if (folder) {
        NamedAdapter *named =
            s->count == SERVICE_ADAPTERS && !before
                ? NULL
                : named_adapter_open(s->options.session, s->options.session_options, name, folder, &err);
        if (named && before)
            service_remove(s, before);
        if (named)
            service_add(s, named);
        if (named)
            say_loaded(request, "loaded", name);
        else if (err.kind != ERR_NONE)
            refuse_err(r, 400, "lora_path", &err);
        else
            refuse(r, 400, NULL, NULL, "%d adapters are loaded already, which is the most", SERVICE_ADAPTERS);
    }
    free(folder);
    json_decref(body);
}

static void unload_adapter(Service *s, HttpRequest *request, Refusal *r)
{
    json_t *body = service_body(request, r);
    const char *name = body ? name_in(body, "lora_name", r) : NULL;
    ServedAdapter *served = name ? service_find(s, name) : NULL;
    if (name && !s->options.adapters_dir) {
        refuse(r, 403, NULL, NULL, "adapters are unloaded where the server was started with --adapters_dir");
    } else if (name && (!served || !served->named->folder)) {
        refuse(r, 404, "lora_name", "model_not_found", "there is no adapter '%s'", name);
    } else if (name) {
        service_remove(s, served);
        say_loaded(request, "unloaded", name);
    }
    json_decref(body);
}

/* As Hugging Face's Inference API has it: the model says what is asked. */
static void ask_root(Service *s, HttpRequest *request, Refusal *r)
{
    if (s->options.session->base.adapted.arch->head.task->embeds)
        vectors_embed(s, request, r);
    else if (s->options.session->base.adapted.arch->head.task->spans)
        questions_predict(s, request, r);
    else
        classes_root(s, request, r);
}

static void ask_predict(Service *s, HttpRequest *request, Refusal *r)
{
    if (s->options.session->base.adapted.arch->head.task->spans)
        questions_predict(s, request, r);
    else
        classes_predict(s, request, r);
}

typedef enum { OPEN, WITH_KEY, METRICS } RouteAccess;

/* What a model that is served does. */
enum { SPEAKS = 1, CLASSIFIES = 2, EMBEDS = 4, READS = 8 /* texts */, ANY = 15 };

typedef struct ServeRoute {
    const char *method, *path; /* a path that ends in '/' but is longer has more behind it */
    void (*answer)(Service *service, HttpRequest *request, Refusal *refusal);
    RouteAccess access;
    unsigned models; /* that it is for: of these kinds */
} ServeRoute;

static const ServeRoute routes[] = {
    { "GET", "/healthz", say_health, OPEN, ANY },
    { "GET", "/health", say_health, OPEN, ANY },
    { "GET", "/readyz", say_health, OPEN, ANY },
    { "GET", "/", say_page, OPEN, ANY },
    { "GET", "/metrics", say_metrics, METRICS, ANY },
    { "GET", "/info", say_info, WITH_KEY, ANY },
    { "GET", "/v1/models", say_models, WITH_KEY, ANY },
    { "GET", "/v1/models/", say_model, WITH_KEY, ANY },
    { "POST", "/v1/completions", texts_complete, WITH_KEY, SPEAKS },
    { "POST", "/v1/chat/completions", texts_chat, WITH_KEY, SPEAKS },
    { "POST", "/predict", ask_predict, WITH_KEY, CLASSIFIES },
    { "POST", "/v1/embeddings", vectors_openai, WITH_KEY, EMBEDS },
    { "POST", "/embed", vectors_embed, WITH_KEY, EMBEDS },
    { "POST", "/", ask_root, WITH_KEY, CLASSIFIES | EMBEDS },
    { "POST", "/tokenize", tokens_of_text, WITH_KEY, READS },
    { "POST", "/detokenize", tokens_to_text, WITH_KEY, READS },
    { "POST", "/decode", tokens_to_text, WITH_KEY, READS },
    { "POST", "/v1/load_lora_adapter", load_adapter, WITH_KEY, ANY },
    { "POST", "/v1/unload_lora_adapter", unload_adapter, WITH_KEY, ANY },
};
enum { ROUTES = sizeof routes / sizeof *routes };

static bool fits(const ServeRoute *route, const char *path)
{
    const size_t n = strlen(route->path);
    return n > 1 && route->path[n - 1] == '/' ? text_starts(path, route->path) && path[n]
                                              : strcmp(path, route->path) == 0;
}

static const ServeRoute *find_route(const HttpRequest *request, Refusal *r)
{
    const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
    const char *other = NULL;
    for (int i = 0; i < ROUTES; i++) {
        if (!fits(&routes[i], request->path))
            continue;
        other = routes[i].method;
        if (strcmp(routes[i].method, method) == 0)
            return &routes[i];
    }
    if (other)
        refuse(r, 405, NULL, NULL, "%s is not what %s is asked with; %s is", request->method, request->path, other);
    else
        refuse(r, 404, NULL, "not_found", "there is no %s", request->path);
    r->allow = other;
    return NULL;
}

/* In a time that does not depend on where they differ. */
static bool is_same(const char *given, const char *key)
{
    const size_t n = strlen(given), m = strlen(key);
    unsigned differ = n != m;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned)((unsigned char)given[i] ^ (unsigned char)key[m > 0 ? i % m : 0]);
    return differ == 0;
}

static bool may(const Service *s, const HttpRequest *request, const ServeRoute *route, Refusal *r)
{
    const bool open = route->access == OPEN || (route->access == METRICS && s->options.metrics_open);
    const char *given = http_header(request, "Authorization");
    if (open || !s->options.key || (given && strncmp(given, "Bearer ", 7) == 0 && is_same(given + 7, s->options.key)))
        return true;
    return refuse(r, 401, NULL, "invalid_api_key", "no API key, or a wrong one: 'Authorization: Bearer KEY'");
}

static unsigned kinds_of(const Service *s)
{
    const Opened *base = &s->options.session->base;
    const Task *task = base->adapted.arch->head.task;
    return (task->speaks ? SPEAKS : task->embeds ? EMBEDS : CLASSIFIES) | (base->tokenizer ? READS : 0);
}

/* Is it of the right size, and may it be answered now? */
static bool check(Service *s, const HttpRequest *request, const ServeRoute *route, Refusal *r)
{
    if (!may(s, request, route, r))
        return false;
    if (http_is_foreign(request) && strcmp(route->method, "POST") == 0)
        return refuse(r, 403, NULL, NULL, "a page of another site asks; --cors_origin says which may");
    if (request->too_large)
        return refuse(r, 413, NULL, NULL, "the body is larger than the server takes");
    const unsigned kinds = kinds_of(s);
    if (!(route->models & kinds))
        return refuse(r, 404, NULL, "not_found", "%s is not for what is served, which %s", request->path,
                      kinds & SPEAKS   ? "writes texts: /v1/completions"
                      : kinds & EMBEDS ? "makes embeddings: /v1/embeddings, /embed"
                                       : "reads: /predict");
    if (route->models == ANY)
        return true;
    jobs_lock(s->jobs);
    const bool ready = s->ready && !s->draining;
    jobs_unlock(s->jobs);
    return ready || refuse(r, 503, NULL, "draining", "the server is shutting down, or not ready yet");
}

/* ---- the handler ---------------------------------------------------------------------------------------------- */

static void answer_exchange(Service *s, HttpRequest *request, ServeExchange *x)
{
    const ExchangeForm *form = x->form;
    jobs_lock(s->jobs);
    const bool done = jobs_are_done(x);
    const JobEnd fault = jobs_fault(x);
    jobs_unlock(s->jobs);
    if (!done) {
        http_wait(request);
    } else if (fault == JOB_LEFT) {
        http_break(request);
    } else if (fault != JOB_RIGHT) {
        const Refusal r = service_fault(fault);
        service_refuse(request, &r);
    } else {
        form->answer(s, request, x);
    }
}

static void ask(void *self, HttpRequest *request)
{
    Service *s = self;
    Refusal r = { 0 };
    if (request->data) {
        answer_exchange(s, request, request->data);
        return;
    }
    if (strcmp(request->method, "OPTIONS") == 0 && http_header(request, "Access-Control-Request-Method") &&
        !http_is_foreign(request)) {
        http_answer(request, 204, "text/plain", CORS_PREFLIGHT, "", 0);
        return;
    }
    const ServeRoute *route = find_route(request, &r);
    if (route && check(s, request, route, &r))
        route->answer(s, request, &r);
    if (r.status != 0)
        service_refuse(request, &r);
}

static bool more(void *self, HttpRequest *request, Text *out)
{
    Service *s = self;
    ServeExchange *x = request->data;
    const ExchangeForm *form = x->form;
    jobs_lock(s->jobs);
    const bool left = jobs_fault(x) == JOB_LEFT;
    jobs_unlock(s->jobs);
    if (left) {
        http_break(request);
        return true;
    }
    return form->more(s, request, x, out);
}

/* The row of the table, so that what nobody has is one path. */
static const char *path_of(const HttpRequest *request)
{
    Refusal ignored;
    for (int i = 0; i < ROUTES; i++)
        if (fits(&routes[i], request->path))
            return routes[i].path;
    refuse(&ignored, 404, NULL, NULL, "other");
    return "other";
}

static void log_request(const Service *s, const HttpRequest *request, const ServeExchange *x, int status,
                        int64_t tokens)
{
    const double now = clock_now();
    if (!x) {
        log_info("serve", "client=%s %s %s status=%d ms=%.1f", request->client, request->method, path_of(request),
                 status, (now - request->begun) * 1e3);
        return;
    }
    log_info("serve", "client=%s %s %s model=%s status=%d prompt=%lld tokens=%lld queue_ms=%.1f first_ms=%.1f ms=%.1f",
             request->client, request->method, path_of(request), x->served->named->name, status,
             (long long)x->prompt_tokens, (long long)tokens,
             (x->started > 0 ? x->started - x->began : now - x->began) * 1e3,
             x->first > 0 ? (x->first - x->began) * 1e3 : 0, (now - x->began) * 1e3);
    if (s->options.log_prompts && request->body.data)
        log_info("serve", "body=%s", request->body.data);
}

static void end(void *self, HttpRequest *request)
{
    Service *s = self;
    ServeExchange *x = request->data;
    int64_t tokens = 0;
    bool left = false;
    if (x) {
        jobs_lock(s->jobs);
        for (int64_t i = 0; i < x->count; i++)
            tokens += x->jobs[i].tokens;
        left = !jobs_are_done(x) || jobs_fault(x) == JOB_LEFT;
        s->open--;
        jobs_unlock(s->jobs);
    }
    const int status = left || request->status == 0 ? 499 : request->status;
    if (left)
        figures_add(&s->figures, FIGURE_ABORTED, 1);
    figures_request(&s->figures, path_of(request), status);
    figures_see(&s->figures, FIGURE_REQUEST, clock_now() - request->begun);
    log_request(s, request, x, status, tokens);
    if (x)
        jobs_end(s->jobs, x);
    request->data = NULL;
}

HttpHandler routes_handler(Service *s)
{
    return (HttpHandler){ s, ask, more, end };
}
