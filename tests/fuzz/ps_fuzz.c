/* ps_fuzz tcp://HOST:PORT SECONDS SEED - attacks both ports of a parameter server.
 *
 * Everything is written to TCP by hand, so that each layer can be wrong on its own: no ZMTP at all, a
 * wrong greeting, wrong frames, wrong headers in right frames, wrong tensors behind right headers,
 * messages without an end, connections that say nothing, peers that never read. Prints how many of
 * each there were. Ends with 1 when the server is there and does not answer a STATUS any more. */
#include "common/base/address.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/socket.h"
#include "tests/fuzz/mutate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 1 << 20, HELD = 200, GREETING = 64, MORE = 1, LONG = 2, COMMAND = 4 };

typedef struct Fuzz {
    Chance chance;
    struct sockaddr_in to;
    unsigned char *bytes; /* [ROOM] */
    size_t size;
    int held[HELD]; /* connections that stay open for a while; -1: none */
    double until;
} Fuzz;

/* ---- bytes to send --------------------------------------------------------------------------- */

static void put(Fuzz *fuzz, const void *bytes, size_t size)
{
    REQUIRE(fuzz->size + size <= ROOM);
    memcpy(fuzz->bytes + fuzz->size, bytes, size);
    fuzz->size += size;
}

static void put_noise(Fuzz *fuzz, size_t size)
{
    for (size_t i = 0; i < size && fuzz->size < ROOM; i++)
        fuzz->bytes[fuzz->size++] = (unsigned char)chance_bits(&fuzz->chance);
}

static void put_greeting(Fuzz *fuzz, const char *mechanism)
{
    unsigned char greeting[GREETING] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0 };
    memcpy(greeting + 12, mechanism, strlen(mechanism));
    put(fuzz, greeting, sizeof greeting);
}

/* The head of a frame; its bytes follow. */
static void put_head(Fuzz *fuzz, int flags, uint64_t size)
{
    unsigned char head[9] = { (unsigned char)(size < 256 ? flags : flags | LONG), (unsigned char)size };
    for (int i = 0; size >= 256 && i < 8; i++)
        head[1 + i] = (unsigned char)(size >> (56 - 8 * i));
    put(fuzz, head, size < 256 ? 2 : 9);
}

static void put_ready(Fuzz *fuzz)
{
    static const char ready[] = "\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0";
    put_head(fuzz, COMMAND, sizeof ready);
    put(fuzz, ready, sizeof ready); /* with the closing zero, the length's last byte */
}

static void put_start(Fuzz *fuzz)
{
    put_greeting(fuzz, "NULL");
    put_ready(fuzz);
}

/* ---- messages -------------------------------------------------------------------------------- */

static int64_t odd_number(Fuzz *fuzz)
{
    static const int64_t odd[] = { 0, 1, -1, 7, 8, 255, 1 << 20, INT32_MAX, INT64_MAX, INT64_MIN, 1LL << 48 };
    return odd[chance_below(&fuzz->chance, sizeof odd / sizeof *odd)];
}

/* A message of any type with figures that a real one could have, or not. */
static Msg odd_message(Fuzz *fuzz, char *text, float *data)
{
    Chance *chance = &fuzz->chance;
    Msg msg = { .type = (MsgType)chance_below(chance, MSG_TYPES),
                .run = chance_bits(chance),
                .plan = chance_bits(chance),
                .client = chance_below(chance, 2) ? 1 + chance_below(chance, 100) : chance_bits(chance),
                .step = odd_number(fuzz),
                .kind = (LeaseKind)chance_below(chance, 3),
                .weight = (double)odd_number(fuzz),
                .tokens = odd_number(fuzz),
                .loss = (double)odd_number(fuzz),
                .seconds = (double)odd_number(fuzz),
                .rss_bytes = odd_number(fuzz),
                .known = chance_below(chance, 2) };
    msg.range_count = 1;
    msg.range[0] = (Range){ odd_number(fuzz), odd_number(fuzz) };
    if (msg.type == MSG_HELLO)
        msg.facts = (HelloFacts){ chance_bits(chance),
                                  chance_bits(chance),
                                  chance_bits(chance),
                                  chance_bits(chance),
                                  odd_number(fuzz),
                                  odd_number(fuzz),
                                  odd_number(fuzz),
                                  odd_number(fuzz),
                                  odd_number(fuzz),
                                  odd_number(fuzz),
                                  odd_number(fuzz),
                                  odd_number(fuzz),
                                  7,
                                  "host",
                                  "x86-64-v3",
                                  odd_number(fuzz) };
    const bool texts = msg.type == MSG_RUN || msg.type == MSG_HELLO || msg.type == MSG_WELCOME ||
                       msg.type == MSG_REFUSE || msg.type == MSG_LEASE || msg.type == MSG_STATUS;
    if (texts && chance_below(chance, 2))
        msg.text = text;
    if (msg.type == MSG_LEASE || msg.type == MSG_PUSH || msg.type == MSG_EVAL) {
        msg.data = data;
        msg.size = chance_below(chance, 1200) * 4;
    }
    return msg;
}

