/* DESIGN
 *
 * A line keeps its order. So what is unanswered after a while is not sent again, but asked for, in a word without data that
 * comes behind it on the same line: whoever gets the word has what was sent before it, or never will. Then it says NEED,
 * and has it once more. A slow line carries each payload once.
 *
 *   PUSH, EVAL   again: ACK when the server has it or wants it no more, else NEED
 *   PULL at a piece, again: VALUES with `again`: it was sent before; who has not got it says PULL without `again`
 *   PULL for a lease: LEASE says the PULL's turn, so that the answer to one of them is not taken for the next one's;
 *                the values of a version go with the first LEASE of a turn alone: who has not got them asks for pieces
 *
 * A gradient in the server's memory is this server's alone. When another one welcomes us, the push is dropped: whoever does
 * not know us has no lease of ours, so the work is leased again. */
#include "worker/ps_client/client_core.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/slots/sums.h"
#include "worker/ps_client/client_state.h"

#include <stdlib.h>
#include <string.h>

/* Seconds at the most until something unanswered is asked for again: twice as long each time. Whatever is answered puts
 * that off for all that are on their way: they go one behind the other. */
static const double resend_most = 8;

/* Bytes of tensors on their way, unanswered: its credit at the server (README.md of ps). */
enum { CREDIT = 4 * WIRE_PIECE * (int)sizeof(float) };

/* ---- life ------------------------------------------------------------------------------------ */

ClientCore *client_core_new(const ClientCoreOptions *options, double now)
{
    ClientCore *core = xcalloc(1, sizeof *core);
    core->options = *options;
    core->run = options->run;
    core->silence = (Silence){ options->address, options->heartbeat, options->patience, now, 0, now };
    return core;
}

void client_drop_request(ClientCore *core)
{
    if (core->request != core->hello)
        pending_free(core->request);
    core->request = NULL;
}

void client_core_free(ClientCore *core)
{
    if (!core)
        return;
    pending_free_all(&core->pushes);
    pending_free_all(&core->parts);
    client_drop_request(core);
    pending_free(core->hello);
    msg_release(&core->answer);
    msg_release(&core->stop);
    free(core->packed);
    free(core->left);
    free(core);
}

void client_core_fail(ClientCore *core, const Err *err)
{
    if (core->failed.kind == ERR_NONE)
        core->failed = *err;
}

/* ---- wishes ---------------------------------------------------------------------------------- */

Pending *client_pending(const ClientCore *core, MsgType type)
{
    return pending_new(core->options.client, type);
}

static void ask_for(ClientCore *core, ClientWish wish, Pending *request, double now)
{
    pending_soon(request);
    if (!core->welcome)
        core->silence.heard = now; /* nothing was asked, so nothing could be heard */
    core->request = request;
    core->wish = wish;
}

void client_core_ask(ClientCore *core, const char *found, double now)
{
    Pending *ask = client_pending(core, MSG_ASK);
    ask->msg.text = found ? xstrdup(found) : NULL;
    ask_for(core, WISH_TEXT, ask, now);
}

void client_core_hello(ClientCore *core, const HelloFacts *facts, const char *run_text, double now)
{
    REQUIRE(!core->welcome && facts->slot_size > 0); /* a second HELLO follows a FOLLOW */
    Pending *hello = client_pending(core, MSG_HELLO);
    hello->msg.facts = *facts;
    hello->msg.text = xstrdup(run_text);
    pending_free(core->hello);
    core->hello = hello;
    core->slot_size = facts->slot_size;
    ask_for(core, WISH_TEXT, hello, now);
}

void client_pull(ClientCore *core, int64_t have, double now)
{
    Pending *pull = client_pending(core, MSG_PULL);
    pull->msg.step = core->doubt ? -1 : have;
    pull->msg.at = -1;
    pull->msg.turn = ++core->turn;
    ask_for(core, WISH_NEXT, pull, now);
}

void client_core_next(ClientCore *core, int64_t have, float *values, double now)
{
    REQUIRE(core->hello);
    core->wish = WISH_NEXT;
    core->values = values;
    if (!core->stopped)
        client_pull(core, have, now);
}

