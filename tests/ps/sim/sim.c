#include "tests/ps/sim/sim.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/slots/sums.h"
#include "common/slots/tree.h"
#include "ps/room.h"
#include "tests/ps/sim/check.h"
#include "tests/ps/sim/net.h"
#include "tests/ps/sim/world.h"
#include "worker/ps_client/client_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICK = 1, WAKE, WORK, FAULT, SERVER_UP, NODE_UP, GONE };
enum { PLAN = 44 };
static const double tick = 0.2, lease_timeout = 5, heartbeat = 1, patience = 40, bound = 400;

_Thread_local uint64_t sim_seed;

void sim_failed(const char *condition, const char *file, int line)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: seed %llu: %s\n", file, line, (unsigned long long)sim_seed, condition);
    _exit(1);
}

typedef enum { NODE_DOWN, NODE_GREETS, NODE_ASKS, NODE_COMPUTES, NODE_PUSHES, NODE_OVER } NodeState;
typedef enum { KIND_GOOD, KIND_OTHER_DATA, KIND_OTHER_PLAN, KIND_OTHER_RUN } NodeKind;

/* A worker node: its client, and what it computes. */
typedef struct Node {
    NodeState state;
    NodeKind kind;
    ClientCore *core;
    uint64_t client;
    Lease lease;
    int range; /* of the lease, that is computed */
    int64_t at, have;
    double asleep_until, seconds; /* of a micro-batch */
    float values[WORLD_SIZE], gradient[WORLD_SIZE];
    uint32_t heard[2]; /* connection + 1 that the server last heard of it on data, on control; 0: none */
} Node;

typedef struct Sim {
    Net net;
    World world;
    PsCore *core; /* NULL: the server is down */
    double server_asleep_until, faults_until;
    Node nodes[NET_NODES];
    int count;
    uint64_t next_client;
    int64_t server_life;
    int64_t sum_bytes; /* that the server may have for sums: few */
    SimResult result;
    bool trace;
} Sim;

static void say(const Sim *sim, int node, const char *what)
{
    if (sim->trace)
        printf("%9.3f %d %s version=%lld\n", sim->net.now, node, what, (long long)sim->world.version);
}

static void say_message(const Sim *sim, int node, const char *way, const Msg *msg)
{
    if (msg->type != MSG_BEAT || !msg->known)
        printf("%9.3f %d %s %s step=%lld at=%lld range=%lld-%lld size=%zu turn=%lld\n", sim->net.now, node, way,
               msg_name(msg->type), (long long)msg->step, (long long)msg->at, (long long)msg->range[0].begin,
               (long long)msg->range[0].end, msg->size, (long long)msg->turn);
}

/* ---- the server ------------------------------------------------------------------------------ */

static int node_of(const Sim *sim, uint64_t client)
{
    for (int i = 0; i < sim->count; i++)
        if (sim->nodes[i].client == client)
            return i;
    return -1;
}

/* As ps/server does: work on the data socket, else on control; to whom it has heard of there. */
static void server_answers(Sim *sim)
{
    Msg reply;
    while (core_reply(sim->core, &reply)) {
        const int node = node_of(sim, reply.client);
        if (node < 0)
            continue;
        const bool work =
            reply.type == MSG_LEASE || reply.type == MSG_VALUES || reply.type == MSG_ACK || reply.type == MSG_NEED;
        const uint32_t *heard = sim->nodes[node].heard, here = sim->net.connection[node] + 1;
        const bool data = heard[0] == here && (work || heard[1] != here);
        reply.run = WORLD_RUN;
        if (data || heard[1] == here)
            net_send(&sim->net, node, data ? LINE_DATA_DOWN : LINE_CONTROL_DOWN, &reply);
    }
}

static void server_takes(Sim *sim, int node, bool data, Msg *msg)
{
    if (msg->client == sim->nodes[node].client)
        sim->nodes[node].heard[data ? 0 : 1] = sim->net.connection[node] + 1;
    core_message(sim->core, msg, sim->net.now);
    const int64_t open = core_open_sums(sim->core);
    sim->result.most_sums = open > sim->result.most_sums ? open : sim->result.most_sums;
    server_answers(sim);
}

static void server_starts(Sim *sim)
{
    const CoreWorld table = world_table(&sim->world);
    int64_t missing[WORLD_STEPS];
    say(sim, -1, "server starts");
    sim->core = core_new(&(CoreOptions){ .run = WORLD_RUN,
                                         .version = sim->world.version,
                                         .missing = missing,
                                         .missing_count = world_missing(&sim->world, missing),
                                         .mode = sim->world.mode,
                                         .staleness = sim->world.staleness,
                                         .wire_dtype = sim->world.dtype,
                                         .sum_bytes = sim->sum_bytes,
                                         .lease_timeout = lease_timeout },
                         &table);
    net_after(&sim->net, 0, TICK, 0, ++sim->server_life);
}

