/* Ends: of a stream that its handler breaks, of a server with requests that still wait; places: of those who come when
 * all are taken. */
#include "common/http/http.h"

#include "common/base/clock.h"
#include "tests/support/must.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Who asks for /stream gets one without bytes, for /broken one that breaks; who asks for something else waits. */
typedef struct Waiting {
    atomic_int asked, ended;
} Waiting;

static void ask(void *self, HttpRequest *request)
{
    Waiting *waiting = self;
    if (strcmp(request->path, "/stream") == 0 || strcmp(request->path, "/broken") == 0)
        http_stream(request, "text/plain", NULL);
    else
        http_wait(request);
    atomic_fetch_add(&waiting->asked, 1);
}

static bool more(void *self, HttpRequest *request, Text *out)
{
    (void)self;
    (void)out;
    if (strcmp(request->path, "/broken") == 0)
        http_break(request);
    return true;
}

static void end(void *self, HttpRequest *request)
{
    Waiting *waiting = self;
    (void)request;
    atomic_fetch_add(&waiting->ended, 1);
}

/* From 127.0.0.`from`. */
static int dial(int port, int from)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (uint32_t)from) };
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (const struct sockaddr *)&at, sizeof at), 0);
    at.sin_port = htons((uint16_t)port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(s, (const struct sockaddr *)&at, sizeof at), 0);
    return s;
}

static int request(int port, const char *path)
{
    char text[64];
    const int s = dial(port, 1);
    const int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: here\r\n\r\n", path);
    assert_int_equal(write(s, text, (size_t)n), n);
    return s;
}

static HttpServer *open_server(Waiting *waiting)
{
    const HttpOptions options = { .host = "127.0.0.1", .most_body = 64, .body_seconds = 10, .connections = 8 };
    const HttpHandler handler = { waiting, ask, more, end };
    Err err = { 0 };
    HttpServer *server = http_open(&options, &handler, &err);
    must(server != NULL, &err);
    return server;
}

/* Reads to the end, which must come within seconds. */
static void read_to_end(int client)
{
    char answer[512];
    const struct timeval most = { .tv_sec = 5 };
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    ssize_t n;
    while ((n = read(client, answer, sizeof answer)) > 0)
        ;
    assert_true(n == 0 || errno == ECONNRESET);
    close(client);
}

static void a_stream_that_breaks_ends(void **state)
{
    (void)state;
    Waiting waiting = { 0 };
    HttpServer *server = open_server(&waiting);
    read_to_end(request(http_port(server), "/broken"));
    http_close(server);
    assert_int_equal(atomic_load(&waiting.ended), 1);
}

static void closing_ends_what_waits(void **state)
{
    (void)state;
    Waiting waiting = { 0 };
    HttpServer *server = open_server(&waiting);
    const char *const paths[] = { "/stream", "/a", "/b" };
    int clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = request(http_port(server), paths[i]);
    while (atomic_load(&waiting.asked) < 3)
        usleep(1000);
    usleep(20000); /* the stream has its headers, and waits too */

    const double begun = clock_now();
    http_quiesce(server);
    http_close(server);
    assert_true(clock_now() - begun < 5);
    assert_int_equal(atomic_load(&waiting.asked), 3);
    assert_int_equal(atomic_load(&waiting.ended), 3);
    for (int i = 0; i < 3; i++)
        read_to_end(clients[i]);
}

static void await_asked(Waiting *waiting, int count)
{
    const double until = clock_now() + 5;
    while (atomic_load(&waiting->asked) < count && clock_now() < until)
        usleep(1000);
    assert_int_equal(atomic_load(&waiting->asked), count);
}

static bool is_cut(int client)
{
    char byte;
    return recv(client, &byte, 1, MSG_DONTWAIT) >= 0 || errno == ECONNRESET;
}

/* Silent connections of one address make place for those of others, and for its own: the oldest first, and none that waits
 * for an answer. */
static void a_crowd_keeps_nobody_out(void **state)
{
    enum { PLACES = 8, SILENT = 40 };
    (void)state;
    Waiting waiting = { 0 };
    HttpServer *server = open_server(&waiting);
    const int port = http_port(server), alone = dial(port, 2), asks = request(port, "/a");
    await_asked(&waiting, 1);
    int silent[SILENT], cuts = 0;
    for (int i = 0; i < SILENT; i++)
        silent[i] = dial(port, 1);
    const int late = dial(port, 3);
    assert_int_equal(write(late, "GET /b HTTP/1.1\r\nHost: b\r\n\r\n", 28), 28);
    await_asked(&waiting, 2);
    for (int i = 0; i < SILENT; i++)
        cuts += is_cut(silent[i]);
    assert_int_equal(cuts, SILENT - (PLACES - 3));
    assert_true(is_cut(silent[0]) && !is_cut(silent[SILENT - 1]));
    assert_false(is_cut(alone) || is_cut(asks) || is_cut(late));
    http_close(server);
    for (int i = 0; i < SILENT; i++)
        close(silent[i]);
    close(alone);
    close(asks);
    close(late);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_stream_that_breaks_ends),
                                        cmocka_unit_test(closing_ends_what_waits),
                                        cmocka_unit_test(a_crowd_keeps_nobody_out) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
