/* A seeded world of clients that die, join, dawdle, repeat and lose messages. */
#include "tests/ps/core_sim.h"

#include "common/slots/tree.h"

#include "ps/trust.h"
#include <math.h>
#include <time.h>

typedef struct Fake {
    uint64_t id; /* 0: not there */
    int64_t have, turn;
    double asleep_until, pulled;
    Msg work;
    bool busy;
} Fake;

static void push(PsCore *core, const Fake *fake, int64_t begin, int64_t end, double now)
{
    Msg msg = message(fake->work.kind == LEASE_EVAL ? MSG_EVAL : MSG_PUSH, fake->id);
    msg.step = msg.version = fake->work.step;
    msg.range[0] = (Range){ begin, end };
    msg.range_count = 1;
    msg.seconds = 0.5;
    if (msg.type == MSG_EVAL) {
        msg.size = sizeof(double);
        msg.data = xmalloc(msg.size);
        *(double *)msg.data = (double)(msg.step * 100 + begin);
    } else {
        msg.size = SIZE * sizeof(float);
        msg.data = xmalloc(msg.size);
        msg.weight = (double)(end - begin);
        plain(msg.data, &msg.loss, msg.step, begin, power(end - begin), end);
    }
    core_message(core, &msg, now);
    free(msg.data);
}

/* Sends the lease's results, some of them, some twice, in no order; perhaps dies in between. */
static void work(Sim *sim, PsCore *core, Fake *fake, double now)
{
    fake->busy = false;
    for (int r = 0; r < fake->work.range_count; r++)
        for (int64_t at = fake->work.range[r].begin; at < fake->work.range[r].end;) {
            int64_t end = fake->work.kind == LEASE_EVAL || chance(sim, 3) == 0
                              ? at + 1
                              : tree_node_end(at, fake->work.range[r].end, sim->M);
            if (chance(sim, 40) != 0)
                push(core, fake, at, end, now);
            if (chance(sim, 20) == 0)
                push(core, fake, at, end, now);
            at = end;
        }
}

static void deliver(Sim *sim, PsCore *core, Fake *fakes, double now, int *stopped)
{
    Msg reply;
    while (core_reply(core, &reply))
        for (int i = 0; i < CLIENTS; i++) {
            Fake *fake = &fakes[i];
            if (fake->id != reply.client || chance(sim, 100) == 0)
                continue;
            assert_int_not_equal(reply.type, MSG_REFUSE);
            if (reply.type == MSG_BEAT && !reply.known)
                hello(core, fake->id, now);
            if (reply.type != MSG_LEASE)
                continue;
            if (reply.kind == LEASE_STOP) {
                assert_int_equal(reply.code, 0);
                fake->id = 0;
                (*stopped)++;
                continue;
            }
            assert_true((reply.data == NULL) == (fake->have == reply.step));
            if (reply.data)
                assert_true(((const float *)reply.data)[0] == (float)reply.step);
            fake->have = reply.step;
            fake->work = reply;
            fake->busy = true;
            fake->asleep_until = now + 0.05 * chance(sim, 20) + (chance(sim, 60) == 0 ? 30 : 0);
        }
}

