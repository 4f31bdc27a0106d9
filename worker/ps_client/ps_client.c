#include "worker/ps_client/ps_client.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/ps_client/line.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const double bye_patience = 1; /* that close has for its answer */

static void wake(PsClient *client)
{
    const uint64_t one = 1;
    if (write(client->wake, &one, sizeof one) < 0)
        log_warn("ps_client", "cannot wake the line's thread");
}

static void free_list(Pending **first)
{
    while (*first) {
        Pending *next = (*first)->next;
        pending_free(*first);
        *first = next;
    }
}

static void client_release(PsClient *client)
{
    wire_close(client->data);
    wire_close(client->control);
    wire_context_close(client->context);
    if (client->wake >= 0)
        close(client->wake);
    free_list(&client->pushes);
    free_list(&client->parts);
    if (client->request != client->hello)
        pending_free(client->request);
    pending_free(client->hello);
    msg_release(&client->answer);
    msg_release(&client->stop);
    pthread_cond_destroy(&client->answered);
    pthread_mutex_destroy(&client->lock);
    free(client->address);
    free(client);
}

static bool secure(PsClient *client, const char *line, Err *err)
{
    WireKeys keys;
    return !line || (keys_read_client(&keys, line, err) && wire_secure(client->context, &keys, NULL, err));
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
    client->patient = 2; /* as line.c begins */
    client->address = xstrdup(options->address);
    client->run = options->run;
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
    if (client->context && secure(client, options->keys, err) &&
        wire_connect_pair(client->context, options->address, &client->data, &client->control, err) &&
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
    pending_send_soon(request);
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

bool ps_client_ask(PsClient *client, const char *found, char **run_text, uint64_t *run, Err *err)
{
    Pending *ask = pending_new(client, MSG_ASK);
    ask->msg.text = found ? xstrdup(found) : NULL;
    pthread_mutex_lock(&client->lock);
    if (!text_request(client, ask, run_text, err))
        return false;
    *run = client->answer.run;
    return true;
}

bool ps_client_hello(PsClient *client, const HelloFacts *facts, const char *run_text, char **fixed, char **follow,
                     Err *err)
{
    REQUIRE(facts->slot_size > 0);
    Pending *hello = pending_new(client, MSG_HELLO);
    hello->msg.facts = *facts;
    hello->msg.text = xstrdup(run_text);
    *fixed = *follow = NULL;
    pthread_mutex_lock(&client->lock);
    REQUIRE(!client->welcome); /* a second HELLO follows a FOLLOW */
    pending_free(client->hello);
    client->hello = hello;
    client->slot_size = facts->slot_size;
    char *text = NULL;
    const bool ok = text_request(client, hello, &text, err);
    if (ok && client->answer.type == MSG_FOLLOW)
        *follow = text;
    else
        *fixed = text;
    return ok;
}

void ps_client_plan(PsClient *client, uint64_t plan)
{
    pthread_mutex_lock(&client->lock);
    client->plan = plan;
    pthread_mutex_unlock(&client->lock);
}

static void fill_lease(Lease *lease, const Msg *msg)
{
    *lease = (Lease){ .kind = msg->kind, .step = msg->step, .range_count = msg->range_count, .code = msg->code };
    memcpy(lease->range, msg->range, sizeof lease->range);
    if (msg->text)
        snprintf(lease->text, sizeof lease->text, "%s", msg->text);
}

static void append(Pending **list, Pending *pending)
{
    pending_send_soon(pending);
    while (*list)
        list = &(*list)->next;
    *list = pending;
}

/* With the lock held: asks for a lease, and waits for it. */
static bool next_lease(PsClient *client, int64_t have, Err *err)
{
    if (!client->stopped) {
        Pending *pull = pending_new(client, MSG_PULL);
        pull->msg.step = have;
        pull->msg.at = -1;
        ask_for(client, pull);
    }
    return wait_answer(client, true, err);
}

/* With the lock held: values[slot_size] of the version, in pieces. *moved: the server has another one by now, and what
 * came is of no use. */
static bool fetch(PsClient *client, float *values, int64_t step, bool *moved, Err *err)
{
    Pending **last = &client->parts;
    for (int64_t at = 0; at < client->slot_size; at += WIRE_PIECE) {
        Pending *part = pending_new(client, MSG_PULL);
        part->msg.step = step;
        part->msg.at = at;
        append(last, part);
        last = &part->next;
    }
    client->values = values;
    client->moved = false;
    wake(client);
    while (client->parts && !client->moved && !client->stopped && client->failed.kind == ERR_NONE)
        pthread_cond_wait(&client->answered, &client->lock);
    free_list(&client->parts);
    client->values = NULL;
    *moved = client->moved;
    const bool ok = client->failed.kind == ERR_NONE;
    if (!ok && err)
        *err = client->failed;
    return ok;
}

bool ps_client_next(PsClient *client, int64_t have, Lease *lease, float *values, int64_t size, Err *err)
{
    pthread_mutex_lock(&client->lock);
    REQUIRE(client->hello && size == client->slot_size);
    bool ok, moved;
    do {
        moved = false;
        ok = next_lease(client, have, err);
        if (!ok || client->stopped)
            break;
        fill_lease(lease, &client->answer);
        if (client->answer.data) {
            memcpy(values, client->answer.data, client->answer.size);
        } else if (lease->step != have) {
            have = -1; /* what is there will be torn, should it not come to its end */
            ok = fetch(client, values, lease->step, &moved, err);
        }
        msg_release(&client->answer);
    } while (ok && moved);
    if (ok && client->stopped) {
        pending_free(client->request);
        client->request = NULL;
        fill_lease(lease, &client->stop);
    }
    pthread_mutex_unlock(&client->lock);
    return ok;
}

static Pending *pending_of(const PsClient *client, const Push *push)
{
    Pending *pending = pending_new(client, push->eval ? MSG_EVAL : MSG_PUSH);
    Msg *msg = &pending->msg;
    msg->step = push->step;
    msg->range[0] = push->range;
    msg->range_count = 1;
    msg->count = push->count;
    msg->tokens = push->tokens;
    msg->loss = push->loss;
    msg->seconds = push->seconds;
    return pending;
}

/* Of a gradient that is lent: all its pieces, until the server has them. */
static bool push_pieces(PsClient *client, const Push *push, Err *err)
{
    const int64_t size = (int64_t)(push->size / sizeof(float));
    pthread_mutex_lock(&client->lock);
    Pending **last = &client->pushes;
    for (int64_t at = 0; at < size; at += WIRE_PIECE) {
        Pending *piece = pending_of(client, push);
        piece->lent = true;
        piece->msg.at = at;
        piece->msg.data = (float *)(uintptr_t)push->data + at;
        piece->msg.size = (size_t)msg_piece(size, at) * sizeof(float);
        append(last, piece);
        last = &piece->next;
    }
    wake(client);
    while (client->pushes && !client->stopped && client->failed.kind == ERR_NONE)
        pthread_cond_wait(&client->answered, &client->lock);
    if (client->pushes) /* nobody wants them any more */
        free_list(&client->pushes);
    const bool ok = client->failed.kind == ERR_NONE;
    if (!ok && err)
        *err = client->failed;
    pthread_mutex_unlock(&client->lock);
    return ok;
}

static bool push_copy(PsClient *client, const Push *push, Err *err)
{
    void *copy = push->size > 0 ? mem_alloc(push->size, err) : NULL;
    if (push->size > 0 && !copy)
        return false;
    Pending *pending = pending_of(client, push);
    pending->msg.data = copy;
    pending->msg.size = push->size;
    if (copy)
        memcpy(copy, push->data, push->size);
    pthread_mutex_lock(&client->lock);
    const bool ok = client->failed.kind == ERR_NONE;
    if (!ok && err)
        *err = client->failed;
    append(&client->pushes, pending);
    pthread_mutex_unlock(&client->lock);
    wake(client);
    return ok;
}

bool ps_client_push(PsClient *client, const Push *push, Err *err)
{
    const bool pieces = !push->eval && push->size > (size_t)WIRE_PIECE * sizeof(float);
    return (pieces ? push_pieces : push_copy)(client, push, err);
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
