/* DESIGN. The server is always in one of five phases: waiting for the first job to be complete, a round of training, a
 * pause before the next, a round of evaluation, over. A round is a number of pieces; each piece has at most one owner and
 * is done once. Whatever a message says, it can only lead to (a) a piece done, with bits that do not depend on who did it,
 * or (b) a reply. So repeated, late and lost messages need no bookkeeping of their own. */
#include "ps/core.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/core_state.h"
#include "ps/deal.h"
#include "ps/greet.h"
#include "ps/trust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- replies --------------------------------------------------------------------------------- */

Msg *core_reply_to(PsCore *core, uint64_t client, MsgType type)
{
    return outbox_add(&core->outbox, (Msg){ .type = type, .run = core->options.run, .client = client });
}

void core_reply_text(PsCore *core, uint64_t client, MsgType type, const char *text)
{
    core_reply_to(core, client, type)->text = xstrdup(text);
}

/* ACK: it is here, or of no use. NEED: it is not. */
static void answer_push(PsCore *core, const Msg *msg, MsgType type)
{
    Msg *ack = core_reply_to(core, msg->client, type);
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
    rounds_drop(&core->rounds, core->clients.items[index].id);
    rounds_forget(&core->rounds, core->clients.items[index].id);
    clients_remove(&core->clients, index);
}

/* ---- what comes next ------------------------------------------------------------------------- */

static void end(PsCore *core, int code, const char *text)
{
    core->phase = PHASE_OVER;
    core->code = code;
    core->text = text ? xstrdup(text) : NULL;
}

/* Steps that are open stay so. */
static void open_training(PsCore *core, double now)
{
    core->phase = PHASE_TRAIN;
    if (core->options.mode != PS_SYNC)
        core->until = core->world.until(core->world.self, core->version);
    if (core->rounds.count > 0 || core->options.mode == PS_ASYNC)
        return;
    core->next_step = core->version + 1;
    deal_round(core, deal_open(core, core->version, core->M, now), now);
}

/* What comes at this version. */
static void enter(PsCore *core, double now)
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
        REQUIRE(core->facts.eval_chunks > 0 && core->rounds.count == 0);
        deal_round(core, deal_open(core, core->version, core->facts.eval_chunks, now), now);
        chunks_open(&core->chunks, core->facts.eval_chunks);
    } else {
        open_training(core, now);
    }
}

/* root: its sum, in the tree or in its client's memory. */
static bool apply(PsCore *core, Round *round, const GatherSum *root)
{
    const StepSums sums = { core->version,
                            root->gradient,
                            root->weight,
                            root->tokens,
                            root->loss,
                            round->step,
                            (double)core->version - root->versions / (double)core->M };
    int code = 1;
    const char *text = NULL;
    const bool ok = core->world.apply(core->world.self, &sums, &code, &text);
    if (core->rounds.options.size > WIRE_PIECE && gather_root(&round->gather))
        pieces_keep(&round->pieces, gather_take_root(&round->gather));
    rounds_close(&core->rounds, round);
    if (!ok)
        end(core, code, text);
    return ok;
}

/* Steps that are whole. */
static void apply_all(PsCore *core, double now)
{
    Round *round;
    while (core->phase == PHASE_TRAIN && (round = rounds_complete(&core->rounds)) &&
           apply(core, round, gather_root(&round->gather))) {
        core->version++;
        enter(core, now);
    }
    deal_work(core, now);
}

void core_advance(PsCore *core, double now)
{
    enter(core, now);
    apply_all(core, now);
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
    for (int r = 0; core->phase == PHASE_TRAIN && r < core->rounds.count; r++) {
        Round *round = &core->rounds.items[r];
        while (room_offer(&round->room, &round->gather, &round->pieces, now, &wait))
            for (int i = 0; i < wait.count; i++) {
                Msg *need = core_reply_to(core, wait.client, MSG_NEED);
                need->step = round->step;
                need->range[0] = wait.range;
                need->range_count = 1;
                need->at = wait.at[i];
            }
    }
}

/* False: it is not to be believed, and what follows has happened. */
static bool counts(PsCore *core, Client *client, const Msg *msg, const float *gradient, double now)
{
    const char *text = NULL;
    const PushSum push = { msg->step, msg->range[0], gradient,           msg->weight,
                           msg->loss, client->id,    client->facts.host, trust_others(&core->clients, client, now) };
    const PushVerdict verdict = core->world.weigh ? core->world.weigh(core->world.self, &push, &text) : PUSH_COUNTS;
    if (verdict == PUSH_COUNTS)
        return true;
    if (verdict == PUSH_ENDS) {
        end(core, 5, text);
    } else {
        core_reply_text(core, client->id, MSG_REFUSE, text);
        core_take_away(core, (int)(client - core->clients.items));
    }
    deal_work(core, now);
    return false;
}