static void simulate(int64_t M, uint32_t seed, int64_t steps)
{
    Sim sim = { .M = M, .steps = steps, .seed = seed, .evaluated_at = -1 };
    Fake fakes[CLIENTS] = { 0 };
    PsCore *core = start(&sim);
    const int most = 3 + (int)(seed % 5);
    uint64_t next_id = 1;
    int stopped = 0;
    double now = 1;
    for (int64_t turn = 0; !core_is_over(core); turn++, now += 0.05) {
        assert_true(turn < 4000 * steps);
        for (int i = 0; i < most; i++) {
            Fake *fake = &fakes[i];
            if (!fake->id && chance(&sim, 50) == 0) {
                *fake = (Fake){ .id = next_id++, .have = -1 };
                hello(core, fake->id, now);
            } else if (fake->id && chance(&sim, 500) == 0) {
                if (chance(&sim, 2)) {
                    Msg bye = message(MSG_BYE, fake->id);
                    core_message(core, &bye, now);
                }
                *fake = (Fake){ 0 };
            } else if (fake->id && fake->asleep_until <= now && fake->busy) {
                work(&sim, core, fake, now);
                if (chance(&sim, 30) == 0)
                    push(core, &(Fake){ .id = fake->id, .work.step = fake->work.step - 1 }, 0, 1, now);
            } else if (fake->id && fake->asleep_until <= now && now - fake->pulled > 0.3) {
                Msg pull = message(MSG_PULL, fake->id);
                pull.step = fake->have;
                pull.turn = ++fake->turn;
                fake->pulled = now;
                core_message(core, &pull, now);
            }
            deliver(&sim, core, fakes, now, &stopped);
        }
        core_tick(core, now);
        deliver(&sim, core, fakes, now, &stopped);
    }
    assert_int_equal(sim.applied, steps);
    assert_int_equal(sim.evaluations, steps / EVERY);
    core_free(core);
}

static void every_step_is_applied_once_with_the_bits_of_the_tree(void **state)
{
    (void)state;
    const int64_t Ms[] = { 1, 3, 7, 8 };
    for (uint32_t seed = 0; seed < 8; seed++)
        simulate(Ms[seed % 4], seed, 400);
}

/* Leases that go out now: how many, and the pieces of them. */
static int64_t leased(PsCore *core, int *leases, Range *last)
{
    Msg reply;
    int64_t pieces = 0;
    *leases = 0;
    while (core_reply(core, &reply))
        if (reply.type == MSG_LEASE) {
            ++*leases;
            *last = reply.range[0];
            for (int i = 0; i < reply.range_count; i++)
                pieces += reply.range[i].end - reply.range[i].begin;
        }
    return pieces;
}

static void pull(PsCore *core, uint64_t id, double now)
{
    Msg msg = message(MSG_PULL, id);
    msg.step = -1;
    core_message(core, &msg, now);
}

static void beat(PsCore *core, uint64_t id, double now)
{
    Msg msg = message(MSG_BEAT, id);
    core_message(core, &msg, now);
}

/* Three get three pieces each; the third beats, but does not answer. Its pieces go to the other two when its time
 * (lease_timeout, and three times the longest piece: 6.5 s) is over, not before. */
static void who_beats_but_does_not_work_gives_its_pieces_to_those_who_wait(void **state)
{
    (void)state;
    Sim sim = { .M = 9, .steps = 2, .evaluated_at = -1 };
    PsCore *core = start(&sim);
    int leases;
    Range of;
    for (uint64_t id = 1; id <= 3; id++)
        hello(core, id, 0);
    for (uint64_t id = 1; id <= 3; id++)
        pull(core, id, 0);
    assert_int_equal(leased(core, &leases, &of), 9);
    assert_int_equal(leases, 3);
    assert_int_equal(of.begin, 6);
    for (int64_t m = 0; m < 6; m++)
        push(core, &(Fake){ .id = 1 + (uint64_t)m / 3 }, m, m + 1, 0);
    for (double now = 0.5; now < 6; now += 0.5) {
        for (uint64_t id = 1; id <= 3; id++)
            beat(core, id, now);
        pull(core, 1, now);
        pull(core, 2, now);
        core_tick(core, now);
        assert_int_equal(leased(core, &leases, &of), 0);
    }
    core_tick(core, 7);
    assert_int_equal(leased(core, &leases, &of), 3);
    assert_int_equal(leases, 2);
    for (int64_t m = 6; m < 9; m++)
        push(core, &(Fake){ .id = 1 }, m, m + 1, 7);
    assert_int_equal(sim.applied, 1);
    push(core, &(Fake){ .id = 3 }, 6, 7, 8); /* at last: of a step that is over */
    assert_int_equal(sim.applied, 1);
    core_free(core);
}

/* Rounds of one second a piece with two clients: the second has its lease and asks again and again, but gives nothing.
 * It costs two pauses of a fifth of the lease timeout or three times what the first one needs, and then no more. */
