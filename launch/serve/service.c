#include "launch/serve/service.h"

#include "common/base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- refusals ------------------------------------------------------------------------------------- */

static const struct {
    int status;
    const char *type;
} types[] = {
    { 401, "authentication_error" }, { 403, "permission_error" }, { 422, "validation" },
    { 429, "rate_limit_error" },     { 500, "server_error" },     { 503, "overloaded" },
};

static const char *type_of(int status)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].status == status)
            return types[i].type;
    return "invalid_request_error";
}

bool refuse(Refusal *r, int status, const char *param, const char *code, const char *format, ...)
{
    *r = (Refusal){ .status = status, .param = param, .code = code };
    va_list values;
    va_start(values, format);
    vsnprintf(r->message, sizeof r->message, format, values);
    va_end(values);
    r->message[text_utf8_valid(r->message, strlen(r->message))] = '\0';
    return false;
}

bool refuse_err(Refusal *r, int status, const char *param, const Err *err)
{
    return refuse(r, status, param, NULL, "%s%s%s", err->what, err->hint[0] ? "; " : "", err->hint);
}

json_t *service_error(const Refusal *r)
{
    return json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", r->message, "type", type_of(r->status), "param",
                     r->param, "code", r->code);
}

void service_json(HttpRequest *request, int status, json_t *takes)
{
    char *text = json_dumps(takes, JSON_COMPACT | JSON_REAL_PRECISION(9));
    REQUIRE(text);
    http_answer(request, status, "application/json", NULL, text, strlen(text));
    free(text);
    json_decref(takes);
}

void service_refuse(HttpRequest *request, const Refusal *r)
{
    json_t *error = service_error(r);
    char *text = json_dumps(error, JSON_COMPACT);
    const char *headers = r->allow           ? (strcmp(r->allow, "GET") == 0 ? "Allow: GET\n" : "Allow: POST\n")
                          : r->status == 401 ? "WWW-Authenticate: Bearer\n"
                          : r->status == 429 ? "Retry-After: 1\n"
                          : r->status == 503 ? "Retry-After: 5\n"
                                             : NULL;
    http_answer(request, r->status, "application/json", headers, text, strlen(text));
    free(text);
    json_decref(error);
}

Refusal service_fault(JobEnd end)
{
    Refusal r;
    switch (end) {
    case JOB_LATE_IN_QUEUE:
        refuse(&r, 503, NULL, "queue_timeout", "the request waited too long for its turn; try again later");
        break;
    case JOB_LATE:
        refuse(&r, 408, NULL, "request_timeout",
               "the answer took longer than the server lets one take; ask for fewer tokens");
        break;
    case JOB_DRAINED:
        refuse(&r, 503, NULL, "draining", "the server is shutting down");
        break;
    default:
        refuse(&r, 500, NULL, "not_finite", "the model's numbers are not finite: its weights are too large");
        break;
    }
    return r;
}

/* ---- adapters ------------------------------------------------------------------------------------------ */

ServedAdapter *service_find(Service *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->served[i]->named->name, name) == 0)
            return s->served[i];
    return NULL;
}

void service_add(Service *s, NamedAdapter *named)
{
    ServedAdapter *served = xcalloc(1, sizeof *served);
    *served = (ServedAdapter){ .named = named, .created = (int64_t)time(NULL) };
    jobs_lock(s->jobs);
    s->served[s->count++] = served;
    jobs_unlock(s->jobs);
}

void service_remove(Service *s, ServedAdapter *served)
{
    jobs_lock(s->jobs);
    int kept = 0;
    for (int i = 0; i < s->count; i++)
        if (s->served[i] != served)
            s->served[kept++] = s->served[i];
    s->count = kept;
    served->gone = true;
    jobs_use(served);
    jobs_unlock(s->jobs);
    jobs_unuse(s->jobs, served);
}

bool service_load(Service *s, const char *name, const char *folder, Err *err)
{
    if (s->count == SERVICE_ADAPTERS)
        return err_set(err, ERR_INPUT, "%d adapters are loaded already, which is the most", SERVICE_ADAPTERS);
    if (service_find(s, name))
        return err_set(err, ERR_INPUT, "the name '%s' is taken", name);
    NamedAdapter *named = named_adapter_open(s->options.session, s->options.session_options, name, folder, err);
    if (named)
        service_add(s, named);
    return named != NULL;
}

