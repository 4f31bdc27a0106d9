#include "ps/web.h"

#include "common/base/address.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/http/http.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ps/page.html, '\0' behind it */
__asm__(".section .rodata\n"
        "status_page:\n"
        ".incbin \"ps/page.html\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char status_page[];

static const double most_silence = 15; /* seconds without a web_show until the loop is said to hang */
enum { MOST_PART = 1 << 20, CONNECTIONS = 64 };

struct Web {
    HttpServer *http;
    char *path; /* of metrics.jsonl */
    pthread_mutex_t lock; /* of what follows */
    char *status, *metrics, *sick;
    double shown;
};

static const char headers[] =
    "Cache-Control: no-store\nReferrer-Policy: no-referrer\nX-Frame-Options: DENY\nContent-Security-Policy: "
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'\n";

static void say(HttpRequest *request, int status, const char *sentence)
{
    char *line = xprintf("%s\n", sentence);
    http_answer(request, status, "text/plain; charset=utf-8", headers, line, strlen(line));
    free(line);
}

/* ---- what is shown ------------------------------------------------------------------------------- */

/* A copy, so that the lock is not held while it is sent. */
static char *take_copy(Web *web, char *const *what)
{
    pthread_mutex_lock(&web->lock);
    char *copy = *what ? xstrdup(*what) : NULL;
    pthread_mutex_unlock(&web->lock);
    return copy;
}

static void answer_copy(HttpRequest *request, char *copy, const char *type)
{
    if (copy)
        http_answer(request, 200, type, headers, copy, strlen(copy));
    else
        say(request, 503, "the server has just begun");
    free(copy);
}

static void on_page(Web *web, HttpRequest *request)
{
    (void)web;
    http_answer(request, 200, "text/html; charset=utf-8", headers, status_page, strlen(status_page));
}

static void on_status(Web *web, HttpRequest *request)
{
    answer_copy(request, take_copy(web, &web->status), "application/json");
}

static void on_metrics(Web *web, HttpRequest *request)
{
    answer_copy(request, take_copy(web, &web->metrics), "text/plain; version=0.0.4; charset=utf-8");
}

static void on_health(Web *web, HttpRequest *request)
{
    pthread_mutex_lock(&web->lock);
    const double silence = clock_now() - web->shown;
    char *sick = web->sick ? xstrdup(web->sick) : NULL;
    pthread_mutex_unlock(&web->lock);
    if (!sick && silence > most_silence)
        sick = xprintf("the server has done nothing for %.0f s", silence);
    say(request, sick ? 503 : 200, sick ? sick : "ok");
    free(sick);
}

/* ---- the file ---------------------------------------------------------------------------------------- */

/* "bytes=N-" or "bytes=N-M"; false: another one, which is not heeded. */
static bool read_range(const char *text, int64_t *first, int64_t *last)
{
    char *end;
    if (!text || strncmp(text, "bytes=", 6) != 0 || text[6] < '0' || text[6] > '9')
        return false;
    *first = strtoll(text + 6, &end, 10);
    *last = INT64_MAX;
    if (*end++ != '-')
        return false;
    if (*end >= '0' && *end <= '9')
        *last = strtoll(end, &end, 10);
    return *end == '\0' && *last >= *first;
}

/* Its bytes [first, first + n), as far as they are there. */
static size_t read_part(const char *path, int64_t first, char *out, size_t n)
{
    FILE *file = fopen(path, "re");
    const size_t got = file && fseek(file, (long)first, SEEK_SET) == 0 ? fread(out, 1, n, file) : 0;
    if (file)
        fclose(file);
    return got;
}

static void answer_part(Web *web, HttpRequest *request, int64_t size, int64_t first, int64_t last)
{
    char more[128];
    if (first >= size) {
        char *all = xprintf("%sContent-Range: bytes */%lld\n", headers, (long long)size);
        http_answer(request, 416, "application/jsonl", all, "", 0);
        free(all);
        return;
    }
    const int64_t left = last < size ? last + 1 - first : size - first;
    const size_t n = left < MOST_PART ? (size_t)left : MOST_PART;
    char *part = xmalloc(n);
    const size_t got = read_part(web->path, first, part, n);
    snprintf(more, sizeof more, "Accept-Ranges: bytes\nContent-Range: bytes %lld-%lld/%lld\n", (long long)first,
             (long long)first + (long long)(got > 0 ? got - 1 : 0), (long long)size);
    char *all = xprintf("%s%s", headers, more);
    http_answer(request, 206, "application/jsonl", all, part, got);
    free(all);
    free(part);
}

static void on_lines(Web *web, HttpRequest *request)
{
    int64_t first, last;
    const int64_t size = file_size(web->path);
    if (size >= 0 && read_range(http_header(request, "Range"), &first, &last)) {
        answer_part(web, request, size, first, last);
        return;
    }
    Err none = { 0 };
    size_t n = 0;
    char *text = size >= 0 ? file_read(web->path, &n, &none) : NULL;
    http_answer(request, 200, "application/jsonl", headers, text ? text : "", text ? n : 0);
    free(text);
}

/* ---- requests ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *path;
    void (*answer)(Web *web, HttpRequest *request);
} routes[] = {
    { "/", on_page },           { "/status.json", on_status }, { "/metrics.jsonl", on_lines },
    { "/metrics", on_metrics }, { "/healthz", on_health },
};

static void on_ask(void *self, HttpRequest *request)
{
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        say(request, 405, "nothing can be changed here: GET");
        return;
    }
    for (size_t i = 0; i < LENGTH(routes); i++)
        if (strcmp(request->path, routes[i].path) == 0) {
            routes[i].answer(self, request);
            return;
        }
    say(request, 404, "there is / (a page), /status.json, /metrics.jsonl, /metrics and /healthz");
}

static bool on_more(void *self, HttpRequest *request, Text *out)
{
    (void)self;
    (void)request;
    (void)out;
    return false; /* nothing is streamed */
}