static void who_asks_and_never_answers_gets_no_more_work(void **state)
{
    (void)state;
    Sim sim = { .M = 8, .steps = 40, .evaluated_at = -1 };
    PsCore *core = start(&sim);
    double now = 0, finished[40];
    int64_t done = 0;
    hello(core, 1, 0);
    hello(core, 2, 0);
    hello(core, 1, 4);
    hello(core, 2, 4);
    core_tick(core, 6); /* the third of the job never comes */
    for (now = 6; sim.applied < 40 && now < 1000; now += 0.1) {
        Msg reply;
        pull(core, 1, now);
        pull(core, 2, now);
        core_tick(core, now);
        Range mine[WIRE_RANGES];
        int count = 0;
        while (core_reply(core, &reply))
            if (reply.type == MSG_LEASE && reply.client == 1 && reply.kind == LEASE_TRAIN) {
                memcpy(mine, reply.range, sizeof mine);
                count = reply.range_count;
            }
        const int64_t step = sim.applied;
        for (int i = 0; i < count; i++)
            for (int64_t m = mine[i].begin; m < mine[i].end; m++) {
                now += 0.1;
                push(core, &(Fake){ .id = 1, .work.step = step }, m, m + 1, now);
            }
        for (; done < sim.applied; done++)
            finished[done] = now;
    }
    assert_int_equal(sim.applied, 40);
    assert_int_equal(trust_quarantined(core_look(core).clients, now), 1);
    /* two steps with a pause; the others take the eight pieces' 0.8 s and a tick */
    assert_true(finished[39] - 6 < 40 * 1.1 + 2 * 3.0);
    core_free(core);
}

/* Work goes on at once when the connection of who has it ends; who comes back is dealt work again. */
static void who_is_cut_off_loses_its_work_at_once(void **state)
{
    (void)state;
    Sim sim = { .M = 8, .steps = 3, .evaluated_at = -1 };
    PsCore *core = start(&sim);
    int leases;
    Range of;
    for (uint64_t id = 1; id <= 3; id++)
        hello(core, id, 0);
    for (uint64_t id = 1; id <= 2; id++)
        pull(core, id, 0);
    const int64_t first = leased(core, &leases, &of);
    for (int64_t m = 0; m < first; m++)
        push(core, &(Fake){ .id = 1 }, m, m + 1, 0);
    pull(core, 1, 0);
    assert_int_equal(leased(core, &leases, &of), 0);
    core_gone(core, 3, 0.01);
    assert_int_equal(leased(core, &leases, &of), 8 - first);
    for (int64_t m = first; m < 8; m++)
        push(core, &(Fake){ .id = 1 }, m, m + 1, 0.02);
    assert_int_equal(sim.applied, 1);
    pull(core, 1, 0.03);
    pull(core, 2, 0.03);
    assert_int_equal(leased(core, &leases, &of), 8); /* the one that is gone gets nothing */
    beat(core, 3, 0.04);
    for (int64_t m = 0; m < 8; m++)
        push(core, &(Fake){ .id = 1, .work.step = 1 }, m, m + 1, 0.05);
    for (uint64_t id = 1; id <= 3; id++)
        pull(core, id, 0.06);
    assert_int_equal(leased(core, &leases, &of), 8);
    assert_int_equal(leases, 3);
    core_free(core);
}