bool client_is_in_place(const ClientCore *core)
{
    return core->taken != 0 && core->taken == core->offer.sums_key;
}

static Pending *pending_of(const ClientCore *core, const Push *push)
{
    Pending *pending = client_pending(core, push->eval ? MSG_EVAL : MSG_PUSH);
    Msg *msg = &pending->msg;
    msg->step = push->step;
    msg->version = push->version;
    msg->range[0] = push->range;
    msg->range_count = 1;
    msg->weight = push->weight;
    msg->tokens = push->tokens;
    msg->loss = push->loss;
    msg->seconds = push->seconds;
    msg->place = core->leased ? PLACE_VALUES : PLACE_WIRE;
    msg->memory.values_key = core->leased;
    return pending;
}

static void push_in_place(ClientCore *core, const Push *push)
{
    Pending *pending = pending_of(core, push);
    pending->msg.place = PLACE_ALL;
    pending->msg.memory.sums_key = core->taken;
    pending_append(&core->pushes, pending);
    core->wish = WISH_PUSH;
}

static void push_pieces(ClientCore *core, const Push *push)
{
    const int64_t size = (int64_t)(push->size / sizeof(float));
    Pending **last = &core->pushes;
    for (int64_t at = 0; at < size; at += WIRE_PIECE) {
        Pending *piece = pending_of(core, push);
        piece->lent = true;
        piece->msg.at = at;
        piece->msg.data = (float *)(uintptr_t)push->data + at;
        piece->msg.size = (size_t)msg_piece(size, at) * sizeof(float);
        pending_append(last, piece);
        while (*last != piece)
            last = &(*last)->next;
        last = &piece->next;
    }
    core->wish = WISH_PUSH;
}

/* In pieces, as they travel; they are ours. */
static bool push_rounded(ClientCore *core, const Push *push, Err *err)
{
    const int64_t size = (int64_t)(push->size / sizeof(float));
    const float *gradient = push->data;
    REQUIRE(size == core->slot_size);
    for (int64_t at = 0; at < size; at += WIRE_PIECE) {
        const int64_t n = msg_piece(size, at);
        void *bytes = mem_alloc(sums_bytes(WIRE_INT8, n), err);
        if (!bytes)
            return false;
        sums_round(bytes, gradient + at, core->left + at, n);
        Pending *piece = pending_of(core, push);
        piece->msg.at = at;
        piece->msg.data = bytes;
        piece->msg.size = sums_bytes(WIRE_INT8, n);
        pending_append(&core->pushes, piece);
    }
    return true;
}

bool client_core_push(ClientCore *core, const Push *push, Err *err)
{
    if (core->failed.kind != ERR_NONE) {
        *err = core->failed;
        return false;
    }
    if (!push->eval && core->dtype == WIRE_INT8)
        return push_rounded(core, push, err);
    if (!push->eval && push->size > (size_t)WIRE_PIECE * sizeof(float)) {
        (push->in_place && client_is_in_place(core) ? push_in_place : push_pieces)(core, push);
        return true;
    }
    void *copy = push->size > 0 ? mem_alloc(push->size, err) : NULL;
    if (push->size > 0 && !copy)
        return false;
    if (copy)
        memcpy(copy, push->data, push->size);
    Pending *pending = pending_of(core, push);
    pending->msg.data = copy;
    pending->msg.size = push->size;
    pending_append(&core->pushes, pending);
    return true;
}

void client_core_bye(ClientCore *core, double now)
{
    client_drop_request(core);
    core->known = true; /* there is no rejoining any more */
    ask_for(core, WISH_BYE, client_pending(core, MSG_BYE), now);
}

bool client_core_waits(const ClientCore *core)
{
    if (core->failed.kind != ERR_NONE)
        return false;
    switch (core->wish) {
    case WISH_TEXT:
    case WISH_BYE:
        return core->request;
    case WISH_NEXT:
        return !core->stopped && (core->request || core->parts);
    case WISH_PUSH:
        return !core->stopped && core->pushes;
    case WISH_NONE:
        break;
    }
    return false;
}

