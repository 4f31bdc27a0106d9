#include "worker/ps_client/line.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seconds until something unanswered is sent again: twice as long each time, so that a slow line
 * is not filled with copies of what it already carries. Of pieces, whatever is answered puts that off for all that are on
 * their way: they go one behind the other. */
static const double resend_first = 2, resend_most = 8, pieces_most = 60;

enum { WINDOW = 4 }; /* pieces on their way */

void pending_free(Pending *pending)
{
    if (!pending)
        return;
    if (pending->lent)
        pending->msg.data = NULL;
    msg_release(&pending->msg);
    free(pending);
}

Pending *pending_new(const PsClient *client, MsgType type)
{
    Pending *pending = xcalloc(1, sizeof *pending);
    pending->msg.type = type;
    pending->msg.client = client->id;
    return pending;
}

void pending_send_soon(Pending *pending)
{
    if (pending) {
        pending->due = 0;
        pending->wait = resend_first;
    }
}

static void fail(PsClient *client, const Err *err)
{
    if (client->failed.kind == ERR_NONE)
        client->failed = *err;
    pthread_cond_broadcast(&client->answered);
}

static void send_due(PsClient *client, Pending *pending, WireSocket *socket, double now)
{
    if (!pending || pending->due > now)
        return;
    Err err = { 0 };
    pending->msg.run = client->run;
    pending->msg.plan = client->plan;
    pending->msg.rss_bytes = atomic_load(&client->rss_bytes); /* in messages that have it */
    switch (wire_send(socket, NULL, &pending->msg, &err)) {
    case WIRE_SENT:
        pending->due = now + (pending->wait > client->patient ? pending->wait : client->patient);
        pending->wait = pending->wait * 2 < resend_most ? pending->wait * 2 : resend_most;
        /* Until it is answered, HELLO is our heartbeat: the server may wait for other nodes. */
        if (pending->msg.type == MSG_HELLO && client->heartbeat < pending->wait)
            pending->due = now + client->heartbeat;
        break;
    case WIRE_LATER:
        break;
    case WIRE_BAD:
        pending->due = now + resend_most;
        fail(client, &err);
        break;
    }
}

/* The oldest of a list. When one that is late is sent again, nothing was heard of any: the line is slower than we thought. */
static void send_window(PsClient *client, Pending *first, double now)
{
    int count = 0;
    for (Pending *one = first; one && count < WINDOW; one = one->next, count++) {
        const bool again = one->sent && one->due <= now;
        send_due(client, one, client->data, now);
        if (again && one->due > now)
            client->patient = 2 * client->patient < pieces_most ? 2 * client->patient : pieces_most;
        one->sent = one->sent || one->due > now;
    }
}

/* Something of a list was answered: the others are waited for anew. */
static void put_off(const PsClient *client, Pending *first, double now)
{
    for (Pending *one = first; one; one = one->next)
        if (one->sent)
            one->due = now + client->patient;
}

static void send_beat(PsClient *client, double now, double *next_beat)
{
    if (!client->welcome || !client->known || now < *next_beat)
        return;
    const Msg beat = {
        .type = MSG_BEAT, .run = client->run, .client = client->id, .rss_bytes = atomic_load(&client->rss_bytes)
    };
    Err err = { 0 };
    if (wire_send(client->control, NULL, &beat, &err) == WIRE_SENT)
        *next_beat = now + client->heartbeat;
}

/* Pushes before the request: a PULL says that what came before it is complete. */
static void send_all(PsClient *client, double now, double *next_beat)
{
    send_beat(client, now, next_beat);
    if (client->welcome && !client->known) {
        send_due(client, client->hello, client->control, now);
        return;
    }
    send_window(client, client->pushes, now);
    send_window(client, client->parts, now);
    Pending *request = client->request;
    if (request)
        send_due(client, request, request->msg.type == MSG_PULL ? client->data : client->control, now);
}

/* The server does not know us (any more): HELLO again, then all that it has not acknowledged. */
static void rejoin(PsClient *client)
{
    if (!client->welcome || !client->known || client->stopped)
        return;
    log_info("ps_client", "server does not know this client, says hello again");
    client->known = false;
    pending_send_soon(client->hello);
}

static void answer_request(PsClient *client, Msg *msg)
{
    msg_release(&client->answer);
    client->answer = *msg;
    *msg = (Msg){ 0 };
    if (client->request != client->hello)
        pending_free(client->request);
    client->request = NULL;
    pthread_cond_broadcast(&client->answered);
}

static bool requested(const PsClient *client, MsgType type)
{
    return client->request && client->request->msg.type == type;
}

/* Another server has taken the place of ours. */
static void leave_for_another_run(PsClient *client, const Msg *msg)
{
    Err err = { 0 };
    err_set(&err, ERR_REFUSED, "this worker belongs to run %016llx, and the server at this address now has run %016llx",
            (unsigned long long)client->run, (unsigned long long)msg->run);
    err_hint(&err, "start the worker again to join that one");
    fail(client, &err);
}