static void a_range_that_is_no_node_is_refused(void **state)
{
    (void)state;
    Sim sim = { .M = 8, .steps = 1 };
    PsCore *core = start(&sim);
    for (uint64_t id = 1; id <= 3; id++)
        hello(core, id, 0);
    push(core, &(Fake){ .id = 1 }, 1, 2, 0);
    Msg msg = message(MSG_PUSH, 1), reply;
    float data[SIZE] = { 0 };
    msg.data = data;
    msg.size = sizeof data;
    const Range bad[] = { { 1, 3 }, { 0, 3 }, { -1, 1 }, { 7, 9 }, { 4, 4 }, { 5, 4 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        while (core_reply(core, &reply))
            continue;
        msg.range[0] = bad[i];
        core_message(core, &msg, 0);
        assert_true(core_reply(core, &reply));
        assert_int_equal(reply.type, MSG_REFUSE);
        assert_non_null(msg.data);
    }
    core_free(core);
}

static void equal_clients_get_equal_shares_and_a_stranger_is_told(void **state)
{
    (void)state;
    Sim sim = { .M = 9, .steps = 1 };
    PsCore *core = start(&sim);
    Msg reply;
    int leases = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        hello(core, id, 0);
        Msg pull = message(MSG_PULL, id);
        pull.step = -1;
        core_message(core, &pull, 0);
    }
    while (core_reply(core, &reply))
        if (reply.type == MSG_LEASE) {
            leases++;
            assert_int_equal(reply.range[0].end - reply.range[0].begin, 3);
        }
    assert_int_equal(leases, 3);
    Msg beat = message(MSG_BEAT, 99);
    core_message(core, &beat, 0);
    assert_true(core_reply(core, &reply));
    assert_int_equal(reply.type, MSG_BEAT);
    assert_false(reply.known);
    Msg other = message(MSG_HELLO, 98);
    core_message(core, &other, 0);
    assert_true(core_reply(core, &reply));
    assert_int_equal(reply.type, MSG_REFUSE);
    assert_string_equal(reply.text, "another base model");
    core_free(core);
}

static void push_whole_step(PsCore *core, Sim *sim, int64_t step, uint64_t plan)
{
    Msg msg = message(MSG_PUSH, 1);
    float sums[SIZE];
    msg.plan = plan;
    msg.step = msg.version = step;
    msg.range[0] = (Range){ 0, sim->M };
    msg.range_count = 1;
    msg.weight = (double)sim->M;
    msg.size = sizeof sums;
    plain(sums, &msg.loss, step, 0, power(sim->M), sim->M);
    msg.data = xmalloc(sizeof sums);
    memcpy(msg.data, sums, sizeof sums);
    core_message(core, &msg, 0);
    free(msg.data);
}

static void sums_of_another_step_are_acknowledged_and_dropped(void **state)
{
    (void)state;
    Sim sim = { .M = 8, .steps = 3, .evaluated_at = -1 };
    PsCore *core = start(&sim);
    for (uint64_t id = 1; id <= 3; id++)
        hello(core, id, 0);
    push_whole_step(core, &sim, 0, PLAN);
    assert_int_equal(sim.applied, 1);
    Msg reply;
    const int64_t others[] = { 0, 2 }; /* an older version's, and one that a restart took back */
    for (int i = 0; i < 2; i++) {
        while (core_reply(core, &reply))
            continue;
        push_whole_step(core, &sim, others[i], PLAN);
        assert_int_equal(sim.applied, 1);
        assert_true(core_reply(core, &reply));
        assert_int_equal(reply.type, MSG_ACK);
        assert_int_equal(reply.step, others[i]);
    }
    push_whole_step(core, &sim, 1, PLAN); /* with the bits of its own: nothing of the others stayed */
    assert_int_equal(sim.applied, 2);
    core_free(core);
}

static void sums_of_another_plan_are_refused(void **state)
{
    (void)state;
    Sim sim = { .M = 8, .steps = 3, .evaluated_at = -1 };
    PsCore *core = start(&sim);
    for (uint64_t id = 1; id <= 3; id++)
        hello(core, id, 0);
    push_whole_step(core, &sim, 0, PLAN + 1);
    assert_int_equal(sim.applied, 0);
    assert_true(refused(core, 1, "sums of another plan than the run's"));
    push_whole_step(core, &sim, 0, 0); /* does not say */
    assert_int_equal(sim.applied, 0);
    assert_true(refused(core, 1, "sums of another plan than the run's"));
    push_whole_step(core, &sim, 0, PLAN);
    assert_int_equal(sim.applied, 1);
    core_free(core);
}

