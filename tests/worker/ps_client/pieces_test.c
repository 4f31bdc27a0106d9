/* Values and gradients in pieces, against a small server of this test's own that loses what it is told to lose. */
#include "worker/ps_client/ps_client.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/socket.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { PIECES = 9, SIZE = (PIECES - 1) * WIRE_PIECE + 5 };

/* In the place of common/base/clock: the same, and it can jump. */
static _Atomic double jumped;

double clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9 + jumped;
}

void clock_sleep(double seconds)
{
    const struct timespec time = { (time_t)seconds, (long)((seconds - floor(seconds)) * 1e9) };
    nanosleep(&time, NULL);
}

typedef struct Fake {
    WireContext *context;
    WireSocket *data, *control;
    char address[256];
    pthread_t thread;
    atomic_bool over;
    atomic_int lose; /* this piece, once; -1: none */
    atomic_int moves_at; /* from this piece on the version is another; -1: never */
    _Atomic double slow; /* seconds that each answer takes */
    int64_t version;
    atomic_int asked, pushed; /* with data, or for it */
    atomic_int words; /* that ask whether something arrived */
    bool has[PIECES];
    float *values, *got; /* [SIZE] */
} Fake;

/* True: this message is lost, and the client misses the answer now. */
static bool is_lost(Fake *fake, int64_t at)
{
    if (fake->lose < 0 || at != (int64_t)fake->lose * WIRE_PIECE)
        return false;
    fake->lose = -1;
    jumped += 100;
    return true;
}

static void answer(Fake *fake, bool data, const WireId *to, const Msg *msg, Msg reply)
{
    Err err = { 0 };
    reply.run = 9;
    reply.client = msg->client;
    assert_int_equal(wire_send(data ? fake->data : fake->control, to, &reply, &err), WIRE_SENT);
}

/* Behind the time in which the client takes the answer before. */
static void pass_time(const Fake *fake)
{
    if (fake->slow > 0)
        clock_sleep(0.1);
    jumped += fake->slow;
}

static void on_pull(Fake *fake, const WireId *from, const Msg *msg)
{
    if (msg->at < 0) {
        Msg lease = { .type = MSG_LEASE,
                      .kind = LEASE_TRAIN,
                      .step = fake->version,
                      .version = fake->version,
                      .range_count = 1,
                      .turn = msg->turn };
        lease.range[0] = (Range){ 0, 4 };
        answer(fake, true, from, msg, lease);
        return;
    }
    if (msg->again) {
        fake->words++;
        answer(fake, true, from, msg, (Msg){ .type = MSG_VALUES, .step = msg->step, .at = msg->at, .again = true });
        return;
    }
    fake->asked++;
    if (fake->moves_at >= 0 && msg->at >= (int64_t)fake->moves_at * WIRE_PIECE) {
        fake->moves_at = -1;
        fake->version++;
        fake->values[0]++;
        fake->values[SIZE - 1]++;
    }
    Msg values = { .type = MSG_VALUES, .step = msg->step, .at = msg->at };
    if (msg->step == fake->version) {
        values.data = fake->values + msg->at;
        values.size = (size_t)msg_piece(SIZE, msg->at) * sizeof(float);
    }
    pass_time(fake);
    if (!is_lost(fake, msg->at))
        answer(fake, true, from, msg, values);
}

static void answer_push(Fake *fake, const WireId *from, const Msg *msg, MsgType type)
{
    Msg reply = { .type = type, .step = msg->step, .at = msg->at, .range_count = 1 };
    reply.range[0] = msg->range[0];
    answer(fake, true, from, msg, reply);
}

static void on_push(Fake *fake, const WireId *from, const Msg *msg)
{
    bool *has = &fake->has[msg->at / WIRE_PIECE];
    if (msg->again) {
        fake->words++;
        answer_push(fake, from, msg, *has ? MSG_ACK : MSG_NEED);
        return;
    }
    fake->pushed++;
    if (is_lost(fake, msg->at))
        return;
    *has = true;
    assert_int_equal(msg->size, (size_t)msg_piece(SIZE, msg->at) * sizeof(float));
    memcpy(fake->got + msg->at, msg->data, msg->size);
    pass_time(fake);
    answer_push(fake, from, msg, MSG_ACK);
}

static void take(Fake *fake, bool data, const WireId *from, const Msg *msg)
{
    if (msg->type == MSG_PULL)
        on_pull(fake, from, msg);
    else if (msg->type == MSG_PUSH)
        on_push(fake, from, msg);
    else if (msg->type == MSG_HELLO)
        answer(fake, data, from, msg, (Msg){ .type = MSG_WELCOME, .text = (char[]){ "fixed" } });
    else
        answer(fake, data, from, msg, (Msg){ .type = msg->type, .known = true });
}

