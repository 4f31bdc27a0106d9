/* What comes from the server. */
#include "worker/ps_client/client_core.h"

#include "common/base/log.h"
#include "worker/ps_client/client_state.h"

#include <string.h>

/* The server does not know us (any more): HELLO again, then all that it has not acknowledged. */
static void rejoin(ClientCore *core)
{
    if (!core->welcome || !core->known || core->stopped)
        return;
    log_info("ps_client", "server does not know this client, says hello again");
    core->known = false;
    pending_soon(core->hello);
}

static void answer_request(ClientCore *core, Msg *msg)
{
    msg_release(&core->answer);
    core->answer = *msg;
    *msg = (Msg){ 0 };
    client_drop_request(core);
}

/* Another server has taken the place of ours. */
static void leave_for_another_run(ClientCore *core, const Msg *msg)
{
    Err err = { 0 };
    err_set(&err, ERR_REFUSED, "this worker belongs to run %016llx, and the server at this address now has run %016llx",
            (unsigned long long)core->run, (unsigned long long)msg->run);
    err_hint(&err, "start the worker again to join that one");
    client_core_fail(core, &err);
}

/* Other memory than before, of another server, or for another client than the server has forgotten. */
static void take_offer(ClientCore *core, const MemoryOffer *offer)
{
    const bool moved = offer->sums_key != core->offer.sums_key;
    core->offer = *offer;
    if (!moved)
        return;
    for (Pending **at = &core->pushes; *at;)
        if ((*at)->msg.place == PLACE_ALL)
            pending_take_out(at);
        else
            at = &(*at)->next;
    if (core->wish != WISH_NEXT || core->stopped)
        return;
    client_drop_request(core); /* the caller looks at the offer before it goes on */
    pending_free_all(&core->parts);
    msg_release(&core->answer);
    core->answer.kind = LEASE_WAIT;
}

static void take_welcome(ClientCore *core, Msg *msg)
{
    if (!core->hello)
        return;
    if (core->run != 0 && msg->run != core->run) {
        leave_for_another_run(core, msg);
        return;
    }
    core->run = msg->run;
    core->doubt = core->welcome && !core->bits;
    if (core->doubt && client_requested(core, MSG_PULL))
        core->request->msg.step = -1;
    core->welcome = core->known = true;
    take_offer(core, &msg->memory);
    pending_all_soon(core->pushes);
    pending_all_soon(core->parts);
    if (client_requested(core, MSG_HELLO)) {
        answer_request(core, msg);
        return;
    }
    pending_soon(core->request);
}

static bool is_our_plan(ClientCore *core, const Msg *msg)
{
    Err err = { 0 };
    if (msg->plan == core->plan)
        return true;
    err_set(&err, ERR_REFUSED,
            "the server leases plan %016llx, and this worker computes %016llx (configuration, data, "
            "micro-batches)",
            (unsigned long long)msg->plan, (unsigned long long)core->plan);
    err_hint(&err, "start the worker again");
    client_core_fail(core, &err);
    return false;
}

/* PULLs of all pieces of the values of `step`. */
static void ask_for_pieces(ClientCore *core, int64_t step)
{
    Pending **last = &core->parts;
    for (int64_t at = 0; at < core->slot_size; at += WIRE_PIECE) {
        Pending *part = client_pending(core, MSG_PULL);
        part->msg.step = step;
        part->msg.at = at;
        pending_append(last, part);
        last = &part->next;
    }
}

static void take_stop(ClientCore *core, Msg *msg)
{
    if (core->stopped)
        return;
    core->stop = *msg;
    *msg = (Msg){ 0 };
    core->stopped = true;
}

/* Sums of another round than this lease's are of no use to the server, where one is open at a time; else it says so itself. */
static void drop_other_pushes(ClientCore *core, const Msg *lease)
{
    if (!core->bits)
        return;
    const MsgType type = lease->kind == LEASE_EVAL ? MSG_EVAL : MSG_PUSH;
    for (Pending **at = &core->pushes; *at;)
        if ((*at)->msg.step != lease->step || (*at)->msg.type != type)
            pending_take_out(at);
        else
            at = &(*at)->next;
}