ServedAdapter *service_choose(Service *s, const json_t *body, Refusal *r)
{
    const json_t *model = json_object_get(body, "model");
    if (model && !json_is_null(model) && !json_is_string(model)) {
        refuse(r, 400, "model", NULL, "'model' is a name");
        return NULL;
    }
    ServedAdapter *served = json_is_string(model) ? service_find(s, json_string_value(model)) : NULL;
    if (!json_is_string(model) && s->count == 1)
        served = s->served[0];
    if (served) {
        jobs_lock(s->jobs);
        jobs_use(served);
        jobs_unlock(s->jobs);
        return served;
    }
    Text names = { 0 };
    int count = 0;
    for (int i = 0; i < s->count; i++)
        text_sample(&names, &count, s->served[i]->named->name);
    const char *there = count > 0 ? text_sampled(&names, count) : "none";
    if (json_is_string(model))
        refuse(r, 404, "model", "model_not_found", "the model '%s' does not exist; there are: %s",
               json_string_value(model), there);
    else
        refuse(r, 400, "model", NULL, "'model' is missing; there are: %s", there);
    text_release(&names);
    return NULL;
}

/* ---- exchanges ------------------------------------------------------------------------------------------- */

/* How deep a value lies in others; those that are deeper than 32 are no request. */
static bool is_flat(const json_t *value, int depth)
{
    if (depth > 32)
        return false;
    size_t i;
    const char *key;
    json_t *item;
    bool flat = true;
    if (json_is_array(value))
        json_array_foreach(value, i, item) flat = flat && is_flat(item, depth + 1);
    if (json_is_object(value))
        json_object_foreach((json_t *)(uintptr_t)value, key, item) flat = flat && is_flat(item, depth + 1);
    return flat;
}

json_t *service_body(const HttpRequest *request, Refusal *r)
{
    json_error_t fault;
    json_t *body = json_loadb(request->body.data ? request->body.data : "", request->body.size,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
    if (!body)
        refuse(r, 400, NULL, NULL, "the body is not JSON: line %d, column %d: %s", fault.line, fault.column,
               fault.text);
    else if (!json_is_object(body))
        refuse(r, 400, NULL, NULL, "the body is JSON, and no object");
    else if (!is_flat(body, 1))
        refuse(r, 400, NULL, NULL, "the body lies deeper than 32 lists and objects");
    else
        return body;
    json_decref(body);
    return NULL;
}

void service_drop(Service *s, ServeExchange *x)
{
    jobs_unuse(s->jobs, x->served);
    exchange_free(x);
}

bool service_start(Service *s, HttpRequest *request, ServeExchange *x, Refusal *r)
{
    /* draining and open under one lock: a server that drains is idle only when nothing can be on its way in */
    jobs_lock(s->jobs);
    const bool draining = s->draining;
    s->open += !draining;
    jobs_unlock(s->jobs);
    if (draining) {
        service_drop(s, x);
        *r = service_fault(JOB_DRAINED);
        return false;
    }
    request->data = x;
    for (int64_t i = 0; i < x->count; i++)
        x->prompt_tokens += x->jobs[i].writing.ids ? x->jobs[i].writing.prompt : x->jobs[i].encoding.count;
    figures_add(&s->figures, FIGURE_PROMPT_TOKENS, x->prompt_tokens);
    if (jobs_add(s->jobs, x))
        return true;
    jobs_lock(s->jobs);
    s->open--;
    jobs_unlock(s->jobs);
    request->data = NULL;
    service_drop(s, x);
    return refuse(r, 429, NULL, "queue_full", "%lld requests wait already, which is the most; try again later",
                  (long long)s->options.most_queue);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

bool service_open(Service *s, const ServiceOptions *options, Err *err)
{
    Session *session = options->session;
    *s = (Service){ .options = *options, .encoding = xcalloc(1, sizeof *s->encoding) };
    figures_init(&s->figures);
    const JobsOptions jobs = { session,
                               &s->figures,
                               options->most_queue,
                               options->lanes,
                               options->kv_tokens,
                               options->most_labels,
                               options->queue_seconds,
                               options->request_seconds };
    if (session->base.adapted.arch->head.task->speaks) {
        if (!generate_options(&s->generate, &options->run->data, options->run->train.seed, session->base.adapted.arch,
                              session->max_length, session->base.tokenizer, err))
            return false;
        s->chat = chat_template_open(session->base.adapted.arch->folder, NULL, &s->chat_fault);
    }
    return (s->jobs = jobs_open(&jobs, err)) != NULL;
}

void service_close(Service *s)
{
    jobs_close(s->jobs);
    for (int i = 0; i < s->count; i++) {
        named_adapter_close(s->served[i]->named);
        free(s->served[i]);
    }
    if (s->encoding)
        encoding_release(s->encoding);
    free(s->encoding);
    chat_template_close(s->chat);
    figures_release(&s->figures);
}

void service_ready(Service *s)
{
    jobs_lock(s->jobs);
    s->ready = true;
    jobs_unlock(s->jobs);
}

void service_drain(Service *s)
{
    jobs_lock(s->jobs);
    s->draining = true;
    jobs_unlock(s->jobs);
}

bool service_is_idle(Service *s)
{
    jobs_lock(s->jobs);
    const bool idle = s->open == 0;
    jobs_unlock(s->jobs);
    return idle;
}