static void send_all_soon(Pending *first)
{
    for (Pending *one = first; one; one = one->next) {
        pending_send_soon(one);
        one->sent = false;
    }
}

static void take_welcome(PsClient *client, Msg *msg)
{
    if (!client->hello)
        return;
    if (client->run != 0 && msg->run != client->run) {
        leave_for_another_run(client, msg);
        return;
    }
    client->run = msg->run;
    client->welcome = client->known = true;
    send_all_soon(client->pushes);
    send_all_soon(client->parts);
    if (requested(client, MSG_HELLO)) {
        answer_request(client, msg);
        return;
    }
    client->restarted = true;
    pending_send_soon(client->request);
}

static bool is_our_plan(PsClient *client, const Msg *msg)
{
    Err err = { 0 };
    if (msg->plan == client->plan)
        return true;
    err_set(&err, ERR_REFUSED,
            "the server leases plan %016llx, and this worker computes %016llx (configuration, data, "
            "micro-batches)",
            (unsigned long long)msg->plan, (unsigned long long)client->plan);
    err_hint(&err, "start the worker again");
    fail(client, &err);
    return false;
}

/* A lease without values is for the version held. An older version is an answer to an older PULL,
 * but for the first from a server that was started again and had lost the end of its log. */
static void take_lease(PsClient *client, Msg *msg)
{
    if (!client->welcome)
        return;
    if (msg->kind == LEASE_STOP) {
        if (!client->stopped) {
            client->stop = *msg;
            *msg = (Msg){ 0 };
            client->stopped = true;
        }
        pthread_cond_broadcast(&client->answered);
        return;
    }
    if (!requested(client, MSG_PULL) || !is_our_plan(client, msg))
        return;
    const int64_t have = client->request->msg.step;
    const bool pieces = client->slot_size > WIRE_PIECE; /* which are asked for then */
    const bool fits =
        msg->data ? !pieces && msg->size == (size_t)client->slot_size * sizeof(float) : pieces || msg->step == have;
    if (!fits || (msg->step < have && !client->restarted) || msg->range_count < 1)
        return;
    client->restarted = false;
    answer_request(client, msg);
}

/* A piece of the values; without data: they are of another version now. */
static void take_values(PsClient *client, const Msg *msg, double now)
{
    for (Pending **at = &client->parts; *at; at = &(*at)->next) {
        Pending *part = *at;
        if (part->msg.at != msg->at || part->msg.step != msg->step)
            continue;
        if (msg->data && msg->size != (size_t)msg_piece(client->slot_size, msg->at) * sizeof(float))
            return;
        if (msg->data)
            memcpy(client->values + msg->at, msg->data, msg->size);
        client->moved = client->moved || !msg->data;
        *at = part->next;
        pending_free(part);
        put_off(client, client->parts, now);
        if (!client->parts || client->moved)
            pthread_cond_broadcast(&client->answered);
        return;
    }
}

static void take_ack(PsClient *client, const Msg *msg, double now)
{
    for (Pending **at = &client->pushes; *at; at = &(*at)->next) {
        Pending *push = *at;
        const LeaseKind kind = push->msg.type == MSG_EVAL ? LEASE_EVAL : LEASE_TRAIN;
        if (push->msg.step != msg->step || kind != msg->kind || push->msg.range[0].begin != msg->range[0].begin ||
            push->msg.range[0].end != msg->range[0].end || push->msg.at != msg->at)
            continue;
        *at = push->next;
        pending_free(push);
        put_off(client, client->pushes, now);
        if (!client->pushes)
            pthread_cond_broadcast(&client->answered);
        return;
    }
}

static void take_refusal(PsClient *client, const Msg *msg)
{
    Err err = { 0 };
    err_set(&err, ERR_REFUSED, "%s", msg->text ? msg->text : "refused without a reason");
    fail(client, &err);
}

/* Another run's server has nothing to say to us, but that it is another one's. */
static bool is_of_our_run(const PsClient *client, const Msg *msg)
{
    return !client->welcome || msg->run == client->run || msg->type == MSG_WELCOME || msg->type == MSG_REFUSE ||
           msg->type == MSG_FOLLOW || (msg->type == MSG_BEAT && !msg->known);
}

static void take(PsClient *client, Msg *msg, double now)
{
    if (!is_of_our_run(client, msg))
        return;
    client->heard = now;
    switch (msg->type) {
    case MSG_WELCOME:
        take_welcome(client, msg);
        break;
    case MSG_FOLLOW:
        if (requested(client, MSG_HELLO))
            answer_request(client, msg);
        break;
    case MSG_REFUSE:
        take_refusal(client, msg);
        break;
    case MSG_LEASE:
        take_lease(client, msg);
        break;
    case MSG_ACK:
        take_ack(client, msg, now);
        break;
    case MSG_VALUES:
        take_values(client, msg, now);
        break;
    case MSG_BEAT:
        if (!msg->known)
            rejoin(client);
        break;
    case MSG_RUN:
        if (requested(client, MSG_ASK))
            answer_request(client, msg);
        break;
    case MSG_BYE:
        if (requested(client, MSG_BYE))
            answer_request(client, msg);
        break;
    default: /* what only a client says */
        break;
    }
}

