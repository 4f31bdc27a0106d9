/* The client against a small server of this test's own, that loses what it is told to lose. */
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

enum { SLOTS = 5 };
static const float served[SLOTS] = { 1, 2, 3, 4, 5 };

/* In the place of common/base/clock: the same, and it can jump, as for a process that was frozen. */
static _Atomic int64_t jumped; /* seconds */

double clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9 + (double)jumped;
}

void clock_sleep(double seconds)
{
    const struct timespec time = { (time_t)seconds, (long)((seconds - floor(seconds)) * 1e9) };
    nanosleep(&time, NULL);
}

typedef struct Fake {
    uint64_t run, plan; /* run 0: 9 */
    atomic_bool deaf; /* hears, but says nothing */
    const char *refusal; /* NULL: welcomes everybody */
    const char *arithmetic; /* NULL: any; else who has another is to follow */
    int lose_acks, lose_leases; /* answers that never arrive */
    bool missed_soon; /* the clock jumps to when the client misses them */
    bool stop; /* leases are LEASE_STOP 5 */
    WireContext *context;
    WireSocket *data, *control;
    char address[256];
    bool knows, knows_all; /* the client said HELLO since the start; or need not */
    WireId data_id, control_id;
    pthread_t thread;
    atomic_bool over;
    bool has_push;
    int64_t sent_turn; /* of the PULL that was answered with values */
    atomic_int hellos, pushes, payloads, pulls, beats, byes;
    uint64_t client, greeted_run, greeted_plan, pushed_run, pushed_plan;
    float pushed[SLOTS];
} Fake;

static void reply(Fake *fake, WireSocket *socket, const WireId *to, Msg msg)
{
    Err err = { 0 };
    msg.run = fake->run ? fake->run : 9;
    msg.client = fake->client;
    if (fake->deaf)
        return;
    assert_int_equal(wire_send(socket, to, &msg, &err), WIRE_SENT);
}

/* True: this answer, one of *count, is lost. */
static bool lost(const Fake *fake, int *count)
{
    if ((*count)-- <= 0)
        return false;
    if (fake->missed_soon)
        jumped += 3;
    return true;
}

static void fake_values(Fake *fake, const Msg *msg)
{
    Msg values = { .type = MSG_VALUES, .step = msg->step, .at = msg->at, .again = msg->again };
    if (!msg->again)
        msg_lend_piece(&values, served, SLOTS);
    reply(fake, fake->data, &fake->data_id, values);
}

static void fake_pull(Fake *fake, const Msg *msg)
{
    if (msg->at >= 0) {
        fake_values(fake, msg);
        return;
    }
    fake->pulls++;
    Msg lease = {
        .type = MSG_LEASE, .kind = LEASE_TRAIN, .plan = fake->plan, .step = 3, .version = 3, .range_count = 1
    };
    lease.range[0] = (Range){ 0, 4 };
    lease.turn = msg->turn;
    if (msg->step != 3 && msg->turn != fake->sent_turn) {
        fake->sent_turn = msg->turn;
        lease.data = (void *)(uintptr_t)served;
        lease.size = sizeof served;
    }
    char reason[] = "nan";
    if (fake->stop)
        lease = (Msg){ .type = MSG_LEASE, .kind = LEASE_STOP, .code = 5, .text = reason };
    if (!lost(fake, &fake->lose_leases))
        reply(fake, fake->data, &fake->data_id, lease);
}

static void fake_push(Fake *fake, const Msg *msg)
{
    fake->pushes++;
    Msg ack = { .type = MSG_ACK, .kind = msg->kind, .step = msg->step, .range_count = 1 };
    ack.range[0] = msg->range[0];
    if (msg->again && !fake->has_push)
        ack.type = MSG_NEED;
    fake->has_push = fake->has_push || !msg->again;
    fake->payloads += !msg->again;
    fake->pushed_run = msg->run;
    fake->pushed_plan = msg->plan;
    if (!msg->again)
        memcpy(fake->pushed, msg->data, msg->size);
    if (!lost(fake, &fake->lose_acks))
        reply(fake, fake->data, &fake->data_id, ack);
}

static void fake_hello(Fake *fake, const Msg *hello)
{
    fake->greeted_run = hello->run;
    fake->greeted_plan = hello->plan;
    Msg msg = { .type = MSG_WELCOME, .text = (char[]){ "fixed" } };
    char refusal[64];
    fake->hellos++;
    fake->knows = !fake->refusal;
    if (fake->refusal) {
        snprintf(refusal, sizeof refusal, "%s", fake->refusal);
        msg = (Msg){ .type = MSG_REFUSE, .text = refusal };
    }
    char arithmetic[64];
    if (fake->arithmetic && strcmp(fake->arithmetic, hello->facts.arithmetic) != 0) {
        snprintf(arithmetic, sizeof arithmetic, "%s", fake->arithmetic);
        msg = (Msg){ .type = MSG_FOLLOW, .text = arithmetic };
    }
    reply(fake, fake->control, &fake->control_id, msg);
}