static void server_dies(Sim *sim, bool power)
{
    say(sim, -1, power ? "server loses power" : "server is killed");
    core_free(sim->core);
    sim->core = NULL;
    sim->server_asleep_until = 0;
    world_crash(&sim->world, power, net_real(&sim->net, 1));
    for (int i = 0; i < sim->count; i++)
        net_break(&sim->net, i);
    net_after(&sim->net, 0.2 + net_real(&sim->net, 6), SERVER_UP, 0, 0);
    sim->result.restarts++;
}

/* ---- a node ---------------------------------------------------------------------------------- */

static WireSent node_sends(void *self, bool data, const Msg *msg, Err *err)
{
    Sim *sim = ((void **)self)[0];
    const int node = (int)((Node *)((void **)self)[1] - sim->nodes);
    (void)err;
    if (!sim->core && net_draw(&sim->net, 2) == 0)
        return WIRE_LATER;
    if (sim->core && sim->trace)
        say_message(sim, node, "says", msg);
    if (sim->core)
        net_send(&sim->net, node, data ? LINE_DATA_UP : LINE_CONTROL_UP, msg);
    return WIRE_SENT;
}

static void node_starts(Sim *sim, int number, NodeKind kind)
{
    Node *node = &sim->nodes[number];
    const double seconds = node->seconds;
    say(sim, number, kind == KIND_GOOD ? "node starts" : "foreign node starts");
    net_break(&sim->net, number);
    *node = (Node){ .state = NODE_GREETS, .kind = kind, .client = sim->next_client++, .have = -1, .seconds = seconds };
    const ClientCoreOptions options = { .client = node->client,
                                        .run = kind == KIND_OTHER_RUN ? WORLD_RUN + 1 : 0,
                                        .address = "sim",
                                        .heartbeat = heartbeat,
                                        .patience = patience };
    const HelloFacts facts = { .slot_size = sim->world.size,
                               .data_digest = kind == KIND_OTHER_DATA ? 2 : 1,
                               .ranks = 1,
                               .job_ranks = sim->count,
                               .job = 5,
                               .eval_chunks = WORLD_CHUNKS,
                               .eval_width = 2 };
    node->core = client_core_new(&options, sim->net.now);
    client_core_hello(node->core, &facts, "run: 1\n", sim->net.now);
    net_after(&sim->net, 0, WAKE, number, (int64_t)node->client);
}

static void node_dies(Sim *sim, int number)
{
    Node *node = &sim->nodes[number];
    say(sim, number, "node ends");
    client_core_free(node->core);
    node->core = NULL;
    node->state = NODE_DOWN;
    net_break(&sim->net, number);
    if (sim->net.cut_until[number] <= sim->net.now)
        net_after(&sim->net, 0.01, GONE, number, (int64_t)node->client);
    net_after(&sim->net, 0.3 + net_real(&sim->net, 6), NODE_UP, number, (int64_t)node->client);
}

/* The next node of the tree that the lease has, is computed and handed over. */
static void node_computes(Sim *sim, Node *node)
{
    const Range lease = node->lease.range[node->range];
    const bool eval = node->lease.kind == LEASE_EVAL;
    const int64_t end =
        eval || net_draw(&sim->net, 3) == 0 ? node->at + 1 : tree_node_end(node->at, lease.end, sim->world.M);
    Push push = { .eval = eval,
                  .step = node->lease.step,
                  .version = node->lease.version,
                  .range = { node->at, end },
                  .seconds = node->seconds };
    double chunk;
    Err err = { 0 };
    if (eval) {
        chunk = world_chunk(&sim->world, node->values, push.step, node->at);
        push.data = &chunk;
        push.size = sizeof chunk;
    } else {
        world_node(&sim->world, node->values, push.step, push.range, node->gradient, &push.loss);
        push.data = node->gradient;
        push.size = (size_t)sim->world.size * sizeof *node->gradient;
        push.weight = (double)(end - node->at);
    }
    sim->result.needed += (int64_t)(eval ? push.size : sums_bytes(sim->world.dtype, sim->world.size));
    sim->result.computed += end - node->at;
    node->at = end;
    node->state = NODE_PUSHES;
    if (!client_core_push(node->core, &push, &err))
        SIM_CHECK(err.kind == ERR_PEER || err.kind == ERR_REFUSED);
}

