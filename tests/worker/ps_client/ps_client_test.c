/* The client against a small server of this test's own, that loses what it is told to lose. */
#include "worker/ps_client/ps_client.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/socket.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SLOTS = 5 };
static const float served[SLOTS] = { 1, 2, 3, 4, 5 };

typedef struct Fake {
    const char *refusal;        /* NULL: welcomes everybody */
    int lose_acks, lose_leases; /* answers that never arrive */
    bool stop;                  /* leases are LEASE_STOP 5 */
    WireContext *context;
    WireSocket *data, *control;
    char address[256];
    bool knows; /* the client said HELLO since the start */
    WireId data_id, control_id;
    pthread_t thread;
    atomic_bool over;
    atomic_int hellos, pushes, pulls, beats, byes;
    uint64_t client;
    float pushed[SLOTS];
} Fake;

static void reply(Fake *fake, WireSocket *socket, const WireId *to, Msg msg)
{
    Err err = { 0 };
    msg.run = 9;
    msg.client = fake->client;
    assert_int_equal(wire_send(socket, to, &msg, &err), WIRE_SENT);
}

static void fake_pull(Fake *fake, const Msg *msg)
{
    fake->pulls++;
    Msg lease = { .type = MSG_LEASE, .kind = LEASE_TRAIN, .step = 3, .range_count = 1 };
    lease.range[0] = (Range){ 0, 4 };
    if (msg->step != 3) {
        lease.data = (void *)(uintptr_t)served;
        lease.size = sizeof served;
    }
    char reason[] = "nan";
    if (fake->stop)
        lease = (Msg){ .type = MSG_LEASE, .kind = LEASE_STOP, .code = 5, .text = reason };
    if (fake->lose_leases-- <= 0)
        reply(fake, fake->data, &fake->data_id, lease);
}

static void fake_push(Fake *fake, const Msg *msg)
{
    fake->pushes++;
    Msg ack = { .type = MSG_ACK, .kind = msg->kind, .step = msg->step, .range_count = 1 };
    ack.range[0] = msg->range[0];
    memcpy(fake->pushed, msg->data, msg->size);
    if (fake->lose_acks-- <= 0)
        reply(fake, fake->data, &fake->data_id, ack);
}

static void fake_hello(Fake *fake)
{
    Msg msg = { .type = MSG_WELCOME, .text = (char[]){ "fixed" } };
    char refusal[64];
    fake->hellos++;
    fake->knows = !fake->refusal;
    if (fake->refusal) {
        snprintf(refusal, sizeof refusal, "%s", fake->refusal);
        msg = (Msg){ .type = MSG_REFUSE, .text = refusal };
    }
    reply(fake, fake->control, &fake->control_id, msg);
}

static void fake_message(Fake *fake, bool data, const WireId *from, const Msg *msg)
{
    *(data ? &fake->data_id : &fake->control_id) = *from;
    fake->client = msg->client;
    WireSocket *socket = data ? fake->data : fake->control;
    if (msg->type == MSG_HELLO) {
        fake_hello(fake);
    } else if (msg->type == MSG_ASK) {
        reply(fake, socket, from, (Msg){ .type = MSG_RUN, .text = (char[]){ "model: a" } });
    } else if (msg->type == MSG_BYE) {
        fake->byes++;
        reply(fake, socket, from, (Msg){ .type = MSG_BYE });
    } else if (!fake->knows) {
        reply(fake, socket, from, (Msg){ .type = MSG_BEAT, .known = false });
    } else if (msg->type == MSG_BEAT) {
        fake->beats++;
        reply(fake, socket, from, (Msg){ .type = MSG_BEAT, .known = true });
    } else if (msg->type == MSG_PULL) {
        fake_pull(fake, msg);
    } else {
        fake_push(fake, msg);
    }
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
                fake_message(fake, i == 0, &from, &msg);
                msg_release(&msg);
            }
        }
    }
    return NULL;
}

static void fake_start(Fake *fake, const char *address)
{
    Err err = { 0 };
    fake->over = false;
    fake->knows = false;
    fake->context = wire_context_open(&err);
    assert_non_null(fake->context);
    assert_true(wire_bind_pair(fake->context, address, &fake->data, &fake->control, &err));
    wire_limit(fake->data, sizeof served);
    snprintf(fake->address, sizeof fake->address, "%s", wire_endpoint(fake->data));
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_main, fake), 0);
}

static void fake_stop(Fake *fake)
{
    fake->over = true;
    pthread_join(fake->thread, NULL);
    wire_close(fake->data);
    wire_close(fake->control);
    wire_context_close(fake->context);
}

static PsClient *open_client(const char *address, double patience)
{
    Err err = { 0 };
    const PsClientOptions options = { address, 0.1, patience };
    PsClient *client = ps_client_open(&options, &err);
    assert_non_null(client);
    return client;
}

static bool hello(PsClient *client, Err *err)
{
    const HelloFacts facts = { .slot_size = SLOTS, .ranks = 1, .job_ranks = 1 };
    char *fixed = NULL;
    *err = (Err){ 0 };
    const bool ok = ps_client_hello(client, &facts, "model: a", &fixed, err);
    if (ok)
        assert_string_equal(fixed, "fixed");
    free(fixed);
    return ok;
}

static void push_gradient(PsClient *client)
{
    const float gradient[SLOTS] = { -1, -2, -3, -4, -5 };
    const Push push = {
        .step = 3, .range = { 0, 4 }, .count = 8, .data = gradient, .size = sizeof gradient
    };
    Err err = { 0 };
    assert_true(ps_client_push(client, &push, &err));
}

