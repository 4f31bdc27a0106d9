#include "worker/ps_client/ps_client.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/socket.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Seconds until something unanswered is sent again: twice as long each time, so that a slow line
 * is not filled with copies of what it already carries. */
static const double resend_first = 2, resend_most = 8;
static const double bye_patience = 1; /* that close has for its answer */

/* A message that wants an answer. */
typedef struct Pending {
    struct Pending *next;
    Msg msg;          /* owned */
    double due, wait; /* when to send it (again), and how long to wait then */
} Pending;

/* Two threads: the caller's, and the line's, which alone touches the sockets. */
struct PsClient {
    WireContext *context;
    WireSocket *data, *control; /* the line's */
    int wake;                   /* eventfd: something is there to be sent */
    double heartbeat, patience;
    pthread_t line;
    atomic_int_fast64_t up, down;
    uint64_t id;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t answered;
    Pending *pushes;  /* unacknowledged, oldest first */
    Pending *request; /* the caller's one ASK, HELLO, PULL or BYE; NULL when it is answered */
    Msg answer;       /* to the last request */
    Msg stop;         /* a LEASE_STOP: the last word, whenever it comes */
    bool stopped;
    Pending *hello; /* kept to say it again; owned */
    bool welcome;   /* the server knew us once */
    bool known;     /* and does so now, as far as we know */
    bool restarted; /* it was greeted again: its version may lie behind the one we hold */
    uint64_t run;
    int64_t slot_size;
    _Atomic int64_t rss_bytes;
    double heard; /* when the server last said something */
    Err failed;   /* for good: every call gives it */
    bool closing;
};

/* ---- the line's thread --------------------------------------------------------------------- */

static void pending_free(Pending *pending)
{
    if (!pending)
        return;
    msg_release(&pending->msg);
    free(pending);
}

static Pending *pending_new(PsClient *client, MsgType type)
{
    Pending *pending = xcalloc(1, sizeof *pending);
    pending->msg.type = type;
    pending->msg.client = client->id;
    return pending;
}

static void send_soon(Pending *pending)
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
    switch (wire_send(socket, NULL, &pending->msg, &err)) {
    case WIRE_SENT:
        pending->due = now + pending->wait;
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
    for (Pending *push = client->pushes; push; push = push->next)
        send_due(client, push, client->data, now);
    Pending *request = client->request;
    if (request)
        send_due(client, request, request->msg.type == MSG_PULL ? client->data : client->control,
                 now);
}