/* What comes after this: more of the lease, or another one. */
static void node_goes_on(Sim *sim, int number)
{
    Node *node = &sim->nodes[number];
    if (node->range < node->lease.range_count && node->at == node->lease.range[node->range].end) {
        node->range++;
        node->at = node->range < node->lease.range_count ? node->lease.range[node->range].begin : 0;
    }
    if (node->range < node->lease.range_count) {
        node->state = NODE_COMPUTES;
        net_after(&sim->net, node->seconds, WORK, number, (int64_t)node->client);
        return;
    }
    node->state = NODE_ASKS;
    client_core_next(node->core, node->have, node->values, sim->net.now);
}

/* The numbers of a piece are of one version; with PS_SSP a piece may be newer than the lease says. */
static void check_values(const Sim *sim, const Node *node)
{
    const World *world = &sim->world;
    const Lease *lease = &node->lease;
    SIM_CHECK(lease->version <= lease->step || world->mode == PS_ASYNC);
    SIM_CHECK(lease->version == lease->step || lease->kind == LEASE_TRAIN);
    if (world->mode == PS_ASYNC)
        return;
    SIM_CHECK(lease->version >= lease->step - world->staleness);
    for (int64_t at = 0; at < world->size; at += WIRE_PIECE) {
        bool known = false;
        for (int64_t v = lease->version; v <= (world->mode == PS_SSP ? world->steps : lease->version) && !known; v++) {
            float right[WORLD_SIZE];
            world_values_at(world, v, right);
            known = memcmp(right + at, node->values + at, (size_t)msg_piece(world->size, at) * sizeof *right) == 0;
        }
        SIM_CHECK(known);
    }
}

static void node_has_lease(Sim *sim, int number)
{
    Node *node = &sim->nodes[number];
    SIM_CHECK(node->kind == KIND_GOOD); /* nobody else is given work */
    if (node->lease.kind == LEASE_STOP) {
        SIM_CHECK(node->lease.code == 0);
        node->state = NODE_OVER;
        client_core_bye(node->core, sim->net.now);
        return;
    }
    check_values(sim, node);
    if (node->have != node->lease.version)
        sim->result.needed += sim->world.size * (int64_t)sizeof *node->values;
    node->have = node->lease.version;
    node->range = 0;
    node->at = node->lease.range[0].begin;
    node_goes_on(sim, number);
}

static void node_turns(Sim *sim, int number)
{
    Node *node = &sim->nodes[number];
    Err err = { 0 };
    Msg answer = { 0 };
    if (node->state == NODE_DOWN || node->state == NODE_COMPUTES || client_core_waits(node->core))
        return;
    bool ok = true;
    if (node->state == NODE_GREETS && (ok = client_core_answer(node->core, &answer, &err))) {
        msg_release(&answer);
        const PsConfig ps = { .mode = sim->world.mode, .wire_dtype = sim->world.dtype };
        client_core_plan(node->core, node->kind == KIND_OTHER_PLAN ? PLAN + 1 : PLAN, &ps);
        node->state = NODE_ASKS;
        client_core_next(node->core, node->have, node->values, sim->net.now);
    } else if (node->state == NODE_ASKS && (ok = client_core_lease(node->core, &node->lease, &err))) {
        node_has_lease(sim, number);
    } else if (node->state == NODE_PUSHES && (ok = client_core_pushed(node->core, &err))) {
        node_goes_on(sim, number);
    }
    if (!ok && sim->trace)
        printf("%9.3f %d %s\n", sim->net.now, number, err.what);
    if (!ok)
        node_dies(sim, number);
}