/* A lease comes with the values of its version, unless they are the ones held, go in pieces, or were sent before. A server
 * that was started again may have lost the end of its log: then the version is an older one. */
static void take_lease(ClientCore *core, Msg *msg)
{
    if (!core->welcome)
        return;
    if (msg->kind == LEASE_STOP) {
        take_stop(core, msg);
        return;
    }
    if (!client_requested(core, MSG_PULL) || msg->turn != core->turn || !is_our_plan(core, msg))
        return;
    if ((msg->data && msg->size != (size_t)core->slot_size * sizeof(float)) || msg->range_count < 1)
        return;
    drop_other_pushes(core, msg);
    const bool there = client_is_in_place(core) && msg->memory.values_key == core->offer.values_key;
    core->leased = there ? msg->memory.values_key : 0;
    if (msg->data)
        memcpy(core->values, msg->data, msg->size);
    else if (!there && msg->version != core->request->msg.step)
        ask_for_pieces(core, msg->version);
    core->doubt = false;
    answer_request(core, msg);
}

/* What was asked for again has not come: it is sent (or asked for) as the first time. */
static void send_anew(Pending *pending)
{
    pending->sent = false;
    pending_soon(pending);
}

/* A piece of the values. Without data: it was sent before this, or the version is another now, and what came is of no use. */
static void take_values(ClientCore *core, const Msg *msg, double now)
{
    Pending **at = pending_part(&core->parts, msg);
    if (!at)
        return;
    if (msg->again) {
        send_anew(*at);
    } else if (!msg->data) {
        pending_free_all(&core->parts);
        client_pull(core, -1, now); /* what is there is torn */
    } else if (msg->size == (size_t)msg_piece(core->slot_size, msg->at) * sizeof(float)) {
        memcpy(core->values + msg->at, msg->data, msg->size);
        pending_take_out(at);
        client_put_off(core->parts, now);
    }
}

/* The server has a push, or wants it no more: ACK. Or it has not got what was sent: NEED. */
static void take_ack(ClientCore *core, const Msg *msg, double now)
{
    Pending **at = pending_pushed(&core->pushes, msg);
    if (!at)
        return;
    if (msg->type == MSG_NEED) {
        send_anew(*at);
        return;
    }
    pending_take_out(at);
    client_put_off(core->pushes, now);
}

static void take_refusal(ClientCore *core, const Msg *msg)
{
    Err err = { 0 };
    err_set(&err, ERR_REFUSED, "%s", msg->text ? msg->text : "refused without a reason");
    client_core_fail(core, &err);
}

/* Another run's server has nothing to say to us, but that it is another one's. */
static bool is_of_our_run(const ClientCore *core, const Msg *msg)
{
    return !core->welcome || msg->run == core->run || msg->type == MSG_WELCOME || msg->type == MSG_REFUSE ||
           msg->type == MSG_FOLLOW || (msg->type == MSG_BEAT && !msg->known);
}

static bool is_ours(const ClientCore *core, const Msg *msg)
{
    return (msg->client == core->options.client || msg->client == 0) && is_of_our_run(core, msg);
}

/* The answers that are nothing but that. */
static void take_answer(ClientCore *core, Msg *msg)
{
    const MsgType to = msg->type == MSG_RUN ? MSG_ASK : msg->type == MSG_FOLLOW ? MSG_HELLO : MSG_BYE;
    if (!client_requested(core, to))
        return;
    answer_request(core, msg);
}

void client_core_message(ClientCore *core, Msg *msg, double now)
{
    if (!is_ours(core, msg))
        return;
    core->silence.heard = now;
    switch (msg->type) {
    case MSG_WELCOME:
        take_welcome(core, msg);
        break;
    case MSG_REFUSE:
        take_refusal(core, msg);
        break;
    case MSG_LEASE:
        take_lease(core, msg);
        break;
    case MSG_ACK:
    case MSG_NEED:
        take_ack(core, msg, now);
        break;
    case MSG_VALUES:
        take_values(core, msg, now);
        break;
    case MSG_BEAT:
        if (!msg->known)
            rejoin(core);
        break;
    case MSG_FOLLOW:
    case MSG_RUN:
    case MSG_BYE:
        take_answer(core, msg);
        break;
    default: /* what only a client says */
        break;
    }
}