static void fake_message(Fake *fake, bool data, const WireId *from, const Msg *msg)
{
    *(data ? &fake->data_id : &fake->control_id) = *from;
    fake->client = msg->client;
    WireSocket *socket = data ? fake->data : fake->control;
    if (msg->type == MSG_HELLO) {
        fake_hello(fake, msg);
    } else if (msg->type == MSG_ASK) {
        reply(fake, socket, from, (Msg){ .type = MSG_RUN, .text = (char[]){ "model: a" } });
    } else if (msg->type == MSG_BYE) {
        fake->byes++;
        reply(fake, socket, from, (Msg){ .type = MSG_BYE });
    } else if (!fake->knows && !fake->knows_all) {
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
    fake->knows = fake->has_push = false;
    fake->sent_turn = 0;
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

static PsClient *open_client_of(const char *address, double patience, uint64_t run)
{
    Err err = { 0 };
    const PsClientOptions options = { .address = address, .heartbeat = 0.1, .patience = patience, .run = run };
    PsClient *client = ps_client_open(&options, &err);
    assert_non_null(client);
    return client;
}

static PsClient *open_client(const char *address, double patience)
{
    return open_client_of(address, patience, 0);
}

static bool hello(PsClient *client, Err *err)
{
    const HelloFacts facts = { .slot_size = SLOTS, .ranks = 1, .job_ranks = 1 };
    char *fixed, *follow;
    *err = (Err){ 0 };
    const bool ok = ps_client_hello(client, &facts, "model: a", &fixed, &follow, err);
    if (ok)
        assert_string_equal(fixed, "fixed");
    free(fixed);
    return ok;
}

static void push_gradient(PsClient *client)
{
    const float gradient[SLOTS] = { -1, -2, -3, -4, -5 };
    const Push push = { .step = 3, .range = { 0, 4 }, .weight = 8, .data = gradient, .size = sizeof gradient };
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

/* The client's thread goes round, sends and hears. */
static bool turns(Fake *fake)
{
    return becomes(&fake->beats, fake->beats + 3, 10);
}

static void asks_greets_works_and_says_bye(void **state)
{
    (void)state;
    Fake fake = { 0 };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 5);
    Err err = { 0 };
    char *run = NULL;
    uint64_t id = 0;
    assert_true(ps_client_ask(client, NULL, &run, &id, &err));
    assert_int_equal(id, 9);
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

static void who_is_to_follow_is_told_so_and_greets_again(void **state)
{
    (void)state;
    Fake fake = { .arithmetic = "level-1" };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 5);
    Err err = { 0 };
    HelloFacts facts = { .slot_size = SLOTS, .ranks = 1, .job_ranks = 1, .arithmetic = "level-2" };
    char *fixed, *follow;
    assert_true(ps_client_hello(client, &facts, "model: a", &fixed, &follow, &err));
    assert_null(fixed);
    assert_non_null(follow);
    snprintf(facts.arithmetic, sizeof facts.arithmetic, "%s", follow);
    free(follow);
    assert_string_equal(facts.arithmetic, "level-1");
    assert_true(ps_client_hello(client, &facts, "model: a", &fixed, &follow, &err));
    assert_null(follow);
    assert_string_equal(fixed, "fixed");
    free(fixed);
    ps_client_close(client);
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
    Fake fake = { .lose_acks = 1, .lose_leases = 1, .missed_soon = true };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 10);
    Err err;
    Lease lease;
    float values[SLOTS];
    assert_true(hello(client, &err));
    push_gradient(client);
    assert_true(ps_client_next(client, -1, &lease, values, SLOTS, &err));
    assert_true(fake.pulls >= 2);
    assert_memory_equal(values, served, sizeof served); /* asked for by itself: the lease took them along once */
    assert_true(becomes(&fake.pushes, 2, 5));
    assert_int_equal(fake.payloads, 1);
    assert_true(ps_client_next(client, 3, &lease, values, SLOTS, &err)); /* answered behind the acknowledgement */
    jumped += 20;
    assert_true(turns(&fake));
    assert_true(ps_client_next(client, 3, &lease, values, SLOTS, &err)); /* comes behind whatever was sent */
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
    assert_in_range(again.hellos, 1, 2); /* its two sockets both say that it does not know us, in any order */
    assert_true(becomes(&again.payloads, 1, 5));
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

/* The fake server again, at the same address, as another one. */
static void replace(Fake *fake, Fake *by)
{
    char address[256];
    fake_stop(fake);
    memcpy(address, fake->address, sizeof address);
    fake_start(by, address);
}

static const char *const leaves = "this worker belongs to run 0000000000000009, and the server at this address now has "
                                  "run 000000000000000a";

static void another_run_at_the_address_ends_the_client(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { /* while it waits for work, and while it computes */
        Fake fake = { 0 }, other = { .run = 10 };
        fake_start(&fake, "tcp://127.0.0.1:*");
        PsClient *client = open_client(fake.address, 20);
        Err err;
        Lease lease;
        float values[SLOTS];
        assert_true(hello(client, &err));
        ps_client_plan(client, 77, &(PsConfig){ 0 });
        replace(&fake, &other);
        if (i == 1) {
            push_gradient(client);
            assert_true(becomes(&other.hellos, 1, 10));
        }
        assert_false(ps_client_next(client, -1, &lease, values, SLOTS, &err));
        assert_int_equal(err.kind, ERR_REFUSED);
        assert_string_equal(err.what, leaves);
        assert_string_equal(err.hint, "start the worker again to join that one");
        assert_int_equal(other.pushes, 0);
        assert_int_equal(other.greeted_run, 9); /* the server could see it, too */
        assert_int_equal(other.greeted_plan, 77);
        ps_client_close(client);
        fake_stop(&other);
    }
}

static void the_run_whose_file_was_read_is_the_one_to_join(void **state)
{
    (void)state;
    Fake fake = { .run = 10 };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client_of(fake.address, 5, 9);
    Err err;
    assert_false(hello(client, &err));
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_string_equal(err.what, leaves);
    ps_client_close(client);
    client = open_client_of(fake.address, 5, 10);
    assert_true(hello(client, &err));
    assert_int_equal(fake.greeted_run, 10);
    ps_client_close(client);
    fake_stop(&fake);
}

static void pushes_say_run_and_plan_and_leases_of_another_plan_end_the_client(void **state)
{
    (void)state;
    Fake fake = { .plan = 77 };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 5);
    Err err;
    Lease lease;
    float values[SLOTS];
    assert_true(hello(client, &err));
    assert_int_equal(fake.greeted_plan, 0);
    ps_client_plan(client, 77, &(PsConfig){ 0 });
    push_gradient(client);
    assert_true(ps_client_next(client, -1, &lease, values, SLOTS, &err));
    assert_true(becomes(&fake.pushes, 1, 5));
    assert_int_equal(fake.pushed_run, 9);
    assert_int_equal(fake.pushed_plan, 77);
    fake.plan = 78;
    assert_false(ps_client_next(client, 3, &lease, values, SLOTS, &err));
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_non_null(
        strstr(err.what, "the server leases plan 000000000000004e, and this worker computes 000000000000004d"));
    ps_client_close(client);
    fake_stop(&fake);
}

/* A server at its end says stop to all that speak to it. */
static void another_run_s_stop_is_not_ours(void **state)
{
    (void)state;
    Fake fake = { 0 }, other = { .run = 10, .stop = true, .knows_all = true };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 3);
    Err err;
    Lease lease = { 0 };
    float values[SLOTS];
    assert_true(hello(client, &err));
    replace(&fake, &other);
    assert_false(ps_client_next(client, -1, &lease, values, SLOTS, &err) && lease.kind == LEASE_STOP);
    assert_true(other.pulls > 0);
    ps_client_close(client);
    fake_stop(&other);
}

