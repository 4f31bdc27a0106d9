/* DESIGN. The server is always in one of five phases: waiting for the first job to be complete, a round of training, a
 * pause before the next, a round of evaluation, over. A round is a number of pieces; each piece has at most one owner and
 * is done once. Whatever a message says, it can only lead to (a) a piece done, with bits that do not depend on who did it,
 * or (b) a reply. So repeated, late and lost messages need no bookkeeping of their own. */
#include "ps/core.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/core_state.h"
#include "ps/greet.h"
#include "ps/trust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- replies --------------------------------------------------------------------------------- */

static Msg *reply_to(PsCore *core, uint64_t client, MsgType type)
{
    return outbox_add(&core->outbox, (Msg){ .type = type, .run = core->options.run, .client = client });
}

void core_reply_text(PsCore *core, uint64_t client, MsgType type, const char *text)
{
    reply_to(core, client, type)->text = xstrdup(text);
}

/* ACK: it is here, or of no use. NEED: it is not. */
static void answer_push(PsCore *core, const Msg *msg, MsgType type)
{
    Msg *ack = reply_to(core, msg->client, type);
    ack->step = msg->step;
    ack->range[0] = msg->range[0];
    ack->range_count = 1;
    ack->at = msg->at;
    ack->kind = msg->type == MSG_EVAL ? LEASE_EVAL : LEASE_TRAIN;
}

static void acknowledge(PsCore *core, const Msg *msg)
{
    answer_push(core, msg, MSG_ACK);
}

static void drop_last(PsCore *core)
{
    free(core->last.text);
    core->last = (Msg){ 0 };
}

/* ---- clients --------------------------------------------------------------------------------- */

void core_take_away(PsCore *core, int index)
{
    leases_drop(&core->leases, core->clients.items[index].id);
    pieces_drop(&core->pieces, core->clients.items[index].id);
    clients_remove(&core->clients, index);
}

/* ---- handing out work ------------------------------------------------------------------------ */

static bool has_round(const PsCore *core)
{
    return core->phase == PHASE_TRAIN || core->phase == PHASE_EVAL;
}

static void send_end(PsCore *core, Client *client)
{
    Msg *msg = reply_to(core, client->id, MSG_LEASE);
    msg->kind = LEASE_STOP;
    msg->step = core->version;
    msg->code = core->code;
    msg->text = core->text ? xstrdup(core->text) : NULL;
    client->parked = false;
    client->told_end = true;
}

static bool is_idle(const PsCore *core, const Client *client, double now)
{
    return client->parked && leases_count(&core->leases, client->id) == 0 && trust_has(&core->clients, client, now);
}

/* Who waits for work, and would get some. */
static int idle_count(const PsCore *core, double now)
{
    int idle = 0;
    for (int i = 0; i < core->clients.count; i++)
        idle += is_idle(core, &core->clients.items[i], now);
    return idle;
}

static void send_lease(PsCore *core, Client *client)
{
    Range ranges[WIRE_RANGES];
    const int count = leases_of(&core->leases, client->id, ranges);
    if (count == 0)
        return;
    Msg *msg = reply_to(core, client->id, MSG_LEASE);
    msg->kind = core->phase == PHASE_TRAIN ? LEASE_TRAIN : LEASE_EVAL;
    msg->plan = core->plan;
    msg->step = core->version;
    msg->turn = client->asked;
    memcpy(msg->range, ranges, sizeof ranges);
    msg->range_count = count;
    client->parked = false;
}

/* A parked client gets what it owns, else its share of what is nobody's, else waits. The end is told
 * to all, whether they ask or not: one that hangs, but beats, must not keep the others. *idle: who shares with it, and one
 * less when it was served; 0: not counted yet. */
static void serve_one(PsCore *core, Client *client, int *idle, double now)
{
    if (core->phase == PHASE_OVER && (client->parked || !client->told_end)) {
        send_end(core, client);
        return;
    }
    if (!client->parked || !has_round(core))
        return;
    const int64_t left = leases_free_count(&core->leases);
    if (left > 0 && is_idle(core, client, now)) {
        if (*idle == 0)
            *idle = idle_count(core, now);
        const int64_t share = (left + *idle - 1) / *idle;
        leases_take(&core->leases, client->id, share);
        trust_lease(client, share, now);
        --*idle;
    }
    send_lease(core, client);
}