/* The step that it is for; NULL: it is of no use any more, or never was. */
static Round *round_of_push(const PsCore *core, const Msg *msg)
{
    const bool open = core->phase == PHASE_TRAIN || core->phase == PHASE_PAUSE;
    Round *round = open && msg->version <= core->version ? rounds_find(&core->rounds, msg->step) : NULL;
    const bool late = core->options.mode == PS_SSP && msg->version < msg->step - core->options.staleness;
    return late || (core->options.mode == PS_SYNC && msg->version != msg->step) ? NULL : round;
}

/* Its sum is all of the step, and lies where it may be used and changed. */
static bool is_step_in_place(const PsCore *core, const Msg *msg)
{
    return msg->place == PLACE_ALL && msg->range[0].begin == 0 && msg->range[0].end == core->M;
}

/* False: it is refused, and was told so. */
static bool fits(PsCore *core, const Round *round, const Msg *msg)
{
    const size_t wanted = pieces_bytes(&round->pieces, msg, round->gather.size);
    const bool whole = msg->data && msg->size == wanted, asks = msg->again && msg->size == 0;
    const Range range = msg->range[0];
    if (wanted == 0 || (!whole && !asks) || !(msg->weight >= 0 && msg->weight < (double)INFINITY))
        refuse(core, msg, "a gradient of another size than the run's");
    else if (gather_ask(&round->gather, range.begin, range.end) == GATHER_NO_NODE)
        refuse(core, msg, "a range of micro-batches that is no node of the sum tree");
    else
        return true;
    return false;
}

/* The gradient of a push that is new, into *sum; that of a whole step in place is lent. */
static PiecesAnswer take_gradient(const PsCore *core, Round *round, GatherSum *sum, Msg *msg)
{
    if (!is_step_in_place(core, msg))
        return pieces_add(&round->pieces, &sum->gradient, msg, round->gather.size);
    sum->gradient = msg->data;
    return PIECES_WHOLE;
}

/* A new sum that is whole. */
static void take_sum(PsCore *core, Client *client, Round *round, const Msg *msg, GatherSum *sum, double now)
{
    const Range range = msg->range[0];
    const bool lent = is_step_in_place(core, msg);
    if (!counts(core, client, msg, sum->gradient, now)) {
        if (!lent)
            free(sum->gradient);
        return;
    }
    REQUIRE(lent || gather_add(&round->gather, range.begin, range.end, sum) == GATHER_KEPT);
    leases_finish(&round->leases, range);
    room_note_sum(&round->room, now);
    measure(core, client, msg, now);
    if (!rounds_of(&core->rounds, client->id))
        trust_sum(client, now);
    if (lent && apply(core, round, sum)) {
        core->version++;
        enter(core, now);
    }
    if (lent || rounds_complete(&core->rounds))
        apply_all(core, now);
    offer_room(core, now);
}

static void on_push(PsCore *core, Client *client, Msg *msg, double now)
{
    Round *round = round_of_push(core, msg);
    if (core->options.mode == PS_SYNC) /* else the two may be of different versions */
        trust_compare(&core->clients, &core->witness, client, msg, core->version);
    if (!round) {
        acknowledge(core, msg); /* late, or computed for a step that a restart took back */
        if (client->late && msg->step < core->version)
            trust_sum(client, now);
        return;
    }
    if (!fits(core, round, msg))
        return;
    const GatherAnswer answer = gather_ask(&round->gather, msg->range[0].begin, msg->range[0].end);
    if (answer != GATHER_KNOWN && !room_has(&round->room, &round->gather, &round->pieces, msg)) {
        client->active = now; /* it waits for us; and asks again */
        return;
    }
    if (msg->again) {
        const bool here = answer == GATHER_KNOWN || (msg->place != PLACE_ALL && pieces_has(&round->pieces, msg));
        answer_push(core, msg, here ? MSG_ACK : MSG_NEED);
        return;
    }
    GatherSum sum = { .weight = msg->weight, .tokens = msg->tokens, .loss = msg->loss };
    sum.versions = (double)((msg->range[0].end - msg->range[0].begin) * msg->version);
    const PiecesAnswer pieces = answer == GATHER_KNOWN ? PIECES_MORE : take_gradient(core, round, &sum, msg);
    if (pieces == PIECES_NO_ROOM)
        return; /* it comes again */
    acknowledge(core, msg);
    client->active = now;
    if (pieces == PIECES_WHOLE)
        take_sum(core, client, round, msg, &sum, now);
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
    if (range.begin < 0 || range.end != range.begin + 1 || range.end > core->chunks.n || (!msg->data && !asks) ||
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
    Round *round = core->rounds.items;
    leases_finish(&round->leases, range);
    client->active = now;
    if (!leases_is_complete(&round->leases))
        return;
    rounds_close(&core->rounds, round);
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
    core_reply_to(core, msg->client, MSG_BYE);
    deal_work(core, now);
}

/* core_reply sees which version it is when the reply leaves. */
static void on_pull_piece(PsCore *core, Client *client, const Msg *msg, double now)
{
    Msg *piece = core_reply_to(core, msg->client, MSG_VALUES);
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
    deal_to(core, client, now);
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
        core_reply_to(core, msg->client, MSG_BEAT)->known = true;
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
            core_reply_to(core, msg->client, MSG_BEAT)->known = false;
    }
}

