/* DESIGN. A connection that waits is suspended, and resumed by http_wake. Both happen under one lock, with a flag for a
 * wake that came first: else one that falls between "there is nothing yet" and the suspension would be lost. A
 * suspended connection is not polled, so that its client has left shows only when somebody looks (http_left). The
 * daemon must not stop while one is suspended: closing wakes them all as broken, and from then on none is suspended.
 *
 * libmicrohttpd gives up a connection that is silent; that one which sends a byte now and then comes to no end, is
 * patience's. */
#include "common/http/http.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/base/mem.h"
#include "common/http/cors.h"
#include "common/http/patience.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections above the most, which make place for each other (patience); descriptors that are none. */
enum { LEAVING = 16, OTHER_FILES = 64 };

struct HttpServer {
    struct MHD_Daemon *daemon;
    HttpHandler handler;
    HttpOptions options;
    Patience *patience;
    pthread_mutex_t lock; /* of what follows, and of `suspended`, `woken` and `next` of all requests */
    struct HttpInside *waiting; /* those that are suspended */
    bool closing;
    int port, listener; /* listener: -1 once it is closed or the daemon's */
};

struct HttpInside {
    HttpServer *server;
    struct MHD_Connection *connection;
    int socket;
    bool whole; /* the body is there */
    bool waits; /* for an answer */
    bool streams, over; /* over: the stream's last bytes are in `out` */
    bool broken;
    bool suspended, woken;
    struct HttpInside *next; /* of those that are suspended */
    bool queued; /* an answer is on its way */
    Text out; /* of a stream: what has not been taken */
    size_t taken;
};

/* ---- waiting ------------------------------------------------------------------------------ */

/* True: it is suspended. False: a wake came before, or the server closes (broken). */
static bool suspend(struct HttpInside *in)
{
    HttpServer *server = in->server;
    pthread_mutex_lock(&server->lock);
    const bool suspended = !in->woken && !server->closing;
    in->woken = false;
    in->broken = in->broken || server->closing;
    if (suspended) {
        in->suspended = true;
        in->next = server->waiting;
        server->waiting = in;
        MHD_suspend_connection(in->connection);
    }
    pthread_mutex_unlock(&server->lock);
    return suspended;
}

/* Under the lock. */
static void resume(struct HttpInside **at)
{
    struct HttpInside *in = *at;
    *at = in->next;
    in->suspended = false;
    MHD_resume_connection(in->connection);
}

void http_wake(HttpRequest *request)
{
    struct HttpInside *in = request->inside;
    pthread_mutex_lock(&in->server->lock);
    if (in->suspended) {
        struct HttpInside **at = &in->server->waiting;
        while (*at != in)
            at = &(*at)->next;
        resume(at);
    } else {
        in->woken = true;
    }
    pthread_mutex_unlock(&in->server->lock);
}

static void break_waiting(HttpServer *server)
{
    pthread_mutex_lock(&server->lock);
    server->closing = true;
    while (server->waiting) {
        server->waiting->broken = true;
        resume(&server->waiting);
    }
    pthread_mutex_unlock(&server->lock);
}

bool http_left(const HttpRequest *request)
{
    char byte;
    const ssize_t n = recv(request->inside->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* ---- answers ------------------------------------------------------------------------------ */

static void add_headers(struct MHD_Response *response, const char *type, const char *headers)
{
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    for (const char *at = headers; at && *at;) {
        const char *colon = strstr(at, ": "), *end = strchr(at, '\n');
        REQUIRE(colon && end && colon < end);
        char *name = xstrndup(at, (size_t)(colon - at)), *value = xstrndup(colon + 2, (size_t)(end - colon - 2));
        MHD_add_response_header(response, name, value);
        free(name);
        free(value);
        at = end + 1;
    }
}

static void add_cors(const HttpRequest *request, struct MHD_Response *response)
{
    const char *allowed = cors_answer(request->inside->server->options.origins, http_header(request, "Origin"));
    if (allowed)
        MHD_add_response_header(response, "Access-Control-Allow-Origin", allowed);
    if (request->inside->server->options.origins)
        MHD_add_response_header(response, "Vary", "Origin");
}

static void queue(HttpRequest *request, int status, struct MHD_Response *response)
{
    struct HttpInside *in = request->inside;
    REQUIRE(!in->queued);
    add_cors(request, response);
    in->queued = MHD_queue_response(in->connection, (unsigned)status, response) == MHD_YES;
    in->broken = !in->queued;
    in->waits = false;
    request->status = status;
    MHD_destroy_response(response);
}

void http_answer(HttpRequest *request, int status, const char *type, const char *headers, const char *body, size_t n)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(n, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    REQUIRE(response);
    add_headers(response, type, headers);
    queue(request, status, response);
}

static ssize_t read_stream(void *self, uint64_t at, char *out, size_t room)
{
    (void)at;
    HttpRequest *request = self;
    struct HttpInside *in = request->inside;
    const HttpHandler *handler = &in->server->handler;
    while (in->taken == in->out.size) {
        if (in->broken)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (in->over)
            return MHD_CONTENT_READER_END_OF_STREAM;
        in->taken = 0;
        text_clear(&in->out);
        in->over = !handler->more(handler->self, request, &in->out);
        if (in->out.size == 0 && !in->over && !in->broken && suspend(in))
            return 0;
    }
    const size_t left = in->out.size - in->taken, n = left < room ? left : room;
    memcpy(out, in->out.data + in->taken, n);
    in->taken += n;
    return (ssize_t)n;
}

void http_stream(HttpRequest *request, const char *type, const char *headers)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, request, NULL);
    REQUIRE(response);
    add_headers(response, type, headers);
    request->inside->streams = true;
    queue(request, 200, response);
}