static void take_all(PsClient *client, WireSocket *socket, double now)
{
    Msg msg;
    Err err = { 0 };
    WireReceived received;
    while ((received = wire_receive(socket, &msg, NULL, &err)) != WIRE_NOTHING) {
        if (received == WIRE_MESSAGE && (msg.client == client->id || msg.client == 0))
            take(client, &msg, now);
        else if (received == WIRE_MALFORMED && err.kind == ERR_REFUSED)
            fail(client, &err);
        else if (received == WIRE_MALFORMED)
            log_warn("ps_client", "message dropped: %s", err.what);
        msg_release(&msg);
    }
}

/* After 2 s, 4, 8 ... and then once a minute; and when it is over. */
static void tell_silence(PsClient *client, double silence)
{
    const double first = 2 * client->heartbeat < 2 ? 2 * client->heartbeat : 2, most = 60;
    if (silence < client->heartbeat) {
        if (client->told > 0)
            log_warn("ps_client", "%s answers again after %.0f s", client->address, client->told);
        client->told = 0;
        return;
    }
    const double next = client->told == 0 ? first : client->told < most ? 2 * client->told : client->told + most;
    if (silence < next)
        return;
    client->told = silence;
    log_warn("ps_client", "waiting for %s (%.0f s of %.0f)", client->address, silence, client->patience);
}

/* Silence counts only while we listen: a node that was frozen itself blames nobody. */
static void check_patience(PsClient *client, double now, double slept)
{
    if (slept > 2 * client->heartbeat + 1)
        client->heard += slept;
    const bool waits = client->request || client->pushes || client->welcome;
    const double silence = now - client->heard;
    if (!waits || client->stopped || client->closing || client->failed.kind != ERR_NONE)
        return;
    tell_silence(client, silence);
    if (silence <= client->patience)
        return;
    Err err = { 0 };
    if (wire_door(client->control, &err) == DOOR_OPEN) {
        err_set(&err, ERR_PEER, "the parameter server at %s is silent for %.0f s (ps.patience)", client->address,
                silence);
        err_hint(&err, "is lora_ps still running, and its port and the next one reachable from here?");
    }
    fail(client, &err);
}

/* A server that does not want our key now will not want it later. */
static void look_at_door(PsClient *client)
{
    Err err = { 0 };
    if (client->stopped || wire_door(client->control, &err) != DOOR_SHUT)
        return;
    err_at(&err, "%s", client->address);
    fail(client, &err);
}

static void earlier(double *first, const Pending *pending)
{
    if (pending && pending->due > 0 && pending->due < *first)
        *first = pending->due;
}

/* What wire_send could not place (due in the past) waits for the socket, not for the clock. */
static double next_time(const PsClient *client, double now, double next_beat)
{
    double first = now + (client->heartbeat < 0.5 ? client->heartbeat : 0.5);
    if (client->welcome && next_beat > now && next_beat < first)
        first = next_beat;
    earlier(&first, client->request);
    for (const Pending *push = client->pushes; push; push = push->next)
        earlier(&first, push);
    for (const Pending *part = client->parts; part; part = part->next)
        earlier(&first, part);
    return first - now > 0.02 ? first - now : 0.02;
}

static void count_traffic(PsClient *client)
{
    int64_t out[2], in[2];
    wire_traffic(client->data, &out[0], &in[0]);
    wire_traffic(client->control, &out[1], &in[1]);
    atomic_store(&client->up, out[0] + out[1]);
    atomic_store(&client->down, in[0] + in[1]);
}

void *line_main(void *arg)
{
    PsClient *client = arg;
    WireSocket *const sockets[] = { client->data, client->control };
    double next_beat = 0, before = clock_now();
    pthread_mutex_lock(&client->lock);
    while (!client->closing) {
        const double now = clock_now();
        const int64_t most = client->slot_size < WIRE_PIECE ? client->slot_size : WIRE_PIECE;
        wire_limit(client->data, (size_t)most * sizeof(float));
        take_all(client, client->control, now);
        take_all(client, client->data, now);
        look_at_door(client);
        check_patience(client, now, now - before);
        before = now;
        if (client->failed.kind == ERR_NONE || requested(client, MSG_BYE))
            send_all(client, now, &next_beat);
        count_traffic(client);
        const double wait = next_time(client, now, next_beat);
        pthread_mutex_unlock(&client->lock);
        wire_wait(sockets, 2, client->wake, wait);
        uint64_t woken;
        if (read(client->wake, &woken, sizeof woken) < 0) {
            /* nobody woke us: a message or the clock did */
        }
        pthread_mutex_lock(&client->lock);
    }
    pthread_mutex_unlock(&client->lock);
    return NULL;
}