static bool is_well(const ClientCore *core, Err *err)
{
    if (core->failed.kind == ERR_NONE)
        return true;
    if (err)
        *err = core->failed;
    return false;
}

bool client_core_answer(ClientCore *core, Msg *answer, Err *err)
{
    core->wish = WISH_NONE;
    if (core->request)
        return is_well(core, err);
    *answer = core->answer;
    core->answer = (Msg){ 0 };
    return true;
}

static void fill_lease(Lease *lease, const Msg *msg)
{
    *lease = (Lease){ .kind = msg->kind, .step = msg->step, .version = msg->version };
    lease->range_count = msg->range_count;
    lease->code = msg->code;
    memcpy(lease->range, msg->range, sizeof lease->range);
    if (msg->text)
        snprintf(lease->text, sizeof lease->text, "%s", msg->text);
}

bool client_core_lease(ClientCore *core, Lease *lease, Err *err)
{
    const bool complete = core->stopped || (!core->request && !core->parts);
    client_drop_request(core);
    pending_free_all(&core->parts);
    core->values = NULL;
    core->wish = WISH_NONE;
    if (!complete)
        return is_well(core, err);
    fill_lease(lease, core->stopped ? &core->stop : &core->answer);
    lease->in_place = core->leased != 0;
    return true;
}

bool client_core_pushed(ClientCore *core, Err *err)
{
    if (core->wish != WISH_PUSH) /* small, and a copy */
        return true;
    pending_free_all(&core->pushes); /* if any are left, nobody wants them any more */
    core->wish = WISH_NONE;
    return is_well(core, err);
}

/* ---- what goes out --------------------------------------------------------------------------- */

/* A gradient, as it travels. */
static void pack(const ClientCore *core, Msg *msg)
{
    const int64_t n = (int64_t)(msg->size / sizeof(float));
    if (core->dtype != WIRE_BF16 || msg->type != MSG_PUSH || !msg->data)
        return;
    REQUIRE(n <= WIRE_PIECE);
    sums_pack(core->packed, msg->data, n);
    msg->data = core->packed;
    msg->size = sums_bytes(core->dtype, n);
}

static void send_due(ClientCore *core, Pending *pending, bool data, const ClientWay *way, double now)
{
    if (!pending || pending->due > now)
        return;
    Err err = { 0 };
    Msg msg = pending->msg;
    msg.run = core->run;
    msg.plan = core->plan;
    msg.rss_bytes = core->rss_bytes; /* in messages that have it */
    msg.again = pending->sent;
    if (msg.type == MSG_PULL)
        msg.place = client_is_in_place(core) ? PLACE_VALUES : PLACE_WIRE;
    if (msg.again) {
        msg.data = NULL;
        msg.size = 0;
    }
    pack(core, &msg);
    switch (way->send(way->self, data, &msg, &err)) {
    case WIRE_SENT:
        pending->sent = true;
        pending->due = now + pending->wait;
        pending->wait = pending->wait * 2 < resend_most ? pending->wait * 2 : resend_most;
        /* Until it is answered, HELLO is our heartbeat: the server may wait for other nodes. */
        if (pending->msg.type == MSG_HELLO && core->options.heartbeat < pending->wait)
            pending->due = now + core->options.heartbeat;
        break;
    case WIRE_LATER:
        break;
    case WIRE_BAD:
        pending->due = now + resend_most;
        client_core_fail(core, &err);
        break;
    }
}

/* The oldest of a list, as many as the credit is for. True: all of it has been sent, now or before. */
static bool send_window(ClientCore *core, Pending *first, const ClientWay *way, double now)
{
    int64_t left = CREDIT;
    for (Pending *one = first; one; one = one->next) {
        const int64_t bytes =
            one->msg.type == MSG_PULL ? (int64_t)(WIRE_PIECE * sizeof(float)) : (int64_t)one->msg.size;
        if (left <= 0)
            return false;
        left -= bytes;
        send_due(core, one, true, way, now);
        if (!one->sent)
            return false;
    }
    return true;
}