/* What the line's thread does in a turn. */
static void node_works(Sim *sim, int number)
{
    Node *node = &sim->nodes[number];
    node_turns(sim, number);
    if (node->state == NODE_DOWN)
        return;
    void *self[] = { sim, node };
    const Err words = { 0 };
    client_core_tick(node->core, DOOR_OPEN, &words, sim->net.now);
    client_core_send(node->core, &(ClientWay){ self, node_sends }, sim->net.now);
    node_turns(sim, number);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* Sums of a worker with another configuration, that has the name of one of ours. */
static void forge(Sim *sim, int node)
{
    float wrong[WORLD_SIZE] = { 1e9F };
    Msg msg = { .type = MSG_PUSH,
                .run = WORLD_RUN,
                .plan = PLAN + 1,
                .client = sim->nodes[node].client,
                .step = sim->world.version,
                .version = sim->world.version,
                .range = { { 0, sim->world.M } },
                .range_count = 1,
                .weight = sim->world.M,
                .data = wrong,
                .size = (size_t)(sim->world.size < WIRE_PIECE ? sim->world.size : WIRE_PIECE) * sizeof *wrong };
    if (net_draw(&sim->net, 2)) {
        msg.run++;
        msg.plan--;
    }
    say(sim, node, "forged sums");
    net_send(&sim->net, node, LINE_DATA_UP, &msg);
}

static void cut(Sim *sim, int node)
{
    const double seconds = net_real(&sim->net, 20);
    say(sim, node, "cable is out");
    sim->net.cut_until[node] = sim->net.now + seconds;
    if (seconds > 12)
        net_break(&sim->net, node);
}

static void fault(Sim *sim)
{
    Net *net = &sim->net;
    const int number = (int)net_draw(net, (uint32_t)sim->count);
    Node *node = &sim->nodes[number];
    switch (net_draw(net, 8)) {
    case 0:
        if (node->state != NODE_DOWN)
            node_dies(sim, number);
        break;
    case 1:
        say(sim, number, "node is frozen");
        node->asleep_until = net->now + net_real(net, 15);
        break;
    case 2:
        if (sim->core)
            server_dies(sim, net_draw(net, 2));
        break;
    case 3:
        say(sim, -1, "server is frozen");
        sim->server_asleep_until = net->now + net_real(net, 12);
        break;
    case 4:
        cut(sim, number);
        break;
    case 5:
        say(sim, number, "connection breaks");
        net_break(net, number);
        net_after(net, 0.001, GONE, number, (int64_t)node->client);
        break;
    case 6:
        forge(sim, number);
        break;
    case 7:
        if (node->state == NODE_DOWN)
            node_starts(sim, number, 1 + (NodeKind)net_draw(net, 3));
        break;
    }
    if (net->now < sim->faults_until)
        net_after(net, net_real(net, 4), FAULT, 0, 0);
}

/* ---- a schedule ------------------------------------------------------------------------------ */

static void on_message(Sim *sim, NetEvent *event)
{
    const bool up = event->line == LINE_DATA_UP || event->line == LINE_CONTROL_UP;
    Node *node = &sim->nodes[event->node];
    if (sim->trace)
        say_message(sim, event->node, up ? "->" : "<-", event->msg);
    if (up && sim->core) {
        server_takes(sim, event->node, event->line == LINE_DATA_UP, event->msg);
    } else if (!up && node->core) {
        client_core_message(node->core, event->msg, sim->net.now);
        node_works(sim, event->node);
    }
    msg_release(event->msg);
    free(event->msg);
    event->msg = NULL;
}

/* True: whom it is for sleeps, and has it later. */
static bool is_put_off(Sim *sim, NetEvent *event)
{
    const bool up = event->kind == NET_MESSAGE && (event->line == LINE_DATA_UP || event->line == LINE_CONTROL_UP);
    const bool server = up || event->kind == TICK || event->kind == GONE;
    const bool node = (event->kind == NET_MESSAGE && !up) || event->kind == WAKE || event->kind == WORK;
    const double until = server ? sim->server_asleep_until : node ? sim->nodes[event->node].asleep_until : 0;
    if (until <= sim->net.now)
        return false;
    net_again(&sim->net, event, until);
    return true;
}

static void on_tick(Sim *sim, int64_t life)
{
    if (!sim->core || life != sim->server_life)
        return;
    core_tick(sim->core, sim->net.now);
    server_answers(sim);
    net_after(&sim->net, tick, TICK, 0, life);
}

static void on_wake(Sim *sim, int number, uint64_t client)
{
    Node *node = &sim->nodes[number];
    if (node->client != client || node->state == NODE_DOWN)
        return;
    node_works(sim, number);
    if (node->state != NODE_DOWN)
        net_after(&sim->net, client_core_sleep(node->core, sim->net.now), WAKE, number, (int64_t)client);
}

static void on_event(Sim *sim, NetEvent *event)
{
    Node *node = &sim->nodes[event->node];
    const bool same = node->client == (uint64_t)event->number;
    switch (event->kind) {
    case NET_MESSAGE:
        on_message(sim, event);
        break;
    case TICK:
        on_tick(sim, event->number);
        break;
    case WAKE:
        on_wake(sim, event->node, (uint64_t)event->number);
        break;
    case WORK:
        if (same && node->state == NODE_COMPUTES) {
            node_computes(sim, node);
            node_works(sim, event->node);
        }
        break;
    case FAULT:
        fault(sim);
        break;
    case SERVER_UP:
        world_restart(&sim->world);
        server_starts(sim);
        break;
    case NODE_UP:
        if (node->state == NODE_DOWN && same)
            node_starts(sim, event->node, KIND_GOOD);
        break;
    case GONE:
        if (sim->core) {
            core_gone(sim->core, (uint64_t)event->number, sim->net.now);
            server_answers(sim);
        }
        break;
    }
}

/* What the seed decides before anything happens. */
static void draw(Sim *sim, uint64_t seed)
{
    Net *net = &sim->net;
    net_init(net, seed);
    sim->count = 1 + (int)net_draw(net, 4);
    sim->next_client = 1;
    sim->world = (World){ .M = 1 + net_draw(net, 9),
                          .size = net_draw(net, 2) ? WORLD_SIZE : 2,
                          .steps = 2 + net_draw(net, 6),
                          .every = net_draw(net, 4),
                          .durable_every = 1 + 2 * net_draw(net, 2),
                          .log_steps = net_draw(net, 3),
                          .dtype = net_draw(net, 3) == 0 ? WIRE_BF16 : WIRE_FP32,
                          .plan = PLAN };
    sim->world.mode = net_draw(net, 2) == 0 ? PS_SYNC : net_draw(net, 2) == 0 ? PS_SSP : PS_ASYNC;
    sim->world.staleness = sim->world.mode == PS_SSP ? 1 + net_draw(net, 3) : 0;
    net->weather = (NetWeather){ .wild = net_draw(net, 4) == 0,
                                 .delay = net_draw(net, 3) == 0 ? 0.2 : 0.001,
                                 .bytes_second = net_draw(net, 4) == 0 ? 600 : 0 };
    sim->sum_bytes = net_draw(net, 2) ? 1 << 20 : 1;
    sim->result.calm = net_draw(net, 8) == 0;
    sim->faults_until = sim->result.calm ? 0 : net_real(net, 30);
    for (int i = 0; i < sim->count; i++)
        sim->nodes[i].seconds = 0.02 + net_real(net, net_draw(net, 4) == 0 ? 2 : 0.2);
}

static bool is_over(const Sim *sim)
{
    return sim->core && core_is_over(sim->core);
}

SimResult sim_play(uint64_t seed, bool trace)
{
    Sim sim = { .trace = trace };
    NetEvent event;
    sim_seed = seed;
    draw(&sim, seed);
    world_open(&sim.world);
    server_starts(&sim);
    for (int i = 0; i < sim.count; i++)
        net_after(&sim.net, net_real(&sim.net, 1), NODE_UP, i, 0);
    if (!sim.result.calm)
        net_after(&sim.net, net_real(&sim.net, 3), FAULT, 0, 0);
    while (!is_over(&sim) && net_next(&sim.net, &event)) {
        sim.result.events++;
        SIM_CHECK(sim.net.now < sim.faults_until + bound);
        if (!is_put_off(&sim, &event))
            on_event(&sim, &event);
    }
    SIM_CHECK(sim.world.version == sim.world.steps);
    for (int64_t i = 0; i < sim.world.steps; i++)
        SIM_CHECK(sim.world.done[i]);
    SIM_CHECK(sim.world.every == 0 || sim.world.evaluations == sim.world.steps / sim.world.every);
    if (sim.result.calm && !sim.net.weather.wild &&
        sim.sum_bytes > 1) /* there is room for all; what is on its way at the end: values of a version for each */
        SIM_CHECK(sim.net.payload <= sim.result.needed + sim.count * sim.world.size * (int64_t)sizeof(float));
    if (sim.result.calm &&
        sim.sum_bytes == 1) /* the least room, what grows together at the left, and a piece of each node */
        SIM_CHECK(sim.result.most_sums <= room_most(sim.world.M, 1, 1) + 4 + sim.count);
    if (sim.result.calm && !sim.net.weather.wild && sim.count == 1) /* with others, who is slow may be helped */
        SIM_CHECK(sim.result.computed == sim.world.steps * sim.world.M + sim.world.evaluations * WORLD_CHUNKS);
    sim.result.seconds = sim.net.now;
    sim.result.recovery = sim.net.now > sim.faults_until ? sim.net.now - sim.faults_until : 0;
    sim.result.steps = sim.world.steps;
    sim.result.payload = sim.net.payload;
    for (int i = 0; i < sim.count; i++)
        client_core_free(sim.nodes[i].core);
    core_free(sim.core);
    world_close(&sim.world);
    net_release(&sim.net);
    return sim.result;
}