static void serve(PsCore *core, Client *client, double now)
{
    int idle = 0;
    serve_one(core, client, &idle, now);
}

static void serve_all(PsCore *core, double now)
{
    int idle = 0;
    for (int i = 0; i < core->clients.count; i++)
        serve_one(core, &core->clients.items[i], &idle, now);
}

static void end(PsCore *core, int code, const char *text)
{
    core->phase = PHASE_OVER;
    core->code = code;
    core->text = text ? xstrdup(text) : NULL;
}

static void open_round(PsCore *core, int64_t pieces, double now)
{
    leases_open(&core->leases, pieces);
    core->longest_piece = 0;
    room_open(&core->room, now);
    LeaseShare *shares = xcalloc((size_t)core->clients.count + 1, sizeof *shares);
    const double mean = clients_mean_speed(&core->clients);
    int count = 0;
    for (int i = 0; i < core->clients.count; i++) {
        const Client *client = &core->clients.items[i];
        if (!client->late && trust_has(&core->clients, client, now))
            shares[count++] = (LeaseShare){ client->id, clients_weight(client, mean) };
    }
    leases_deal(&core->leases, shares, count);
    free(shares);
    for (int i = 0; i < core->clients.count; i++) {
        Client *client = &core->clients.items[i];
        const int64_t dealt = leases_count(&core->leases, client->id);
        if (dealt > 0) /* who is late computes what it got before */
            trust_lease(client, dealt, now);
    }
}