static void *fake_main(void *arg)
{
    Fake *fake = arg;
    WireSocket *const sockets[] = { fake->data, fake->control };
    while (!fake->over) {
        wire_wait(sockets, 2, -1, 0.02);
        for (int i = 0; i < 2; i++) {
            Msg msg;
            WireId from;
            Err err;
            while (wire_receive(sockets[i], &msg, &from, &err) == WIRE_MESSAGE) {
                take(fake, i == 0, &from, &msg);
                msg_release(&msg);
            }
        }
    }
    return NULL;
}

static PsClient *begin(Fake *fake)
{
    Err err = { 0 };
    *fake = (Fake){ .lose = -1, .moves_at = -1, .version = 3 };
    fake->values = xcalloc(SIZE, sizeof(float));
    fake->got = xcalloc(SIZE, sizeof(float));
    for (int64_t i = 0; i < SIZE; i++)
        fake->values[i] = (float)(i % 9973);
    fake->context = wire_context_open(&err);
    assert_true(wire_bind_pair(fake->context, "tcp://127.0.0.1:*", &fake->data, &fake->control, &err));
    wire_limit(fake->data, WIRE_PIECE * sizeof(float));
    snprintf(fake->address, sizeof fake->address, "%s", wire_endpoint(fake->data));
    const PsClientOptions options = { .address = fake->address, .heartbeat = 0.1, .patience = 1e6 };
    const HelloFacts facts = { .slot_size = SIZE, .ranks = 1, .job_ranks = 1 };
    PsClient *client = ps_client_open(&options, &err);
    char *fixed, *follow;
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_main, fake), 0);
    assert_true(ps_client_hello(client, &facts, "model: a", &fixed, &follow, &err));
    free(fixed);
    return client;
}

static void end(Fake *fake, PsClient *client)
{
    ps_client_close(client);
    fake->over = true;
    pthread_join(fake->thread, NULL);
    wire_close(fake->data);
    wire_close(fake->control);
    wire_context_close(fake->context);
    free(fake->values);
    free(fake->got);
}

static void expect_values(Fake *fake, PsClient *client, int64_t version)
{
    Err err = { 0 };
    Lease lease;
    float *values = xcalloc(SIZE, sizeof *values);
    assert_true(ps_client_next(client, -1, &lease, values, SIZE, &err));
    assert_int_equal(lease.step, version);
    assert_memory_equal(values, fake->values, SIZE * sizeof *values);
    free(values);
}

static void values_come_in_pieces_and_a_lost_one_again(void **state)
{
    (void)state;
    Fake fake;
    PsClient *client = begin(&fake);
    expect_values(&fake, client, 3);
    assert_int_equal(fake.asked, PIECES);
    fake.lose = 6;
    expect_values(&fake, client, 3);
    assert_int_equal(fake.asked, 2 * PIECES + 1); /* those that came are not asked for again, but in a word */
    end(&fake, client);
}

static void values_of_two_versions_are_never_mixed(void **state)
{
    (void)state;
    Fake fake;
    PsClient *client = begin(&fake);
    fake.moves_at = 5;
    expect_values(&fake, client, 4);
    end(&fake, client);
}

static void push(Fake *fake, PsClient *client)
{
    Err err = { 0 };
    float *gradient = xcalloc(SIZE, sizeof *gradient);
    for (int64_t i = 0; i < SIZE; i++)
        gradient[i] = (float)-i;
    const Push one = { .step = 3, .range = { 0, 4 }, .weight = 8, .data = gradient, .size = SIZE * sizeof *gradient };
    memset(fake->got, 0, SIZE * sizeof(float));
    memset(fake->has, 0, sizeof fake->has);
    assert_true(ps_client_push(client, &one, &err));
    assert_memory_equal(fake->got, gradient, SIZE * sizeof *gradient); /* it is there when the call returns */
    free(gradient);
}

static void gradients_go_in_pieces_and_a_lost_one_again(void **state)
{
    (void)state;
    Fake fake;
    PsClient *client = begin(&fake);
    push(&fake, client);
    assert_int_equal(fake.pushed, PIECES);
    fake.lose = 2;
    push(&fake, client);
    assert_int_equal(fake.pushed, 2 * PIECES + 1); /* those that arrived do not go again */
    end(&fake, client);
}

/* Each answer takes longer than the client waits for one: it asks for them, in words. */
static void a_slow_line_is_not_filled_with_copies(void **state)
{
    (void)state;
    Fake fake;
    PsClient *client = begin(&fake);
    fake.slow = 5;
    push(&fake, client);
    expect_values(&fake, client, 3);
    assert_int_equal(fake.pushed, PIECES);
    assert_int_equal(fake.asked, PIECES);
    end(&fake, client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_in_pieces_and_a_lost_one_again),
        cmocka_unit_test(values_of_two_versions_are_never_mixed),
        cmocka_unit_test(gradients_go_in_pieces_and_a_lost_one_again),
        cmocka_unit_test(a_slow_line_is_not_filled_with_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
