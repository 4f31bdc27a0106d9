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

static void client_release(PsClient *client)
{
    wire_close(client->data);
    wire_close(client->control);
    wire_context_close(client->context);
    if (client->wake >= 0)
        close(client->wake);
    client_core_free(client->core);
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
    client->address = xstrdup(options->address);
    client->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const ClientCoreOptions core = { .client = rng_entropy() | 1, /* never 0 */
                                     .run = options->run,
                                     .address = client->address,
                                     .heartbeat = options->heartbeat,
                                     .patience = options->patience };
    client->core = client_core_new(&core, clock_now());
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

void ps_client_close(PsClient *client)
{
    if (!client)
        return;
    pthread_mutex_lock(&client->lock);
    if (client_core_may_leave(client->core)) {
        client_core_bye(client->core, clock_now());
        wake(client);
        const struct timespec until = deadline(bye_patience);
        while (client_core_waits(client->core) && pthread_cond_timedwait(&client->answered, &client->lock, &until) == 0)
            continue;
    }
    client->closing = true;
    pthread_mutex_unlock(&client->lock);
    wake(client);
    pthread_join(client->line, NULL);
    client_release(client);
}

/* With the lock held: until the wish that the core was told of is over. */
static void wait_for_it(PsClient *client)
{
    wake(client);
    while (client_core_waits(client->core))
        pthread_cond_wait(&client->answered, &client->lock);
}

bool ps_client_ask(PsClient *client, const char *found, char **run_text, uint64_t *run, Err *err)
{
    Msg answer = { 0 };
    pthread_mutex_lock(&client->lock);
    client_core_ask(client->core, found, clock_now());
    wait_for_it(client);
    const bool ok = client_core_answer(client->core, &answer, err);
    pthread_mutex_unlock(&client->lock);
    if (!ok)
        return false;
    *run_text = answer.text ? answer.text : xstrdup("");
    *run = answer.run;
    return true;
}

bool ps_client_hello(PsClient *client, const HelloFacts *facts, const char *run_text, char **fixed, char **follow,
                     Err *err)
{
    Msg answer = { 0 };
    *fixed = *follow = NULL;
    pthread_mutex_lock(&client->lock);
    client_core_hello(client->core, facts, run_text, clock_now());
    wait_for_it(client);
    const bool ok = client_core_answer(client->core, &answer, err);
    pthread_mutex_unlock(&client->lock);
    if (ok)
        *(answer.type == MSG_FOLLOW ? follow : fixed) = answer.text ? answer.text : xstrdup("");
    return ok;
}

void ps_client_plan(PsClient *client, uint64_t plan, const PsConfig *ps)
{
    pthread_mutex_lock(&client->lock);
    client_core_plan(client->core, plan, ps);
    pthread_mutex_unlock(&client->lock);
}

bool ps_client_next(PsClient *client, int64_t have, Lease *lease, float *values, int64_t size, Err *err)
{
    pthread_mutex_lock(&client->lock);
    REQUIRE(size == client_core_slot_size(client->core));
    client_core_next(client->core, have, values, clock_now());
    wait_for_it(client);
    const bool ok = client_core_lease(client->core, lease, err);
    pthread_mutex_unlock(&client->lock);
    return ok;
}

bool ps_client_push(PsClient *client, const Push *push, Err *err)
{
    pthread_mutex_lock(&client->lock);
    bool ok = client_core_push(client->core, push, err);
    wait_for_it(client); /* a large gradient is lent */
    if (ok)
        ok = client_core_pushed(client->core, err);
    pthread_mutex_unlock(&client->lock);
    return ok;
}

MemoryOffer ps_client_offer(PsClient *client)
{
    pthread_mutex_lock(&client->lock);
    const MemoryOffer offer = *client_core_offer(client->core);
    pthread_mutex_unlock(&client->lock);
    return offer;
}

void ps_client_takes(PsClient *client, uint64_t sums_key)
{
    pthread_mutex_lock(&client->lock);
    client_core_takes(client->core, sums_key);
    pthread_mutex_unlock(&client->lock);
}

void ps_client_memory(PsClient *client, int64_t bytes)
{
    atomic_store(&client->rss_bytes, bytes);
}

void ps_client_foresee(PsClient *client, const Foreseen *foreseen)
{
    pthread_mutex_lock(&client->lock);
    client_core_foresee(client->core, foreseen);
    pthread_mutex_unlock(&client->lock);
    wake(client);
}

void ps_client_traffic(const PsClient *client, int64_t *up, int64_t *down)
{
    *up = atomic_load(&client->up);
    *down = atomic_load(&client->down);
}