static void leases_say_their_plan(void **state)
{
    (void)state;
    Sim sim = { .M = 3, .steps = 1 };
    PsCore *core = start(&sim);
    for (uint64_t id = 1; id <= 3; id++) {
        hello(core, id, 0);
        Msg pull = message(MSG_PULL, id);
        core_message(core, &pull, 0);
    }
    Msg reply;
    int leases = 0;
    while (core_reply(core, &reply))
        if (reply.type == MSG_LEASE) {
            assert_int_equal(reply.plan, PLAN);
            leases++;
        }
    assert_int_equal(leases, 3);
    core_free(core);
}

/* A message of another run, though its client's number is known here. */
static void another_run_s_messages_change_nothing(void **state)
{
    (void)state;
    Sim sim = { .M = 1, .steps = 3, .evaluated_at = -1 };
    PsCore *core = start(&sim);
    for (uint64_t id = 1; id <= 3; id++)
        hello(core, id, 0);
    const MsgType types[] = { MSG_PUSH, MSG_EVAL, MSG_PULL, MSG_BEAT };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        Msg msg = message(types[i], 1), reply;
        float data[SIZE] = { 0 };
        while (core_reply(core, &reply))
            continue;
        msg.run = 78;
        msg.range[0] = (Range){ 0, 1 };
        msg.range_count = 1;
        if (i < 2) {
            msg.data = data;
            msg.size = sizeof data;
        }
        core_message(core, &msg, 0);
        assert_int_equal(sim.applied, 0);
        assert_true(core_reply(core, &reply));
        assert_int_equal(reply.type, MSG_BEAT);
        assert_false(reply.known);
        assert_false(core_reply(core, &reply));
    }
    core_free(core);
}

/* Takes all replies; how many are of this type, each noted by its leaf. */
static int answered(PsCore *core, bool of[], MsgType type)
{
    Msg reply;
    int count = 0;
    while (core_reply(core, &reply))
        if (reply.type == type)
            count += of[reply.range[0].begin] = true;
    return count;
}

static void offer(PsCore *core, int64_t m, int64_t step, bool again, double now)
{
    Msg msg = message(MSG_PUSH, 1 + (uint64_t)m);
    msg.step = msg.version = step;
    msg.range[0] = (Range){ m, m + 1 };
    msg.range_count = 1;
    msg.weight = 1;
    msg.again = again;
    if (!again) {
        msg.size = SIZE * sizeof(float);
        msg.data = xmalloc(msg.size);
        plain(msg.data, &msg.loss, step, m, 1, m + 1);
    }
    core_message(core, &msg, now);
    free(msg.data);
}

/* 128 clients bring a sum each, every other one of the tree first, to a server that has room for the nine that the tree needs:
 * it holds no more than those, what grows at the left, and one that comes; and every step is made with its bits. */
static void offers_of_ten_times_the_room_wait_for_it(void **state)
{
    (void)state;
    enum { N = 128, ROOM = 9 };
    Sim sim = { .M = N, .steps = 2, .evaluated_at = -1, .sum_bytes = 1 };
    PsCore *core = start(&sim);
    int64_t most = 0, sent = 0;
    double now = 0;
    for (uint64_t id = 1; id <= N; id++)
        hello(core, id, 0);
    for (int64_t step = 0; step < 2; step++) {
        bool has[N] = { false }, wanted[N];
        for (int64_t m = 0; m < N; m++)
            wanted[m] = true;
        for (int turn = 0; sim.applied == step && turn < 4 * N; turn++, now += 0.01)
            for (int64_t i = 0; i < N && sim.applied == step; i++) {
                const int64_t m = i < N / 2 ? N - 1 - 2 * i : 2 * (N - 1 - i); /* none beside another at first */
                if (has[m])
                    continue;
                sent += wanted[m];
                offer(core, m, step, !wanted[m], now);
                wanted[m] = false;
                answered(core, wanted, MSG_NEED); /* of this one: it goes the next time */
                offer(core, m, step, true, now);
                answered(core, has, MSG_ACK);
                most = core_open_sums(core) > most ? core_open_sums(core) : most;
            }
        assert_int_equal(sim.applied, step + 1);
    }
    assert_in_range(most, ROOM, 2 * ROOM);
    assert_true(sent <= 4 * N); /* twice at the most */
    core_free(core);
}