/* The message's frames: its header and tensor changed, or cut into other frames, or neither. */
static void put_message(Fuzz *fuzz)
{
    static float data[1200];
    char text[] = "train: {learning_rate: 1e-4}\nlora: {r: 8}\n";
    Chance *chance = &fuzz->chance;
    const Msg msg = odd_message(fuzz, text, data);
    char *header;
    size_t size;
    Err err = { 0 };
    if (!msg_encode_header(&msg, &header, &size, &err))
        return;
    unsigned char changed[4096];
    REQUIRE(size < sizeof changed / 2);
    memcpy(changed, header, size);
    free(header);
    if (chance_below(chance, 3) > 0)
        size = mutate(chance, changed, size, sizeof changed);
    size_t left = chance_below(chance, 4) == 0 ? chance_below(chance, 5000) : msg.size;
    if (left > sizeof data)
        left = sizeof data;
    put_head(fuzz, left > 0 ? MORE : 0, size);
    put(fuzz, changed, size);
    while (left > 0) {
        const size_t n = chance_below(chance, 2) ? left : 1 + chance_below(chance, left);
        left -= n;
        const bool end = left == 0 && chance_below(chance, 8) > 0; /* else the next message's too */
        put_head(fuzz, end ? 0 : MORE, n);
        put(fuzz, data, n);
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

static int connect_to(Fuzz *fuzz)
{
    struct sockaddr_in to = fuzz->to;
    if (chance_below(&fuzz->chance, 2)) /* the control port */
        to.sin_port = htons((uint16_t)(ntohs(to.sin_port) + 1));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Until all is sent, the server has hung up, or a second is over. */
static bool send_bytes(int fd, const unsigned char *bytes, size_t size)
{
    const double until = clock_now() + 1;
    while (size > 0 && clock_now() < until) {
        const ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            struct pollfd wait = { fd, POLLOUT, 0 };
            poll(&wait, 1, 50);
        } else {
            return false;
        }
    }
    return size == 0;
}

/* Greets and waits for the server's READY: what comes before it is taken for a part of the handshake. */
static bool shake_hands(Fuzz *fuzz, int fd)
{
    unsigned char answer[256];
    size_t got = 0;
    const double until = clock_now() + 1;
    fuzz->size = 0;
    put_start(fuzz);
    if (!send_bytes(fd, fuzz->bytes, fuzz->size))
        return false;
    fuzz->size = 0;
    while (got < GREETING + 2 || got < GREETING + 2 + (size_t)answer[GREETING + 1]) {
        struct pollfd wait = { fd, POLLIN, 0 };
        poll(&wait, 1, 50);
        const ssize_t n = recv(fd, answer + got, sizeof answer - got, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN) || clock_now() > until)
            return false;
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void hold(Fuzz *fuzz, int fd)
{
    int *place = &fuzz->held[chance_below(&fuzz->chance, HELD)];
    if (*place >= 0)
        close(*place);
    *place = fd;
}

/* ---- attacks --------------------------------------------------------------------------------- */

static void send_noise(Fuzz *fuzz, int fd)
{
    put_noise(fuzz, 1 + chance_below(&fuzz->chance, 4096));
    send_bytes(fd, fuzz->bytes, fuzz->size);
}

static void send_wrong_greeting(Fuzz *fuzz, int fd)
{
    static const char *const mechanisms[] = { "NULL", "PLAIN", "CURVE", "GSSAPI", "nothing" };
    put_greeting(fuzz, mechanisms[chance_below(&fuzz->chance, 5)]);
    put_ready(fuzz);
    const size_t whole = fuzz->size;
    fuzz->size = mutate(&fuzz->chance, fuzz->bytes, fuzz->size, ROOM);
    if (fuzz->size > whole)
        fuzz->size = whole;
    send_bytes(fd, fuzz->bytes, fuzz->size);
}

static void send_wrong_frames(Fuzz *fuzz, int fd)
{
    if (!shake_hands(fuzz, fd))
        return;
    for (size_t n = 1 + chance_below(&fuzz->chance, 20); n > 0; n--) {
        put_head(fuzz, (int)chance_below(&fuzz->chance, 256), chance_below(&fuzz->chance, 600));
        put_noise(fuzz, chance_below(&fuzz->chance, 600));
    }
    fuzz->size = mutate(&fuzz->chance, fuzz->bytes, fuzz->size, ROOM);
    send_bytes(fd, fuzz->bytes, fuzz->size);
}

static void send_large_frame(Fuzz *fuzz, int fd)
{
    const int shift = (int)chance_below(&fuzz->chance, 41);
    if (!shake_hands(fuzz, fd))
        return;
    put_head(fuzz, (int)chance_below(&fuzz->chance, 2), ((uint64_t)(4 << 20) << shift) + 1);
    put_noise(fuzz, 64 << 10);
    send_bytes(fd, fuzz->bytes, fuzz->size);
}

static void send_messages(Fuzz *fuzz, int fd)
{
    if (!shake_hands(fuzz, fd))
        return;
    for (size_t n = 1 + chance_below(&fuzz->chance, 40); n > 0; n--)
        put_message(fuzz);
    send_bytes(fd, fuzz->bytes, fuzz->size);
    char answer[65536];
    if (chance_below(&fuzz->chance, 2)) /* or it is a peer that does not read */
        while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
            continue;
}

/* One message of up to 256 MB in parts of one size, 0 among them. */
static void send_endless(Fuzz *fuzz, int fd)
{
    const size_t part =
        chance_below(&fuzz->chance, 3) == 0 ? chance_below(&fuzz->chance, 3) : 1 + chance_below(&fuzz->chance, 100000);
    if (!shake_hands(fuzz, fd))
        return;
    while (fuzz->size + part + 9 <= ROOM) {
        put_head(fuzz, MORE, part);
        memset(fuzz->bytes + fuzz->size, 0, part);
        fuzz->size += part;
    }
    for (int i = 0; i < 256 && clock_now() < fuzz->until; i++)
        if (!send_bytes(fd, fuzz->bytes, fuzz->size))
            return;
}

static void send_little(Fuzz *fuzz, int fd)
{
    put_start(fuzz);
    send_bytes(fd, fuzz->bytes, chance_below(&fuzz->chance, fuzz->size));
    hold(fuzz, dup(fd));
}

/* ---- the server still answers ---------------------------------------------------------------- */

/* *over: nobody listens any more. */
static bool answers(Fuzz *fuzz, const char *address, bool *over)
{
    Err err = { 0 };
    WireContext *context = wire_context_open(&err);
    WireSocket *data = NULL, *control = NULL;
    bool ok = context && wire_connect_pair(context, address, &data, &control, &err);
    bool answered = false;
    const double until = clock_now() + 20;
    double again = 0;
    while (ok && !answered && !*over && clock_now() < until) {
        const int fd = connect_to(fuzz);
        *over = fd < 0;
        if (fd >= 0)
            close(fd);
        const Msg ask = { .type = MSG_STATUS, .client = 1 };
        if (clock_now() >= again && wire_send(control, NULL, &ask, &err) == WIRE_SENT)
            again = clock_now() + 2;
        wire_wait(&control, 1, -1, 0.05);
        Msg msg;
        answered = wire_receive(control, &msg, NULL, &err) == WIRE_MESSAGE && msg.type == MSG_STATUS;
        msg_release(&msg);
    }
    wire_close(data);
    wire_close(control);
    wire_context_close(context);
    return answered;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(Fuzz *fuzz, int fd);
        int weight; /* of 100 */
    } attacks[] = { { "noise", send_noise, 10 },         { "greetings", send_wrong_greeting, 10 },
                    { "frames", send_wrong_frames, 15 }, { "large frames", send_large_frame, 5 },
                    { "messages", send_messages, 48 },   { "endless messages", send_endless, 2 },
                    { "half-open", send_little, 10 } };
    enum { KINDS = sizeof attacks / sizeof *attacks };
    long long counts[KINDS] = { 0 };
    Address address = { 0 };
    Err err = { 0 };
    if (argc != 4 || !address_read(&address, argv[1], &err)) {
        fprintf(stderr, "usage: ps_fuzz tcp://HOST:PORT SECONDS SEED\n");
        return 2;
    }
    Fuzz fuzz = { .chance = { strtoull(argv[3], NULL, 10) * 2 + 1 },
                  .to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)address.port) },
                  .bytes = xmalloc(ROOM),
                  .until = clock_now() + atof(argv[2]) };
    inet_pton(AF_INET, address.host, &fuzz.to.sin_addr);
    for (int i = 0; i < HELD; i++)
        fuzz.held[i] = -1;
    int in_vain = 0; /* a run that is over has no server any more */
    while (clock_now() < fuzz.until && in_vain < 100) {
        int draw = (int)chance_below(&fuzz.chance, 100);
        size_t kind = 0;
        while ((draw -= attacks[kind].weight) >= 0)
            kind++;
        const int fd = connect_to(&fuzz);
        if (fd < 0) {
            in_vain++;
            clock_sleep(0.01);
            continue;
        }
        in_vain = 0;
        fuzz.size = 0;
        attacks[kind].run(&fuzz, fd);
        counts[kind]++;
        close(fd);
    }
    for (int i = 0; i < KINDS; i++)
        printf("%s%lld %s", i > 0 ? ", " : "  ", counts[i], attacks[i].name);
    bool over = in_vain > 0;
    const bool ok = over || answers(&fuzz, argv[1], &over) || over;
    printf("; the server %s\n", over ? "has ended" : ok ? "answers" : "DOES NOT ANSWER");
    for (int i = 0; i < HELD; i++)
        if (fuzz.held[i] >= 0)
            close(fuzz.held[i]);
    free(fuzz.bytes);
    address_release(&address);
    return ok ? 0 : 1;
}