static void on_end(void *self, HttpRequest *request)
{
    (void)self;
    (void)request;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

/* "HOST:PORT" in its parts; the caller releases. */
static bool read_address(Address *address, const WebOptions *o, Err *err)
{
    char *whole = xprintf("tcp://%s", o->address);
    Err none = { 0 };
    const bool ok = address_read(address, whole, &none) && strcmp(address->host, "*") != 0;
    free(whole);
    if (!ok) {
        err_set(err, ERR_INPUT, "'%s' is no HOST:PORT for ps.http", o->address);
        err_hint(err, "as 127.0.0.1:8080; port 0 takes one that is free");
        address_release(address);
    } else if (!address->loopback && !o->insecure) {
        err_set(err, ERR_INPUT, "others can reach '%s', and the status page asks for no key", o->address);
        err_hint(err,
                 "ps.http: 127.0.0.1:%d, which `ssh -L %d:127.0.0.1:%d` reaches from elsewhere; or ps.insecure: "
                 "true on a network that is yours",
                 address->port, address->port, address->port);
        address_release(address);
    }
    return err->kind == ERR_NONE;
}

Web *web_open(const WebOptions *options, Err *err)
{
    Address address = { 0 };
    if (!read_address(&address, options, err))
        return NULL;
    Web *web = xcalloc(1, sizeof *web);
    web->path = xstrdup(options->metrics);
    web->shown = clock_now();
    pthread_mutex_init(&web->lock, NULL);
    char *host = xstrdup(address.host + (address.ipv6 ? 1 : 0)); /* without its brackets */
    host[strcspn(host, "]")] = '\0';
    const HttpOptions http = {
        .host = host, .port = address.port, .most_body = 4096, .body_seconds = 10, .connections = CONNECTIONS
    };
    const HttpHandler handler = { web, on_ask, on_more, on_end };
    web->http = http_open(&http, &handler, err);
    free(host);
    address_release(&address);
    if (web->http)
        return web;
    web_close(web);
    return NULL;
}

void web_close(Web *web)
{
    if (!web)
        return;
    http_close(web->http);
    pthread_mutex_destroy(&web->lock);
    free(web->status);
    free(web->metrics);
    free(web->sick);
    free(web->path);
    free(web);
}

int web_port(const Web *web)
{
    return http_port(web->http);
}

void web_show(Web *web, char *status, char *metrics, const char *sick)
{
    char *why = sick ? xstrdup(sick) : NULL;
    pthread_mutex_lock(&web->lock);
    char *old[] = { web->status, web->metrics, web->sick };
    web->status = status;
    web->metrics = metrics;
    web->sick = why;
    web->shown = clock_now();
    pthread_mutex_unlock(&web->lock);
    for (size_t i = 0; i < LENGTH(old); i++)
        free(old[i]);
}
