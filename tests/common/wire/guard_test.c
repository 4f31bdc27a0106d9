/* Peers that send no message: they are cut, and nobody else is. */
#include "common/wire/guard.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Pair {
    WireContext *context;
    WireSocket *data, *control, *client_data, *client_control;
    int port;
    int64_t messages;
} Pair;

static void pair_open(Pair *pair)
{
    Err err = { 0 };
    *pair = (Pair){ 0 };
    pair->context = wire_context_open(&err);
    assert_non_null(pair->context);
    assert_true(wire_bind_pair(pair->context, "tcp://127.0.0.1:*", &pair->data, &pair->control, &err));
    const char *endpoint = wire_endpoint(pair->data);
    pair->port = atoi(strrchr(endpoint, ':') + 1);
    wire_limit(pair->data, 1 << 20);
    assert_true(wire_connect_pair(pair->context, endpoint, &pair->client_data, &pair->client_control, &err));
}

static void pair_close(Pair *pair)
{
    wire_close(pair->client_data);
    wire_close(pair->client_control);
    wire_close(pair->data);
    wire_close(pair->control);
    wire_context_close(pair->context);
}

/* The honest client sends, the server receives. */
static void turn(Pair *pair)
{
    static float gradient[1 << 16];
    const Msg push = { .type = MSG_PUSH,
                       .client = 3,
                       .range = { { 0, 1 } },
                       .range_count = 1,
                       .data = gradient,
                       .size = sizeof gradient };
    Err err = { 0 };
    assert_int_not_equal(wire_send(pair->client_data, NULL, &push, &err), WIRE_BAD);
    wire_wait(&pair->data, 1, -1, 0.01);
    Msg msg;
    WireId from;
    WireReceived received;
    while ((received = wire_receive(pair->data, &msg, &from, &err)) != WIRE_NOTHING) {
        pair->messages += received == WIRE_MESSAGE;
        msg_release(&msg);
    }
}

static int dial(const Pair *pair)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)pair->port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* The other side has hung up. */
static bool is_cut(int fd)
{
    char bytes[256];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        continue;
    return n == 0 || errno != EAGAIN;
}

static void a_message_without_an_end_is_cut_and_a_large_one_is_not(void **state)
{
    (void)state;
    static const char start[] = "\xff\0\0\0\0\0\0\0\0\x7f\3\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\4\51\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0";
    static char part[2 + 255] = { 1, (char)255 }; /* more follow */
    Pair pair;
    pair_open(&pair);
    const int fd = dial(&pair);
    assert_int_equal(send(fd, start, sizeof start, MSG_NOSIGNAL), sizeof start);
    while (recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT) < 0) /* the server's greeting ... */
        turn(&pair);
    for (int i = 0; i < 20; i++) /* ... and READY: before it, a frame is a part of the handshake */
        turn(&pair);
    int64_t sent = 0;
    const double until = clock_now() + 20;
    while (!is_cut(fd) && clock_now() < until) {
        for (int i = 0; i < 200; i++) {
            const size_t at = (size_t)(sent % (int64_t)sizeof part);
            const ssize_t n = send(fd, part + at, sizeof part - at, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0)
                break;
            sent += n;
        }
        turn(&pair);
    }
    assert_true(is_cut(fd));
    assert_true(sent > 1 << 20); /* as much as the largest message is waited for */
    assert_true(sent < 64 << 20);
    const int64_t before = pair.messages;
    for (int i = 0; i < 400; i++)
        turn(&pair);
    assert_true(pair.messages - before > 300); /* the honest one was not touched */
    close(fd);
    pair_close(&pair);
}

static void too_many_silent_connections_are_cut_the_oldest_first(void **state)
{
    (void)state;
    enum { DESCRIPTORS = 250, MOST = (DESCRIPTORS - 64) / 2, EXTRA = 8 };
    const struct rlimit few = { DESCRIPTORS, DESCRIPTORS };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    Pair pair;
    pair_open(&pair);
    for (int i = 0; i < 50; i++) /* the honest client has spoken */
        turn(&pair);
    assert_true(pair.messages > 0);
    int fds[MOST + EXTRA];
    for (int i = 0; i < MOST + EXTRA; i++) {
        fds[i] = dial(&pair);
        turn(&pair);
        clock_sleep(0.003);
    }
    for (int i = 0; i < 50; i++)
        turn(&pair);
    int cut = 0;
    for (int i = 0; i < MOST + EXTRA; i++)
        cut += is_cut(fds[i]);
    assert_true(is_cut(fds[0]));
    assert_false(is_cut(fds[MOST + EXTRA - 1]));
    assert_true(cut >= EXTRA && cut < EXTRA + 4);
    const int64_t before = pair.messages;
    for (int i = 0; i < 100; i++)
        turn(&pair);
    assert_true(pair.messages - before > 50);
    for (int i = 0; i < MOST + EXTRA; i++)
        close(fds[i]);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_without_an_end_is_cut_and_a_large_one_is_not),
        cmocka_unit_test(too_many_silent_connections_are_cut_the_oldest_first),
    };
    log_setup("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