/* What comes at this version. */
void core_advance(PsCore *core, double now)
{
    int code = 0;
    const char *text = NULL;
    const LeaseKind kind = core->world.next(core->world.self, core->version, &code, &text);
    if (kind == LEASE_STOP) {
        end(core, code, text);
    } else if (kind == LEASE_WAIT) {
        core->phase = PHASE_PAUSE;
    } else if (kind == LEASE_EVAL) {
        core->phase = PHASE_EVAL;
        REQUIRE(core->facts.eval_chunks > 0);
        open_round(core, core->facts.eval_chunks, now);
        chunks_open(&core->chunks, core->leases.n);
    } else {
        core->phase = PHASE_TRAIN;
        open_round(core, core->M, now);
    }
    serve_all(core, now);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void refuse(PsCore *core, const Msg *msg, const char *why)
{
    log_warn("client", "%s client=%016llx step=%lld range=%lld-%lld bytes=%zu", why, (unsigned long long)msg->client,
             (long long)msg->step, (long long)msg->range[0].begin, (long long)msg->range[0].end, msg->size);
    core_reply_text(core, msg->client, MSG_REFUSE, why);
}

static void measure(PsCore *core, Client *client, const Msg *msg, double now)
{
    client->active = now;
    if (clients_measure(client, msg->range[0], msg->seconds) && msg->seconds > core->longest_piece)
        core->longest_piece = msg->seconds;
}

/* Who waits for room is told when there is some. */
static void offer_room(PsCore *core, double now)
{
    RoomWait wait;
    while (core->phase == PHASE_TRAIN && room_offer(&core->room, &core->gather, &core->pieces, now, &wait))
        for (int i = 0; i < wait.count; i++) {
            Msg *need = reply_to(core, wait.client, MSG_NEED);
            need->step = core->version;
            need->range[0] = wait.range;
            need->range_count = 1;
            need->at = wait.at[i];
        }
}

static void finish_step(PsCore *core, double now)
{
    const GatherSum *root = gather_root(&core->gather);
    if (!root)
        return;
    const StepSums sums = { core->version, root->gradient, root->weight, root->tokens, root->loss };
    int code = 1;
    const char *text = NULL;
    const bool ok = core->world.apply(core->world.self, &sums, &code, &text);
    if (core->gather.size > WIRE_PIECE)
        pieces_keep(&core->pieces, gather_take_root(&core->gather));
    gather_clear(&core->gather);
    pieces_clear(&core->pieces);
    if (ok) {
        core->version++;
        core_advance(core, now);
    } else {
        end(core, code, text);
        serve_all(core, now);
    }
}

/* False: it is not to be believed, and what follows has happened. */
static bool counts(PsCore *core, Client *client, const Msg *msg, GatherSum *sum, double now)
{
    const char *text = NULL;
    const PushSum push = { msg->step, msg->range[0], sum->gradient,      msg->weight,
                           msg->loss, client->id,    client->facts.host, trust_others(&core->clients, client, now) };
    const PushVerdict verdict = core->world.weigh ? core->world.weigh(core->world.self, &push, &text) : PUSH_COUNTS;
    if (verdict == PUSH_COUNTS)
        return true;
    free(sum->gradient);
    if (verdict == PUSH_ENDS) {
        end(core, 5, text);
    } else {
        core_reply_text(core, client->id, MSG_REFUSE, text);
        core_take_away(core, (int)(client - core->clients.items));
    }
    serve_all(core, now);
    return false;
}

static void on_push(PsCore *core, Client *client, Msg *msg, double now)
{
    trust_compare(&core->clients, &core->witness, client, msg);
    if (core->phase != PHASE_TRAIN || msg->step != core->version) {
        acknowledge(core, msg); /* late, or computed for a step that a restart took back */
        if (client->late && msg->step < core->version)
            trust_sum(client, now);
        return;
    }
    const Range range = msg->range[0];
    const size_t piece = sums_bytes(core->gather.dtype, msg_piece(core->gather.size, msg->at));
    const bool whole = msg->data && msg->size == piece, asks = msg->again && msg->size == 0;
    if (piece == 0 || (!whole && !asks) || !(msg->weight >= 0 && msg->weight < (double)INFINITY)) {
        refuse(core, msg, "a gradient of another size than the run's");
        return;
    }
    const GatherAnswer answer = gather_ask(&core->gather, range.begin, range.end);
    if (answer == GATHER_NO_NODE) {
        refuse(core, msg, "a range of micro-batches that is no node of the sum tree");
        return;
    }
    if (answer != GATHER_KNOWN && !room_has(&core->room, &core->gather, &core->pieces, msg)) {
        client->active = now; /* it waits for us; and asks again */
        return;
    }
    if (asks) {
        const bool here = answer == GATHER_KNOWN || pieces_has(&core->pieces, msg);
        answer_push(core, msg, here ? MSG_ACK : MSG_NEED);
        return;
    }
    GatherSum sum = { .weight = msg->weight, .tokens = msg->tokens, .loss = msg->loss };
    const PiecesAnswer pieces =
        answer == GATHER_KNOWN ? PIECES_MORE : pieces_add(&core->pieces, &sum.gradient, msg, core->gather.size);
    if (pieces == PIECES_NO_ROOM)
        return; /* it comes again */
    acknowledge(core, msg);
    client->active = now;
    if (pieces == PIECES_MORE)
        return;
    if (!counts(core, client, msg, &sum, now))
        return;
    REQUIRE(gather_add(&core->gather, range.begin, range.end, &sum) == GATHER_KEPT);
    room_note_sum(&core->room, now);
    leases_finish(&core->leases, range);
    measure(core, client, msg, now);
    if (leases_count(&core->leases, client->id) == 0)
        trust_sum(client, now);
    finish_step(core, now);
    offer_room(core, now);
}

static void on_eval(PsCore *core, Client *client, Msg *msg, double now)
{
    if (core->phase != PHASE_EVAL || msg->step != core->version) {
        acknowledge(core, msg);
        return;
    }
    const Range range = msg->range[0];
    const size_t most = (size_t)core->facts.eval_width * sizeof(double);
    const bool asks = msg->again && msg->size == 0;
    if (range.begin < 0 || range.end != range.begin + 1 || range.end > core->leases.n || (!msg->data && !asks) ||
        msg->size % sizeof(double) != 0 || msg->size > most) {
        refuse(core, msg, "evaluation sums that are not those of one chunk");
        return;
    }
    answer_push(core, msg, asks && !core->chunks.sums[range.begin] ? MSG_NEED : MSG_ACK);
    if (asks)
        return;
    if (!chunks_add(&core->chunks, range.begin, msg->data, (int64_t)(msg->size / sizeof(double))))
        return;
    msg->data = NULL;
    leases_finish(&core->leases, range);
    client->active = now;
    if (!leases_is_complete(&core->leases))
        return;
    core->world.evaluated(core->world.self, core->version, (const double *const *)core->chunks.sums, core->chunks.sizes,
                          core->chunks.n);
    chunks_drop(&core->chunks);
    core_advance(core, now);
}

static void on_bye(PsCore *core, const Msg *msg, double now)
{
    for (int i = 0; i < core->clients.count; i++)
        if (core->clients.items[i].id == msg->client) {
            log_info("client", "left client=%016llx", (unsigned long long)msg->client);
            core_take_away(core, i);
            break;
        }
    reply_to(core, msg->client, MSG_BYE);
    serve_all(core, now);
}

/* core_reply sees which version it is when the reply leaves. */
static void on_pull_piece(PsCore *core, Client *client, const Msg *msg, double now)
{
    Msg *piece = reply_to(core, msg->client, MSG_VALUES);
    piece->step = msg->step;
    piece->at = msg->at;
    piece->again = msg->again;
    if (!msg->again)
        client->active = now; /* it has come further with what it needs */
}

/* An older turn is late: what came behind it counts. */
static void on_pull(PsCore *core, Client *client, const Msg *msg, double now)
{
    if (msg->turn < client->asked)
        return;
    client->asked = msg->turn;
    client->held = msg->step;
    client->parked = true;
    client->late = false;
    serve(core, client, now);
}

static void on_known(PsCore *core, Client *client, Msg *msg, double now)
{
    client->seen = now;
    client->gone = false;
    if (core->begun && (msg->type == MSG_PUSH || msg->type == MSG_EVAL) && msg->plan != core->plan) {
        refuse(core, msg, "sums of another plan than the run's");
        return;
    }
    switch (msg->type) {
    case MSG_PULL:
        if (msg->at >= 0)
            on_pull_piece(core, client, msg, now);
        else
            on_pull(core, client, msg, now);
        break;
    case MSG_PUSH:
        on_push(core, client, msg, now);
        break;
    case MSG_EVAL:
        on_eval(core, client, msg, now);
        break;
    case MSG_BEAT:
        reply_to(core, msg->client, MSG_BEAT)->known = true;
        break;
    default:
        break;
    }
}

void core_message(PsCore *core, Msg *msg, double now)
{
    drop_last(core);
    if (msg->type == MSG_ASK) {
        core_reply_text(core, msg->client, MSG_RUN, core->world.run_text(core->world.self));
    } else if (msg->type == MSG_HELLO) {
        greet_hello(core, msg, now);
    } else if (msg->type == MSG_BYE) {
        on_bye(core, msg, now);
    } else if (msg->type == MSG_PULL || msg->type == MSG_PUSH || msg->type == MSG_EVAL || msg->type == MSG_BEAT) {
        Client *client = msg->run == core->options.run ? clients_find(&core->clients, msg->client) : NULL;
        if (client)
            on_known(core, client, msg, now);
        else if (msg->type == MSG_BEAT || msg->type == MSG_PULL || msg->size > 0)
            reply_to(core, msg->client, MSG_BEAT)->known = false;
    }
}

void core_gone(PsCore *core, uint64_t id, double now)
{
    drop_last(core);
    Client *client = clients_find(&core->clients, id);
    if (!client || client->gone)
        return;
    client->gone = true;
    if (core->phase == PHASE_OVER)
        return;
    log_warn("client", "its connection has ended, its work goes to others client=%016llx", (unsigned long long)id);
    leases_drop(&core->leases, id);
    pieces_drop(&core->pieces, id);
    serve_all(core, now);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void bury_silent(PsCore *core, double now)
{
    for (int i = core->clients.count - 1; i >= 0; i--) {
        const Client *client = &core->clients.items[i];
        if (now - client->seen <= core->options.lease_timeout)
            continue;
        log_warn("client", "silent for %.1f s, its work goes to others client=%016llx", now - client->seen,
                 (unsigned long long)client->id);
        core_take_away(core, i);
    }
}

/* Work that is overdue while somebody waits for some: it is given away; the first answer counts. */
static void take_from_late(PsCore *core, double now)
{
    if (!has_round(core) || idle_count(core, now) == 0)
        return;
    for (int i = 0; i < core->clients.count; i++) {
        Client *client = &core->clients.items[i];
        if (leases_count(&core->leases, client->id) == 0 ||
            now - client->active <= trust_patience(&core->clients, client, core->phase == PHASE_EVAL,
                                                   core->options.lease_timeout, core->longest_piece))
            continue;
        log_warn("client", "gives no answer for %.1f s, its work goes to others client=%016llx", now - client->active,
                 (unsigned long long)client->id);
        leases_drop(&core->leases, client->id);
        client->late = true;
        const double pause = trust_strike(client, now);
        if (pause > 0)
            log_warn("client", "gives no answer again, and gets no work for %.0f s client=%016llx", pause,
                     (unsigned long long)client->id);
    }
}

void core_tick(PsCore *core, double now)
{
    drop_last(core);
    const double gap = now - core->last_tick;
    if (core->last_tick > 0 && gap > core->options.lease_timeout / 2)
        for (int i = 0; i < core->clients.count; i++) /* it was us who slept */
            core->clients.items[i].seen += gap;
    core->last_tick = now;
    bury_silent(core, now);
    greet_begin_when_complete(core, now);
    if (core->phase == PHASE_PAUSE)
        core_advance(core, now);
    take_from_late(core, now);
    room_tick(&core->room, core->options.lease_timeout, now);
    offer_room(core, now);
    serve_all(core, now);
}

/* The piece at reply->at of the newest version, when that is meant. */
static void lend_values(PsCore *core, Msg *reply)
{
    if (core->begun && reply->step == core->version)
        msg_lend_piece(reply, core->world.values(core->world.self), core->gather.size);
}

/* With the lease go the values, once a turn and version; and pieces are asked for. */
static void lend_with_lease(PsCore *core, Client *client, Msg *reply)
{
    const bool sent = client->sent_turn == client->asked && client->sent_version == core->version;
    if (client->held == core->version || core->gather.size > WIRE_PIECE || sent)
        return;
    client->sent_turn = client->asked;
    client->sent_version = core->version;
    lend_values(core, reply);
}

bool core_reply(PsCore *core, Msg *reply)
{
    drop_last(core);
    while (outbox_take(&core->outbox, &core->last)) {
        *reply = core->last;
        if (reply->type == MSG_VALUES) {
            reply->again = reply->again && reply->step == core->version;
            if (!reply->again)
                lend_values(core, reply);
        }
        if (reply->type != MSG_LEASE || reply->kind == LEASE_STOP)
            return true;
        Client *client = clients_find(&core->clients, reply->client);
        if (client && reply->step == core->version && has_round(core)) {
            lend_with_lease(core, client, reply);
            return true;
        }
        if (client) { /* the round was over before its lease left: it waits again */
            client->parked = true;
            serve(core, client, client->active);
        }
        drop_last(core);
    }
    return false;
}

/* ---- life ------------------------------------------------------------------------------------ */

PsCore *core_new(const CoreOptions *options, const CoreWorld *world)
{
    PsCore *core = xcalloc(1, sizeof *core);
    core->options = *options;
    core->world = *world;
    core->version = options->version;
    int code = 0;
    const char *text = NULL;
    if (core->version > 0 && world->next(world->self, core->version, &code, &text) == LEASE_STOP)
        end(core, code, text);
    return core;
}

void core_free(PsCore *core)
{
    if (!core)
        return;
    drop_last(core);
    outbox_release(&core->outbox);
    chunks_drop(&core->chunks);
    leases_release(&core->leases);
    gather_release(&core->gather);
    pieces_release(&core->pieces);
    room_release(&core->room);
    witness_release(&core->witness);
    clients_release(&core->clients);
    free(core->text);
    free(core);
}

bool core_is_over(const PsCore *core)
{
    return core->phase == PHASE_OVER && core->outbox.count == 0 && clients_are_told(&core->clients);
}

int64_t core_open_sums(const PsCore *core)
{
    return core->gather.open + core->pieces.count;
}

int core_exit_code(const PsCore *core)
{
    return core->code;
}

CoreLook core_look(const PsCore *core)
{
    return (CoreLook){ &core->clients, &core->leases, core->phase, core->version, core->witness.differing };
}

int64_t core_clients(const PsCore *core, int64_t *ranks)
{
    *ranks = clients_ranks(&core->clients);
    return core->clients.count;
}