void http_wait(HttpRequest *request)
{
    request->inside->waits = true;
}

void http_break(HttpRequest *request)
{
    request->inside->broken = true;
    request->inside->waits = false;
}

const char *http_header(const HttpRequest *request, const char *name)
{
    return MHD_lookup_connection_value(request->inside->connection, MHD_HEADER_KIND, name);
}

bool http_is_foreign(const HttpRequest *request)
{
    const char *site = http_header(request, "Sec-Fetch-Site");
    return site && (strcmp(site, "cross-site") == 0 || strcmp(site, "same-site") == 0) &&
           !cors_answer(request->inside->server->options.origins, http_header(request, "Origin"));
}

/* ---- requests ------------------------------------------------------------------------------- */

static HttpRequest *new_request(HttpServer *server, struct MHD_Connection *connection, const char *url,
                                const char *method)
{
    HttpRequest *request = xcalloc(1, sizeof *request);
    request->inside = xcalloc(1, sizeof *request->inside);
    request->method = xstrdup(method);
    request->path = xstrdup(url);
    request->begun = clock_now();
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *request->inside = (struct HttpInside){ .server = server, .connection = connection, .socket = info->connect_fd };
    if (address && address->client_addr)
        getnameinfo(address->client_addr, sizeof(struct sockaddr_storage), request->client, sizeof request->client,
                    NULL, 0, NI_NUMERICHOST);
    return request;
}

/* A piece of the body. What is too much is read and dropped, so that the client sees the answer. */
static void take_body(HttpRequest *request, const char *data, size_t n)
{
    const HttpOptions *o = &request->inside->server->options;
    if (request->too_large)
        return;
    if (request->body.size + n > (size_t)o->most_body) {
        request->too_large = true;
        text_release(&request->body);
        return;
    }
    text_add(&request->body, data, n);
}

static PatienceGuest *guest_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

static void on_connection(void *self, struct MHD_Connection *connection, void **guest,
                          enum MHD_ConnectionNotificationCode code)
{
    HttpServer *server = self;
    if (code != MHD_CONNECTION_NOTIFY_STARTED) {
        patience_leave(server->patience, *guest);
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *address = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *guest = patience_join(server->patience, info->connect_fd, address ? address->client_addr : NULL);
}

static enum MHD_Result count_lengths(void *self, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    (void)value;
    *(int *)self += strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0;
    return MHD_YES;
}

/* It says in one way where its body ends: of two a proxy may have taken the other (request smuggling). */
static bool ends_once(struct MHD_Connection *connection)
{
    int lengths = 0;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, count_lengths, &lengths);
    return lengths <= 1;
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **held)
{
    (void)version;
    HttpServer *server = self;
    HttpRequest *request = *held;
    if (!request) {
        if (!ends_once(connection))
            return MHD_NO;
        *held = new_request(server, connection, url, method);
        return MHD_YES;
    }
    struct HttpInside *in = request->inside;
    if (!in->whole && *n > 0) {
        take_body(request, data, *n);
        *n = 0;
        return MHD_YES;
    }
    if (!in->whole)
        patience_asked(server->patience, guest_of(connection));
    in->whole = true;
    while (!in->broken) {
        server->handler.ask(server->handler.self, request);
        if (in->queued)
            return MHD_YES;
        REQUIRE(in->waits || in->broken);
        if (!in->broken && suspend(in))
            return MHD_YES;
    }
    return MHD_NO;
}