/* The server does not know us (any more): HELLO again, then all that it has not acknowledged. */
static void rejoin(PsClient *client)
{
    if (!client->welcome || !client->known || client->stopped)
        return;
    log_info("ps_client", "server does not know this client, says hello again");
    client->known = false;
    send_soon(client->hello);
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

static void take_welcome(PsClient *client, Msg *msg)
{
    if (!client->hello)
        return;
    client->run = msg->run;
    client->welcome = client->known = true;
    for (Pending *push = client->pushes; push; push = push->next)
        send_soon(push);
    if (requested(client, MSG_HELLO)) {
        answer_request(client, msg);
        return;
    }
    client->restarted = true;
    send_soon(client->request);
}

/* A lease without values is for the version held. An older version is an answer to an older PULL,
 * but for the first from a server that was started again and had lost the end of its log. */
static void take_lease(PsClient *client, Msg *msg)
{
    if (msg->kind == LEASE_STOP) {
        if (!client->stopped) {
            client->stop = *msg;
            *msg = (Msg){ 0 };
            client->stopped = true;
        }
        pthread_cond_broadcast(&client->answered);
        return;
    }
    if (!requested(client, MSG_PULL))
        return;
    const int64_t have = client->request->msg.step;
    const bool fits =
        msg->data ? msg->size == (size_t)client->slot_size * sizeof(float) : msg->step == have;
    if (!fits || (msg->step < have && !client->restarted) || msg->range_count < 1)
        return;
    client->restarted = false;
    answer_request(client, msg);
}

static void take_ack(PsClient *client, const Msg *msg)
{
    for (Pending **at = &client->pushes; *at; at = &(*at)->next) {
        Pending *push = *at;
        const LeaseKind kind = push->msg.type == MSG_EVAL ? LEASE_EVAL : LEASE_TRAIN;
        if (push->msg.step != msg->step || kind != msg->kind ||
            push->msg.range[0].begin != msg->range[0].begin ||
            push->msg.range[0].end != msg->range[0].end)
            continue;
        *at = push->next;
        pending_free(push);
        return;
    }
}

static void take_refusal(PsClient *client, const Msg *msg)
{
    Err err = { 0 };
    err_set(&err, ERR_REFUSED, "%s", msg->text ? msg->text : "refused without a reason");
    fail(client, &err);
}

static void take(PsClient *client, Msg *msg, double now)
{
    client->heard = now;
    switch (msg->type) {
    case MSG_WELCOME:
        take_welcome(client, msg);
        break;
    case MSG_REFUSE:
        take_refusal(client, msg);
        break;
    case MSG_LEASE:
        take_lease(client, msg);
        break;
    case MSG_ACK:
        take_ack(client, msg);
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

/* Silence counts only while we listen: a node that was frozen itself blames nobody. */
static void check_patience(PsClient *client, double now, double slept)
{
    if (slept > 2 * client->heartbeat + 1)
        client->heard += slept;
    const bool waits = client->request || client->pushes || client->welcome;
    if (!waits || client->stopped || now - client->heard <= client->patience)
        return;
    Err err = { 0 };
    err_set(&err, ERR_PEER, "the parameter server is silent for %.0f s", now - client->heard);
    err_hint(&err, "is lora_ps still running, and its port and the next one reachable from here?");
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

static void *line_main(void *arg)
{
    PsClient *client = arg;
    WireSocket *const sockets[] = { client->data, client->control };
    double next_beat = 0, before = clock_now();
    pthread_mutex_lock(&client->lock);
    while (!client->closing) {
        const double now = clock_now();
        wire_limit(client->data, (size_t)client->slot_size * sizeof(float));
        take_all(client, client->control, now);
        take_all(client, client->data, now);
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

/* ---- the caller's thread ------------------------------------------------------------------- */

static void wake(PsClient *client)
{
    const uint64_t one = 1;
    if (write(client->wake, &one, sizeof one) < 0)
        log_warn("ps_client", "cannot wake the line's thread");
}

static void client_release(PsClient *client)
{
    wire_close(client->data);
    wire_close(client->control);
    wire_context_close(client->context);
    if (client->wake >= 0)
        close(client->wake);
    while (client->pushes) {
        Pending *next = client->pushes->next;
        pending_free(client->pushes);
        client->pushes = next;
    }
    if (client->request != client->hello)
        pending_free(client->request);
    pending_free(client->hello);
    msg_release(&client->answer);
    msg_release(&client->stop);
    pthread_cond_destroy(&client->answered);
    pthread_mutex_destroy(&client->lock);
    free(client);
}

static bool start_line(PsClient *client, Err *err)
{
    if (client->wake < 0)
        return err_errno(err, "cannot make an eventfd");
    const int why = pthread_create(&client->line, NULL, line_main, client);
    return why == 0 || err_set(err, ERR_IO, "cannot start a thread: %s", strerror(why));
}

PsClient *ps_client_open(const PsClientOptions *options, Err *err)
{
    PsClient *client = xcalloc(1, sizeof *client);
    client->heartbeat = options->heartbeat;
    client->patience = options->patience;
    client->id = rng_entropy() | 1; /* never 0 */
    client->heard = clock_now();
    client->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&client->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&client->answered, &attributes);
    pthread_condattr_destroy(&attributes);
    client->context = wire_context_open(err);
    if (client->context &&
        wire_connect_pair(client->context, options->address, &client->data, &client->control,
                          err) &&
        start_line(client, err))
        return client;
    client_release(client);
    return NULL;
}

static struct timespec deadline(double seconds)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    const int64_t nanos = time.tv_nsec + (int64_t)(seconds * 1e9);
    return (struct timespec){ time.tv_sec + nanos / 1000000000, nanos % 1000000000 };
}

/* With the lock held: hands the request to the line. */
static void ask_for(PsClient *client, Pending *request)
{
    send_soon(request);
    if (!client->welcome)
        client->heard = clock_now(); /* nothing was asked, so nothing could be heard */
    client->request = request;
    wake(client);
}

void ps_client_close(PsClient *client)
{
    if (!client)
        return;
    pthread_mutex_lock(&client->lock);
    if (client->welcome && client->failed.kind == ERR_NONE) {
        if (client->request && client->request != client->hello)
            pending_free(client->request);
        client->known = true; /* there is no rejoining any more */
        ask_for(client, pending_new(client, MSG_BYE));
        const struct timespec until = deadline(bye_patience);
        while (client->request && client->failed.kind == ERR_NONE &&
               pthread_cond_timedwait(&client->answered, &client->lock, &until) == 0)
            continue;
    }
    client->closing = true;
    pthread_mutex_unlock(&client->lock);
    wake(client);
    pthread_join(client->line, NULL);
    client_release(client);
}

/* With the lock held: waits until the request is answered (true), the line failed, or, for a PULL,
 * the server said stop (true as well). */
static bool wait_answer(PsClient *client, bool pull, Err *err)
{
    while (client->request && client->failed.kind == ERR_NONE && !(pull && client->stopped))
        pthread_cond_wait(&client->answered, &client->lock);
    if (!client->request || (pull && client->stopped))
        return true;
    if (err)
        *err = client->failed;
    return false;
}

/* The text of the answer, owned by the caller. */
static bool text_request(PsClient *client, Pending *request, char **text, Err *err)
{
    ask_for(client, request);
    const bool ok = wait_answer(client, false, err);
    if (ok) {
        *text = client->answer.text ? client->answer.text : xstrdup("");
        client->answer.text = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    return ok;
}

bool ps_client_ask(PsClient *client, char **run_text, Err *err)
{
    pthread_mutex_lock(&client->lock);
    return text_request(client, pending_new(client, MSG_ASK), run_text, err);
}

bool ps_client_hello(PsClient *client, const HelloFacts *facts, const char *run_text, char **fixed,
                     Err *err)
{
    REQUIRE(facts->slot_size > 0);
    Pending *hello = pending_new(client, MSG_HELLO);
    hello->msg.facts = *facts;
    hello->msg.text = xstrdup(run_text);
    pthread_mutex_lock(&client->lock);
    REQUIRE(!client->hello); /* once */
    client->hello = hello;
    client->slot_size = facts->slot_size;
    return text_request(client, hello, fixed, err);
}

static void fill_lease(Lease *lease, const Msg *msg)
{
    *lease = (Lease){
        .kind = msg->kind, .step = msg->step, .range_count = msg->range_count, .code = msg->code
    };
    memcpy(lease->range, msg->range, sizeof lease->range);
    if (msg->text)
        snprintf(lease->text, sizeof lease->text, "%s", msg->text);
}

bool ps_client_next(PsClient *client, int64_t have, Lease *lease, float *values, int64_t size,
                    Err *err)
{
    pthread_mutex_lock(&client->lock);
    REQUIRE(client->hello && size == client->slot_size);
    if (!client->stopped) {
        Pending *pull = pending_new(client, MSG_PULL);
        pull->msg.step = have;
        ask_for(client, pull);
    }
    const bool ok = wait_answer(client, true, err);
    if (ok && client->stopped) {
        pending_free(client->request);
        client->request = NULL;
        fill_lease(lease, &client->stop);
    } else if (ok) {
        fill_lease(lease, &client->answer);
        if (client->answer.data)
            memcpy(values, client->answer.data, client->answer.size);
        msg_release(&client->answer);
    }
    pthread_mutex_unlock(&client->lock);
    return ok;
}

bool ps_client_push(PsClient *client, const Push *push, Err *err)
{
    void *copy = push->size > 0 ? mem_alloc(push->size, err) : NULL;
    if (push->size > 0 && !copy)
        return false;
    Pending *pending = pending_new(client, push->eval ? MSG_EVAL : MSG_PUSH);
    Msg *msg = &pending->msg;
    msg->step = push->step;
    msg->range[0] = push->range;
    msg->range_count = 1;
    msg->count = push->count;
    msg->tokens = push->tokens;
    msg->loss = push->loss;
    msg->seconds = push->seconds;
    msg->data = copy;
    msg->size = push->size;
    if (copy)
        memcpy(copy, push->data, push->size);
    send_soon(pending);
    pthread_mutex_lock(&client->lock);
    const bool ok = client->failed.kind == ERR_NONE;
    if (!ok && err)
        *err = client->failed;
    Pending **last = &client->pushes;
    while (*last)
        last = &(*last)->next;
    *last = pending;
    pthread_mutex_unlock(&client->lock);
    wake(client);
    return ok;
}

void ps_client_memory(PsClient *client, int64_t bytes)
{
    atomic_store(&client->rss_bytes, bytes);
}

void ps_client_traffic(const PsClient *client, int64_t *up, int64_t *down)
{
    *up = atomic_load(&client->up);
    *down = atomic_load(&client->down);
}