void core_useless(PsCore *core, const Msg *msg)
{
    drop_last(core);
    acknowledge(core, msg);
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
    rounds_drop(&core->rounds, id);
    rounds_forget(&core->rounds, id);
    deal_work(core, now);
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
    if (!deal_is_open(core) || deal_idle(core, now) == 0)
        return;
    for (int i = 0; i < core->clients.count; i++) {
        Client *client = &core->clients.items[i];
        if (!rounds_of(&core->rounds, client->id) ||
            now - client->active <= trust_patience(&core->clients, client, core->phase == PHASE_EVAL,
                                                   core->options.lease_timeout, core->longest_piece))
            continue;
        log_warn("client", "gives no answer for %.1f s, its work goes to others client=%016llx", now - client->active,
                 (unsigned long long)client->id);
        rounds_drop(&core->rounds, client->id);
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
    for (int i = 0; i < core->rounds.count; i++)
        room_tick(&core->rounds.items[i].room, core->options.lease_timeout, now);
    offer_room(core, now);
    deal_work(core, now);
}

/* Is a piece of the newest version meant? Where a replica need not have the newest one, it may as well be partly newer than
 * what it asked for: else a large adapter could be overtaken again and again while it travels. */
static bool is_meant(const PsCore *core, int64_t version)
{
    return version == core->version || (version < core->version && core->options.mode != PS_SYNC);
}

/* The piece at reply->at of the newest version. */
static void lend_values(PsCore *core, Msg *reply)
{
    reply->version = core->version;
    if (core->begun && (reply->type == MSG_LEASE || is_meant(core, reply->step)))
        msg_lend_piece(reply, core->world.values(core->world.self), core->rounds.options.size);
}

/* With the lease go the values, once a turn and version; and pieces are asked for. */
static void lend_with_lease(PsCore *core, Client *client, Msg *reply)
{
    const bool sent = client->sent_turn == client->asked && client->sent_version == core->version;
    reply->version = core->version;
    if (client->held == core->version || core->rounds.options.size > WIRE_PIECE || sent)
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
            reply->again = reply->again && is_meant(core, reply->step);
            if (!reply->again)
                lend_values(core, reply);
        }
        if (reply->type != MSG_LEASE || reply->kind == LEASE_STOP)
            return true;
        Client *client = clients_find(&core->clients, reply->client);
        const bool eval = core->phase == PHASE_EVAL;
        if (client && deal_is_open(core) && eval == (reply->kind == LEASE_EVAL) &&
            rounds_find(&core->rounds, reply->step)) {
            lend_with_lease(core, client, reply);
            return true;
        }
        if (client) { /* the round was over before its lease left: it waits again */
            client->parked = true;
            deal_to(core, client, client->active);
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
    core->next_step = options->version + options->missing_count;
    core->missing = xcalloc((size_t)options->missing_count + 1, sizeof *core->missing);
    core->missing_count = options->missing_count;
    for (int i = 0; i < options->missing_count; i++)
        core->missing[i] = options->missing[options->missing_count - 1 - i];
    core->options.missing = NULL;
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
    rounds_release(&core->rounds);
    free(core->missing);
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
    return rounds_open_sums(&core->rounds);
}

int core_exit_code(const PsCore *core)
{
    return core->code;
}

CoreLook core_look(const PsCore *core)
{
    return (CoreLook){ &core->clients, &core->rounds, core->phase, core->version, core->witness.differing };
}

int64_t core_clients(const PsCore *core, int64_t *ranks)
{
    *ranks = clients_ranks(&core->clients);
    return core->clients.count;
}