void client_put_off(Pending *first, double now)
{
    for (Pending *one = first; one; one = one->next)
        if (one->sent)
            one->due = now + one->wait;
}

static void send_beat(ClientCore *core, const ClientWay *way, double now)
{
    if (!core->welcome || !core->known || now < core->next_beat)
        return;
    const Msg beat = {
        .type = MSG_BEAT,
        .run = core->run,
        .client = core->options.client,
        .rss_bytes = core->rss_bytes,
        .foreseen = core->foreseen,
    };
    Err err = { 0 };
    if (way->send(way->self, false, &beat, &err) == WIRE_SENT)
        core->next_beat = now + core->options.heartbeat;
}

bool client_requested(const ClientCore *core, MsgType type)
{
    return core->request && core->request->msg.type == type;
}

/* Pushes before the request: a PULL says that what came before it is complete. */
void client_core_send(ClientCore *core, const ClientWay *way, double now)
{
    if (core->failed.kind != ERR_NONE && !client_requested(core, MSG_BYE))
        return;
    send_beat(core, way, now);
    if (core->welcome && !core->known) {
        send_due(core, core->hello, false, way, now);
        return;
    }
    const bool complete = send_window(core, core->pushes, way, now);
    send_window(core, core->parts, way, now);
    if (complete || !client_requested(core, MSG_PULL))
        send_due(core, core->request, client_requested(core, MSG_PULL), way, now);
}

/* What could not be placed (due in the past) waits for the socket, not for the clock. */
double client_core_sleep(const ClientCore *core, double now)
{
    double first = now + (core->options.heartbeat < 0.5 ? core->options.heartbeat : 0.5);
    if (core->welcome && core->next_beat > now && core->next_beat < first)
        first = core->next_beat;
    pending_earliest(core->request, &first);
    pending_earliest(core->pushes, &first);
    pending_earliest(core->parts, &first);
    return first - now > 0.02 ? first - now : 0.02;
}

/* ---- time ------------------------------------------------------------------------------------ */

void client_core_tick(ClientCore *core, Door door, const Err *words, double now)
{
    const bool waits = core->request || core->pushes || core->welcome;
    Err err = { 0 };
    if (door == DOOR_SHUT && !core->stopped) { /* who does not want our key now will not want it later */
        err = *words;
        err_at(&err, "%s", core->options.address);
        client_core_fail(core, &err);
    }
    silence_note_time(&core->silence, now);
    if (!waits || core->stopped || core->failed.kind != ERR_NONE || !silence_is_too_long(&core->silence, now, &err))
        return;
    client_core_fail(core, door == DOOR_OPEN ? &err : words);
}

/* ---- small things ---------------------------------------------------------------------------- */

void client_core_plan(ClientCore *core, uint64_t plan, const PsConfig *ps)
{
    core->dtype = ps->wire_dtype;
    core->bits = ps->mode == PS_SYNC;
    if (core->dtype == WIRE_BF16 && !core->packed)
        core->packed = xcalloc(WIRE_PIECE, sizeof *core->packed);
    if (core->dtype == WIRE_INT8 && !core->left)
        core->left = xcalloc((size_t)core->slot_size, sizeof *core->left);
    core->plan = plan;
}

void client_core_memory(ClientCore *core, int64_t bytes)
{
    core->rss_bytes = bytes;
}

void client_core_foresee(ClientCore *core, const Foreseen *foreseen)
{
    core->foreseen = *foreseen;
    core->next_beat = 0;
}

int64_t client_core_slot_size(const ClientCore *core)
{
    return core->slot_size;
}

const MemoryOffer *client_core_offer(const ClientCore *core)
{
    return &core->offer;
}

void client_core_takes(ClientCore *core, uint64_t sums_key)
{
    core->taken = sums_key;
}

bool client_core_may_leave(const ClientCore *core)
{
    return core->welcome && core->failed.kind == ERR_NONE;
}
