/* http - a small server: whole requests in, answers or streams out, over libmicrohttpd. What requests mean is the
 * handler's. A request whose answer takes time waits without a thread; whoever has the answer wakes it.
 *
 * Owner: cmd_serve, ps/web. Threads: one network thread of its own, which calls the handler; http_wake and http_left: any. */
#ifndef COMMON_HTTP_HTTP_H
#define COMMON_HTTP_HTTP_H

#include "common/base/text.h"

#include <stdint.h>

typedef struct HttpServer HttpServer;

/* What a handler sees of a request. */
typedef struct HttpRequest {
    char *method, *path; /* path: without what is behind '?' */
    char client[64]; /* address */
    Text body;
    bool too_large; /* the body was not kept */
    double begun; /* clock_now when it began */
    int status; /* of the answer; 0: there is none yet */
    void *data; /* the handler's */
    struct HttpInside *inside; /* http.c's */
} HttpRequest;

typedef struct HttpHandler {
    void *self;
    /* A whole request has come: answers, streams, or waits. Called again when one that waits is woken. */
    void (*ask)(void *self, HttpRequest *request);
    /* A stream's next bytes; nothing: it waits to be woken. False: the stream is over behind them. */
    bool (*more)(void *self, HttpRequest *request, Text *out);
    /* The request is over, and its client may have left before: `data` goes. */
    void (*end)(void *self, HttpRequest *request);
} HttpHandler;

typedef struct HttpOptions {
    const char *host;
    int port; /* 0: any that is free */
    const char *certificate, *key; /* PEM texts; NULL: no TLS */
    int64_t most_body; /* bytes */
    double body_seconds; /* in which a request has to come; else its connection is closed */
    int connections;
    const char *const *origins; /* pages of others that may ask (cors.h); NULL: none */
} HttpOptions;

/* Listens at once; *handler is copied. NULL with *err set: the address is taken, no such host. */
MUST_USE HttpServer *http_open(const HttpOptions *options, const HttpHandler *handler, Err *err);
int http_port(const HttpServer *server);
void http_quiesce(HttpServer *server); /* accepts no more */
void http_close(HttpServer *server); /* ends what is on its way */

/* A header of the request, or NULL. */
const char *http_header(const HttpRequest *request, const char *name);

/* A page of another site asks, by what the browser says of itself, and its origin is none of the options'. */
bool http_is_foreign(const HttpRequest *request);

/* headers: "Name: value\n" each, NULL: none. */
void http_answer(HttpRequest *request, int status, const char *type, const char *headers, const char *body, size_t n);
void http_stream(HttpRequest *request, const char *type, const char *headers);
void http_wait(HttpRequest *request);
void http_break(HttpRequest *request); /* the connection ends without an answer */

/* The handler is asked again. The request lives: the caller holds off its `end`. */
void http_wake(HttpRequest *request);
bool http_left(const HttpRequest *request); /* its client has closed */

#endif
