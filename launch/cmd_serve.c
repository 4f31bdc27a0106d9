#include "launch/cmd_serve.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "common/http/cors.h"
#include "common/model/sentence.h"
#include "launch/adapter_run.h"
#include "launch/command.h"
#include "launch/serve/routes.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CONTEXT = 4096, BODY = 4 << 20, CONNECTIONS = 1024, LABELS = 1024, OWN = 10 /* options that are no numbers */ };

typedef struct ServeArguments {
    const char *adapters[OPTION_MOST], *origins[OPTION_MOST];
    const char *model, *host, *key_file, *adapters_dir, *certificate, *key;
    const char *numbers[12]; /* as they were given, by NUMBERS */
    bool metrics_open, log_prompts;
    int second; /* the signal that ended a drain early */
} ServeArguments;

typedef enum {
    PORT,
    LANES,
    TOKENS_BATCH,
    QUEUE,
    BATCH,
    KV_TOKENS,
    LENGTH_MOST,
    RANK,
    QUEUE_SECONDS,
    REQUEST_SECONDS,
    DRAIN_SECONDS,
    BODY_SECONDS
} Number;

static const struct {
    const char *name, *help;
    int64_t fallback, least, most;
} numbers[] = {
    [PORT] = { "port", "0: any that is free; default 8080", 8080, 0, 65535 },
    [LANES] = { "max_lanes", "texts that are written at a time; default 16", 16, 1, 1024 },
    [TOKENS_BATCH] = { "max_tokens_batch", "tokens of a step; default 2048", 2048, 1, 1 << 20 },
    [QUEUE] = { "max_queue", "prompts and rows that wait, more are refused (429); default 256", 256, 1, 1 << 20 },
    [BATCH] = { "max_batch", "prompts or rows of a request; default 32", 32, 1, 4096 },
    [KV_TOKENS] = { "kv_tokens", "tokens that all texts at a time can hold; default: each its longest", 0, 0,
                    INT32_MAX },
    [LENGTH_MOST] = { "max_length",
                      "tokens of a text with its prompt; default: the model's, 4096 at the most; of a row: "
                      "the run's data.max_length",
                      0, 0, INT32_MAX },
    [RANK] = { "max_rank", "of an adapter; default 64", 64, 1, 4096 },
    [QUEUE_SECONDS] = { "queue_timeout", "seconds in the queue; default 60", 60, 1, 86400 },
    [REQUEST_SECONDS] = { "request_timeout", "seconds of a request; default 600", 600, 1, 86400 },
    [DRAIN_SECONDS] = { "drain_timeout", "seconds that requests get on SIGTERM; default 30", 30, 0, 86400 },
    [BODY_SECONDS] = { "body_timeout",
                       "seconds in which a request has to come, or its connection is closed; default 30", 30, 1,
                       86400 },
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

/* ---- what is served ------------------------------------------------------------------------------------ */

typedef struct Serving {
    const ServeArguments *given;
    int64_t number[NUMBERS];
    char *names[OPTION_MOST + 1], *folders[OPTION_MOST + 1]; /* owned */
    int count;
    Config run;
    SentenceFolder sentence; /* of a model that comes without an adapter */
    char *base, *key, *certificate, *tls_key, *below; /* owned; base: its name */
    SessionOptions options;
    Session session;
    Service service;
    bool service_open;
    HttpServer *http;
} Serving;

/* RUN_DIR has the name of its folder. */
static bool take_adapters(Serving *s, const Arguments *words, Err *err)
{
    if (words->positional_count > 0) {
        const char *folder = words->positionals[0];
        char *real = path_absolute(folder);
        s->names[s->count] = xstrdup(path_name(real));
        s->folders[s->count++] = xstrdup(folder);
        free(real);
    }
    for (int i = 0; i < OPTION_MOST && s->given->adapters[i]; i++) {
        if (!named_adapter_split(s->given->adapters[i], &s->names[s->count], &s->folders[s->count], err))
            return false;
        s->count++;
    }
    if (s->count > 0 || s->given->model)
        return true;
    err_set(err, ERR_INPUT, "nothing is to be served");
    return err_hint(err, "lora serve RUN_DIR, or --adapter=NAME=DIR, or --model=DIR");
}

/* What follows the model in its folder. */
static bool read_sentence(Serving *s, Err *err)
{
    char *path = model_find(s->given->model, err);
    const bool ok = path && sentence_read(&s->sentence, path, err);
    free(path);
    return ok;
}

/* The run of the first adapter. Without one a folder of sentence-transformers embeds, any other is a language model. */
static bool load_run(Serving *s, const Arguments *words, Err *err)
{
    if (s->count > 0)
        return adapter_run_check(s->folders[0], err) && adapter_run_load(&s->run, s->folders[0], words, err);
    if (!read_sentence(s, err))
        return false;
    const char **keys = xcalloc((size_t)words->override_count + 2, sizeof *keys);
    char *model = xprintf("model=%s", s->given->model);
    int count = 0;
    keys[count++] = model;
    keys[count++] = s->sentence.is ? "task_type=FEATURE_EXTRACTION" : "task_type=CAUSAL_LM";
    for (int i = 0; i < words->override_count; i++)
        keys[count++] = words->overrides[i];
    const ConfigSources sources = { .overrides = keys, .override_count = count };
    const bool ok = config_load(&s->run, &sources, err);
    free(model);
    free(keys);
    return ok;
}

static char *base_name(const char *model)
{
    return file_exists(model) ? xstrdup(path_name(model)) : xstrdup(model);
}

static bool open_session(Serving *s, Err *err)
{
    const Config *c = &s->run;
    const bool speaks = task_get(c->task)->speaks;
    if (task_get(c->task)->two_texts) {
        err_set(err, ERR_INPUT, "a model of the task %s is not served: its prompts are no texts that go on",
                config_task_name(c->task));
        return err_hint(err, "lora predict answers files of sources");
    }
    const int64_t longest = s->number[LENGTH_MOST] > 0 ? s->number[LENGTH_MOST]
                            : speaks                   ? CONTEXT
                            : s->sentence.max_length   ? s->sentence.max_length
                                                       : c->data.max_length;
    s->options = (SessionOptions){
        .model = s->given->model,
        .adapter = s->count > 0 ? s->folders[0] : NULL,
        .task = c->task,
        .model_config = c->model_config,
        .labels = &c->labels,
        .problem = c->problem_type,
        .embed = adapted_embed(c),
        .max_length = longest,
        .most_tokens = s->number[TOKENS_BATCH],
        .arithmetic = c->parallel.arithmetic,
        .precision = c->train.precision,
        .threads = (int)(c->parallel.threads > 0 ? c->parallel.threads : 0),
        .most_rank = s->number[RANK],
        .most_labels = LABELS,
    };
    if (!session_open(&s->session, &s->options, err))
        return false;
    s->base = base_name(s->session.base.adapted.arch->folder);
    return true;
}

/* The base answers by its own name where it can: as a language model, for embeddings, or with a head of
 * its own. */
static bool open_service(Serving *s, Err *err)
{
    const Task *task = task_get(s->run.task);
    const bool headless = task->speaks || task->embeds; /* nothing of it is an adapter's alone */
    const bool whole = s->count > 0 && run_folder_is_model(s->folders[0]);
    const ServiceOptions o = { .session = &s->session,
                               .session_options = &s->options,
                               .run = &s->run,
                               .base = s->base,
                               .key = s->key,
                               .adapters_dir = s->below,
                               .most_queue = s->number[QUEUE],
                               .lanes = s->number[LANES],
                               .kv_tokens = s->number[KV_TOKENS],
                               .most_labels = LABELS,
                               .most_batch = s->number[BATCH],
                               .queue_seconds = (double)s->number[QUEUE_SECONDS],
                               .request_seconds = (double)s->number[REQUEST_SECONDS],
                               .metrics_open = s->given->metrics_open,
                               .log_prompts = s->given->log_prompts };
    s->service_open = true;
    bool ok = service_open(&s->service, &o, err);
    if (ok && (headless || whole || s->count == 0))
        ok = service_load(&s->service, whole ? s->names[0] : s->base, NULL, err);
    for (int i = whole ? 1 : 0; ok && i < s->count; i++)
        ok = service_load(&s->service, s->names[i], s->folders[i], err);
    return ok;
}

/* ---- keys, the address ----------------------------------------------------------------------------------- */

static char *read_text(const char *path, Err *err)
{
    size_t size;
    char *text = file_read(path, &size, err);
    if (!text)
        return NULL;
    char *ended = xstrndup(text, size);
    free(text);
    return ended;
}

static bool read_doors(Serving *s, Err *err)
{
    const ServeArguments *given = s->given;
    const char *named = getenv("LORA_API_KEY");
    if (given->key_file && !(s->key = read_text(given->key_file, err)))
        return false;
    if (!s->key && named)
        s->key = xstrdup(named);
    if (s->key)
        s->key[strcspn(s->key, "\r\n")] = '\0';
    if (s->key && !s->key[0])
        return err_set(err, ERR_INPUT, "the API key is empty") ||
               err_at(err, "%s", given->key_file ? given->key_file : "LORA_API_KEY");
    for (int i = 0; i < OPTION_MOST && given->origins[i]; i++)
        if (!cors_is_origin(given->origins[i])) {
            err_set(err, ERR_INPUT, "'%s' is no origin", given->origins[i]);
            return err_hint(err, "--cors_origin=https://example.org, without a path; or --cors_origin='*'");
        }
    if (!given->certificate != !given->key)
        return err_set(err, ERR_INPUT, "--tls_cert and --tls_key go together");
    if (given->certificate &&
        !((s->certificate = read_text(given->certificate, err)) && (s->tls_key = read_text(given->key, err))))
        return false;
    if (given->adapters_dir && !(s->below = realpath(given->adapters_dir, NULL)))
        return file_missing(given->adapters_dir, "folder", NULL, err) || err_at(err, "--adapters_dir");
    return true;
}

static bool check_host(const Serving *s, Err *err)
{
    static const char *const loopback[] = { "127.0.0.1", "localhost", "::1" };
    const char *host = s->given->host;
    bool own = strncmp(host, "127.", 4) == 0;
    for (size_t i = 0; i < LENGTH(loopback); i++)
        own = own || strcmp(host, loopback[i]) == 0;
    if (own || s->key)
        return true;
    err_set(err, ERR_INPUT, "%s is reached by other machines, and there is no API key", host);
    return err_hint(err, "--api_key_file=FILE, or LORA_API_KEY; or leave --host out");
}

/* ---- life --------------------------------------------------------------------------------------------------- */

/* Waits up to `seconds` for one of the signals; 0: none came. */
static int wait_signal(const sigset_t *signals, double seconds)
{
    const struct timespec time = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
    const int got = sigtimedwait(signals, NULL, &time);
    return got > 0 ? got : 0;
}

static void wait_idle(Serving *s, const sigset_t *signals, double seconds, int *second)
{
    const double until = clock_now() + seconds;
    while (!service_is_idle(&s->service) && clock_now() < until && !*second)
        *second = wait_signal(signals, 0.02);
}

static bool serve(Serving *s, const sigset_t *signals, int *second, Err *err)
{
    const HttpOptions o = { s->given->host, (int)s->number[PORT],
                            s->certificate, s->tls_key,
                            BODY,           (double)s->number[BODY_SECONDS],
                            CONNECTIONS,    s->given->origins[0] ? s->given->origins : NULL };
    const HttpHandler handler = routes_handler(&s->service);
    s->http = http_open(&o, &handler, err);
    if (!s->http)
        return false;
    service_ready(&s->service);
    const bool ipv6 = strchr(s->given->host, ':') != NULL;
    printf("listening on %s://%s%s%s:%d\n", s->certificate ? "https" : "http", ipv6 ? "[" : "", s->given->host,
           ipv6 ? "]" : "", http_port(s->http));
    fflush(stdout);
    while (wait_signal(signals, 3600) == 0)
        ;
    log_info("serve", "no more requests; those on their way have %lld s", (long long)s->number[DRAIN_SECONDS]);
    service_drain(&s->service);
    http_quiesce(s->http);
    wait_idle(s, signals, (double)s->number[DRAIN_SECONDS], second);
    if (*second)
        return true;
    jobs_stop(s->service.jobs);
    wait_idle(s, signals, 2, second);
    return true;
}

static void release(Serving *s)
{
    http_close(s->http);
    if (s->service_open)
        service_close(&s->service);
    session_close(&s->session);
    config_release(&s->run);
    for (int i = 0; i < s->count; i++) {
        free(s->names[i]);
        free(s->folders[i]);
    }
    free(s->base);
    free(s->key);
    free(s->certificate);
    free(s->tls_key);
    free(s->below);
}

static bool run(void *self, const Arguments *words, Err *err)
{
    ServeArguments *given = self;
    Serving s = { .given = given };
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* threads to come do not take them */
    signal(SIGPIPE, SIG_IGN);
    log_setup("serve", LOG_INFO);
    bool ok = true;
    for (int i = 0; ok && i < NUMBERS; i++) {
        s.number[i] = numbers[i].fallback;
        ok = !given->numbers[i] ||
             option_int(numbers[i].name, given->numbers[i], numbers[i].least, numbers[i].most, &s.number[i], err);
    }
    ok = ok && take_adapters(&s, words, err) && read_doors(&s, err) && check_host(&s, err) &&
         load_run(&s, words, err) && open_session(&s, err) && open_service(&s, err) &&
         serve(&s, &signals, &given->second, err);
    if (given->second)
        _exit(128 + given->second); /* at once, with what is on its way */
    release(&s);
    return ok;
}

int cmd_serve(int argc, char **argv)
{
    ServeArguments given = { .host = "127.0.0.1" };
    bool help = false;
    Option own[OWN + 1 + NUMBERS] = {
        { "adapter", "NAME=DIR...", "an adapter, by the name that requests give as \"model\"; may be repeated",
          given.adapters, NULL },
        { "model", "DIR", "their base model; default: the one that the first names", &given.model, NULL },
        { "host", "HOST", "default 127.0.0.1: this machine alone; another needs an API key", &given.host, NULL },
        { "api_key_file", "FILE", "what 'Authorization: Bearer' has to say; or LORA_API_KEY", &given.key_file, NULL },
        { "adapters_dir", "DIR", "adapters below it may be loaded and unloaded by requests", &given.adapters_dir,
          NULL },
        { "cors_origin", "ORIGIN...",
          "pages of this site may ask, as https://example.org, or * for all; may be repeated", given.origins, NULL },
        { "tls_cert", "FILE", "a certificate, in PEM", &given.certificate, NULL },
        { "tls_key", "FILE", "its key", &given.key, NULL },
        { "metrics_open", NULL, "/metrics needs no key", NULL, &given.metrics_open },
        { "log_prompts", NULL, "requests are logged with their bodies", NULL, &given.log_prompts },
    };
    for (int i = 0; i < NUMBERS; i++)
        own[OWN + i] = (Option){ numbers[i].name, "N", numbers[i].help, &given.numbers[i], NULL };
    own[OWN + NUMBERS] = (Option){ "help", NULL, "this text", NULL, &help };
    const OptionTable table = {
        "lora serve",
        "[RUN_DIR]",
        "answers requests with adapters over one base: /v1/completions, /v1/chat/completions and /v1/models as OpenAI, "
        "/v1/embeddings, /predict and /embed as text-embeddings-inference; /health, /metrics, and a page at /. SIGTERM lets requests end",
        own,
        sizeof own / sizeof *own,
        true,
        OWN + LANES /* the port; the limits are many */
    };
    return command_main(&(Command){ &table, &help, 0, 1, run, &given }, argc, argv);
}
