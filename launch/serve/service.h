/* service - what all routes of the server share: the adapters that are there, the queue, errors in OpenAI's shape. Each
 * kind of exchange (texts.h, classes.h) reads a request and writes its answer; routes.h says which.
 *
 * Owner: cmd_serve. Threads: the network thread, but for service_open, _ready, _drain, _close: the main one. */
#ifndef LAUNCH_SERVE_SERVICE_H
#define LAUNCH_SERVE_SERVICE_H

#include "launch/serve/jobs.h"
#include "worker/template/chat_template.h"

enum { SERVICE_ADAPTERS = 64 }; /* most that are loaded at a time */

typedef struct ServiceOptions { /* borrowed */
    Session *session;
    const SessionOptions *session_options;
    const Config *run; /* of the first adapter */
    const char *base; /* its name */
    const char *key; /* NULL: none is asked for */
    const char *adapters_dir; /* real path below which adapters may be loaded; NULL: nowhere */
    int64_t most_queue, lanes, kv_tokens, most_labels, most_batch; /* most_batch: prompts or rows of a request */
    double queue_seconds, request_seconds;
    bool metrics_open, log_prompts;
} ServiceOptions;

typedef struct Service {
    ServiceOptions options;
    Jobs *jobs;
    Figures figures;
    ServedAdapter *served[SERVICE_ADAPTERS]; /* [count]; the base, where it answers by itself, is the first */
    int count;
    GenerateOptions generate; /* of a model that speaks: end tokens, positions */
    ChatTemplate *chat; /* NULL: chat_fault says why */
    Err chat_fault;
    bool ready, draining; /* under the jobs' lock */
    int64_t open; /* exchanges that have not ended; under the jobs' lock */
    int64_t serial; /* of requests */
    Encoding *encoding; /* [1] that all requests encode with, one after the other; owned */
} Service;

/* What is wrong with a request. */
typedef struct Refusal {
    int status;
    const char *param, *code; /* constants; NULL: null */
    const char *allow; /* 405: the method that is right */
    char message[1024];
} Refusal;

/* Sets *refusal; returns false. */
bool refuse(Refusal *refusal, int status, const char *param, const char *code, const char *format, ...)
    PRINTF_LIKE(5, 6);
bool refuse_err(Refusal *refusal, int status, const char *param, const Err *err); /* what err says */

/* What an exchange is to the network thread: the first member of its form. */
typedef struct ExchangeForm {
    void (*answer)(Service *service, HttpRequest *request, ServeExchange *exchange); /* all jobs are done, rightly */
    bool (*more)(Service *service, HttpRequest *request, ServeExchange *exchange, Text *out); /* a stream; else NULL */
} ExchangeForm;

MUST_USE bool service_open(Service *service, const ServiceOptions *options, Err *err);
void service_close(Service *service); /* behind http_close */

/* Before service_ready. folder NULL: the base. */
MUST_USE bool service_load(Service *service, const char *name, const char *folder, Err *err);
void service_ready(Service *service);
void service_drain(Service *service);
bool service_is_idle(Service *service); /* no request waits for its answer, or is being answered */

ServedAdapter *service_find(Service *service, const char *name); /* NULL: there is none */
void service_add(Service *service, NamedAdapter *takes); /* there is room, and nobody has its name */
void service_remove(Service *service, ServedAdapter *served); /* it answers no more; its last request frees it */

/* ---- for the kinds of exchanges ------------------------------------------------------------------- */

/* The body as an object; NULL with the refusal set. */
json_t *service_body(const HttpRequest *request, Refusal *refusal);

/* Who answers: the adapter that "model" names, else the only one; its use is counted. NULL with the refusal set. */
ServedAdapter *service_choose(Service *service, const json_t *body, Refusal *refusal);

/* The exchange goes to the queue, and is the request's; or it is dropped. */
MUST_USE bool service_start(Service *service, HttpRequest *request, ServeExchange *exchange, Refusal *refusal);

/* It does not go there. */
void service_drop(Service *service, ServeExchange *exchange);

void service_refuse(HttpRequest *request, const Refusal *refusal);
void service_json(HttpRequest *request, int status, json_t *takes);
json_t *service_error(const Refusal *refusal); /* the error object; new */

/* Why jobs ended otherwise than rightly. */
Refusal service_fault(JobEnd end);

#endif