static void on_completed(void *self, struct MHD_Connection *connection, void **held,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    HttpServer *server = self;
    HttpRequest *request = *held;
    if (!request)
        return;
    patience_answered(server->patience, guest_of(connection));
    server->handler.end(server->handler.self, request);
    text_release(&request->body);
    text_release(&request->inside->out);
    free(request->inside);
    free(request->method);
    free(request->path);
    free(request);
    *held = NULL;
}

/* ---- life ------------------------------------------------------------------------------------- */

static void say_error(void *self, const char *format, va_list values)
{
    char line[256];
    (void)self;
    vsnprintf(line, sizeof line, format, values);
    line[strcspn(line, "\n")] = '\0';
    log_debug("http", "%s", line);
}

/* A socket that listens at the address; -1 with *err set. */
static int listen_at(const HttpOptions *o, int *port, Err *err)
{
    char service[16];
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE },
                    *found = NULL;
    snprintf(service, sizeof service, "%d", o->port);
    const int fault = getaddrinfo(o->host, service, &hints, &found);
    if (fault != 0) {
        err_set(err, ERR_INPUT, "there is no host '%s': %s", o->host, gai_strerror(fault));
        return -1;
    }
    const int one = 1, s = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    const bool ok = s >= 0 && bind(s, found->ai_addr, found->ai_addrlen) == 0 && listen(s, SOMAXCONN) == 0 &&
                    getsockname(s, (struct sockaddr *)&bound, &size) == 0;
    if (!ok) {
        err_errno(err, "cannot listen at %s:%d", o->host, o->port);
        err_hint(err, "port 0 takes one that is free");
        if (s >= 0)
            close(s);
    }
    freeaddrinfo(found);
    if (!ok)
        return -1;
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                              : ((struct sockaddr_in *)&bound)->sin_port);
    return s;
}

/* How many connections there can be, of so many: this process has other files, too. */
static int room_for(int connections)
{
    const int64_t files = machine_files(connections + LEAVING + OTHER_FILES) - LEAVING - OTHER_FILES;
    return files < 1 ? 1 : files < connections ? (int)files : connections;
}

HttpServer *http_open(const HttpOptions *options, const HttpHandler *handler, Err *err)
{
    HttpServer *server = xcalloc(1, sizeof *server);
    *server = (HttpServer){ .handler = *handler, .options = *options };
    pthread_mutex_init(&server->lock, NULL);
    const int connections = room_for(options->connections);
    server->patience = patience_open(options->body_seconds, connections, err);
    server->listener = server->patience ? listen_at(options, &server->port, err) : -1;
    const struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->certificate },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->key },
        { MHD_OPTION_END, 0, NULL },
    };
    /* not epoll, whose edges can hide the end of a client that sent a last piece just before it */
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC;
    flags |= options->certificate ? MHD_USE_TLS : 0;
    if (server->listener >= 0)
        server->daemon =
            MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, say_error, NULL,
                             MHD_OPTION_LISTEN_SOCKET, server->listener, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                             server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
                             (unsigned)(connections + LEAVING), MHD_OPTION_CONNECTION_TIMEOUT,
                             (unsigned)options->body_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536,
                             MHD_OPTION_ARRAY, options->certificate ? tls : tls + 2, MHD_OPTION_END);
    if (server->daemon)
        return server;
    if (server->listener >= 0)
        err_set(err, ERR_INPUT, "the server does not start%s",
                options->certificate ? ": are --tls_cert and --tls_key a certificate and its key?" : "");
    http_close(server);
    return NULL;
}

int http_port(const HttpServer *server)
{
    return server->port;
}

void http_quiesce(HttpServer *server)
{
    if (server->listener < 0)
        return;
    const MHD_socket s = MHD_quiesce_daemon(server->daemon);
    if (s != MHD_INVALID_SOCKET)
        close(s);
    server->listener = -1;
}

void http_close(HttpServer *server)
{
    if (!server)
        return;
    if (server->daemon) {
        break_waiting(server);
        MHD_stop_daemon(server->daemon);
    } else if (server->listener >= 0) {
        close(server->listener);
    }
    patience_close(server->patience);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