/* A node that was frozen for long blames nobody, though nothing was heard. */
static void silence_while_the_client_slept_does_not_count(void **state)
{
    (void)state;
    Fake fake = { .lose_leases = 1, .missed_soon = true };
    fake_start(&fake, "tcp://127.0.0.1:*");
    PsClient *client = open_client(fake.address, 2);
    Err err;
    Lease lease;
    float values[SLOTS] = { 0 };
    assert_true(hello(client, &err));
    fake.deaf = true;
    assert_true(turns(&fake)); /* what was said before is heard */
    jumped += 1000;
    assert_true(turns(&fake)); /* it hears nothing */
    fake.deaf = false;
    assert_true(ps_client_next(client, -1, &lease, values, SLOTS, &err));
    assert_memory_equal(values, served, sizeof served);
    fake.deaf = true; /* and patience still ends */
    const double begin = clock_now();
    assert_false(ps_client_next(client, 3, &lease, values, SLOTS, &err));
    assert_int_equal(err.kind, ERR_PEER);
    assert_true(clock_now() - begin < 6);
    ps_client_close(client);
    fake_stop(&fake);
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
        cmocka_unit_test(who_is_to_follow_is_told_so_and_greets_again),
        cmocka_unit_test(a_refusal_is_an_error_with_its_sentence),
        cmocka_unit_test(lost_answers_are_asked_for_again),
        cmocka_unit_test(a_restarted_server_is_greeted_and_gets_what_it_lost),
        cmocka_unit_test(a_restarted_server_may_have_lost_a_step),
        cmocka_unit_test(another_run_at_the_address_ends_the_client),
        cmocka_unit_test(the_run_whose_file_was_read_is_the_one_to_join),
        cmocka_unit_test(pushes_say_run_and_plan_and_leases_of_another_plan_end_the_client),
        cmocka_unit_test(another_run_s_stop_is_not_ours),
        cmocka_unit_test(silence_while_the_client_slept_does_not_count),
        cmocka_unit_test(a_stop_brings_its_code_and_reason),
        cmocka_unit_test(patience_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