static bool becomes(const atomic_int *value, int least, double seconds)
{
    const double until = clock_now() + seconds;
    while (*value < least && clock_now() < until)
        clock_sleep(0.01);
    return *value >= least;
}

static void asks_greets_works_and_says_bye(void **state)
{
    (void)state;
    Fake fake = { 0 };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 5);
    Err err = { 0 };
    char *run = NULL;
    assert_true(ps_client_ask(client, &run, &err));
    assert_string_equal(run, "model: a");
    free(run);
    assert_true(hello(client, &err));
    Lease lease;
    float values[SLOTS] = { 0 };
    assert_true(ps_client_next(client, -1, &lease, values, SLOTS, &err));
    assert_int_equal(lease.kind, LEASE_TRAIN);
    assert_int_equal(lease.step, 3);
    assert_int_equal(lease.range_count, 1);
    assert_int_equal(lease.range[0].end, 4);
    assert_memory_equal(values, served, sizeof served);
    push_gradient(client);
    memset(values, 0, sizeof values);
    assert_true(ps_client_next(client, 3, &lease, values, SLOTS, &err));
    assert_true(values[0] == 0.0f); /* it has this version: nothing came */
    assert_true(becomes(&fake.beats, 2, 5));
    int64_t up, down;
    ps_client_traffic(client, &up, &down);
    assert_true(up > (int64_t)sizeof served && down > (int64_t)sizeof served);
    ps_client_close(client);
    assert_int_equal(fake.byes, 1);
    assert_int_equal(fake.pushes, 1);
    assert_true(fake.pushed[4] == -5.0f);
    fake_stop(&fake);
}

static void a_refusal_is_an_error_with_its_sentence(void **state)
{
    (void)state;
    Fake fake = { .refusal = "lora.r: 8 here, 16 there" };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 5);
    Err err;
    assert_false(hello(client, &err));
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_string_equal(err.what, "lora.r: 8 here, 16 there");
    ps_client_close(client);
    fake_stop(&fake);
}

static void lost_answers_are_asked_for_again(void **state)
{
    (void)state;
    Fake fake = { .lose_acks = 1, .lose_leases = 1 };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 10);
    Err err;
    Lease lease;
    float values[SLOTS];
    assert_true(hello(client, &err));
    push_gradient(client);
    assert_true(ps_client_next(client, -1, &lease, values, SLOTS, &err));
    assert_true(fake.pulls >= 2);
    assert_true(becomes(&fake.pushes, 2, 5));
    clock_sleep(2.5); /* acknowledged now: it is not sent a third time */
    assert_int_equal(fake.pushes, 2);
    ps_client_close(client);
    fake_stop(&fake);
}

static void a_restarted_server_is_greeted_and_gets_what_it_lost(void **state)
{
    (void)state;
    Fake fake = { .lose_acks = 1000 };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 20);
    Err err;
    assert_true(hello(client, &err));
    push_gradient(client);
    assert_true(becomes(&fake.pushes, 1, 5));
    fake_stop(&fake);
    char address[256];
    memcpy(address, fake.address, sizeof address);
    Fake again = { 0 };
    fake_start(&again, address);
    Lease lease;
    float values[SLOTS] = { 0 };
    assert_true(ps_client_next(client, -1, &lease, values, SLOTS, &err));
    assert_memory_equal(values, served, sizeof served);
    assert_int_equal(again.hellos, 1);
    assert_true(becomes(&again.pushes, 1, 5));
    assert_true(again.pushed[0] == -1.0f);
    ps_client_close(client);
    fake_stop(&again);
}

static void a_restarted_server_may_have_lost_a_step(void **state)
{
    (void)state;
    Fake fake = { 0 };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 20);
    Err err;
    assert_true(hello(client, &err));
    fake_stop(&fake);
    char address[256];
    memcpy(address, fake.address, sizeof address);
    Fake again = { 0 };
    fake_start(&again, address);
    Lease lease;
    float values[SLOTS] = { 0 };
    assert_true(ps_client_next(client, 5, &lease, values, SLOTS, &err));
    assert_int_equal(lease.step, 3);
    assert_memory_equal(values, served, sizeof served);
    ps_client_close(client);
    fake_stop(&again);
}

static void a_stop_brings_its_code_and_reason(void **state)
{
    (void)state;
    Fake fake = { .stop = true };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 5);
    Err err;
    Lease lease;
    float values[SLOTS];
    assert_true(hello(client, &err));
    assert_true(ps_client_next(client, -1, &lease, values, SLOTS, &err));
    assert_int_equal(lease.kind, LEASE_STOP);
    assert_int_equal(lease.code, 5);
    assert_string_equal(lease.text, "nan");
    ps_client_close(client);
    fake_stop(&fake);
}

static void patience_ends(void **state)
{
    (void)state;
    Fake fake = { 0 };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 1);
    Err err;
    Lease lease;
    float values[SLOTS];
    assert_true(hello(client, &err));
    fake_stop(&fake);
    const double begin = clock_now();
    assert_false(ps_client_next(client, -1, &lease, values, SLOTS, &err));
    const double waited = clock_now() - begin;
    assert_int_equal(err.kind, ERR_PEER);
    assert_true(waited > 0.5 && waited < 5);
    ps_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_greets_works_and_says_bye),
        cmocka_unit_test(a_refusal_is_an_error_with_its_sentence),
        cmocka_unit_test(lost_answers_are_asked_for_again),
        cmocka_unit_test(a_restarted_server_is_greeted_and_gets_what_it_lost),
        cmocka_unit_test(a_restarted_server_may_have_lost_a_step),
        cmocka_unit_test(a_stop_brings_its_code_and_reason),
        cmocka_unit_test(patience_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