/* Six of sixteen fit; the leaf 1 waits. When the leaf 0 comes, 1 is what the tree needs next: its client is told, unasked. */
static void who_waits_for_room_is_told_when_there_is_some(void **state)
{
    (void)state;
    Sim sim = { .M = 16, .steps = 1, .evaluated_at = -1, .sum_bytes = 1 };
    PsCore *core = start(&sim);
    bool acknowledged[16] = { false }, needed[16] = { false };
    for (uint64_t id = 1; id <= 16; id++)
        hello(core, id, 0);
    for (int64_t m = 15; m > 0; m -= 2)
        offer(core, m, 0, false, 0);
    assert_int_equal(answered(core, acknowledged, MSG_ACK), 6);
    assert_false(acknowledged[1]);
    offer(core, 0, 0, false, 0);
    assert_true(answered(core, needed, MSG_NEED) > 0);
    assert_true(needed[1]);
    core_free(core);
}

/* Seconds of the processor that a step of n clients takes, one micro-batch each: all ask, and all bring a sum. */
static double step_of(int64_t n)
{
    Sim sim = { .M = n, .steps = 3, .evaluated_at = -1 };
    PsCore *core = start(&sim);
    for (int64_t id = 1; id <= n; id++)
        hello(core, (uint64_t)id, 0);
    double least = 1e9;
    for (int64_t step = 0; step < 3; step++) {
        Msg reply;
        const double begin = (double)clock() / CLOCKS_PER_SEC;
        for (int64_t m = 0; m < n; m++) {
            pull(core, 1 + (uint64_t)m, 0);
            beat(core, 1 + (uint64_t)m, 0);
            offer(core, m, step, false, 0);
            while (core_reply(core, &reply))
                continue;
        }
        least = fmin(least, (double)clock() / CLOCKS_PER_SEC - begin);
    }
    assert_int_equal(sim.applied, 3);
    core_free(core);
    return least;
}

/* Eight times as many take eight times as long, not 64 times. */
static void a_message_costs_as_much_with_many_clients(void **state)
{
    (void)state;
    assert_true(step_of(10000) < 24 * step_of(1250) + 0.001);
}

static void the_end_is_told_to_those_that_do_not_ask(void **state)
{
    (void)state;
    Sim sim = { .M = 1, .steps = 1 };
    PsCore *core = start(&sim);
    for (uint64_t id = 1; id <= 3; id++)
        hello(core, id, 0);
    push(core, &(Fake){ .id = 1 }, 0, 1, 0);
    Msg reply;
    int told = 0;
    while (core_reply(core, &reply))
        told += reply.type == MSG_LEASE && reply.kind == LEASE_STOP;
    assert_int_equal(told, 3);
    assert_true(core_is_over(core));
    core_free(core);
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_applied_once_with_the_bits_of_the_tree),
        cmocka_unit_test(who_beats_but_does_not_work_gives_its_pieces_to_those_who_wait),
        cmocka_unit_test(who_asks_and_never_answers_gets_no_more_work),
        cmocka_unit_test(who_is_cut_off_loses_its_work_at_once),
        cmocka_unit_test(a_range_that_is_no_node_is_refused),
        cmocka_unit_test(equal_clients_get_equal_shares_and_a_stranger_is_told),
        cmocka_unit_test(sums_of_another_step_are_acknowledged_and_dropped),
        cmocka_unit_test(sums_of_another_plan_are_refused),
        cmocka_unit_test(leases_say_their_plan),
        cmocka_unit_test(another_run_s_messages_change_nothing),
        cmocka_unit_test(offers_of_ten_times_the_room_wait_for_it),
        cmocka_unit_test(who_waits_for_room_is_told_when_there_is_some),
        cmocka_unit_test(a_message_costs_as_much_with_many_clients),
        cmocka_unit_test(the_end_is_told_to_those_that_do_not_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
