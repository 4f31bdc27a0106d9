#include "worker/ps_client/line.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <unistd.h>

static WireSent send_on(void *self, bool data, const Msg *msg, Err *err)
{
    const PsClient *client = self;
    return wire_send(data ? client->data : client->control, NULL, msg, err);
}

static void take_all(PsClient *client, WireSocket *socket, double now)
{
    Msg msg;
    Err err = { 0 };
    WireReceived received;
    while ((received = wire_receive(socket, &msg, NULL, &err)) != WIRE_NOTHING) {
        if (received == WIRE_MESSAGE)
            client_core_message(client->core, &msg, now);
        else if (err.kind == ERR_REFUSED)
            client_core_fail(client->core, &err);
        else
            log_warn("ps_client", "message dropped: %s", err.what);
        msg_release(&msg);
    }
}

static void count_traffic(PsClient *client)
{
    int64_t out[2], in[2];
    wire_traffic(client->data, &out[0], &in[0]);
    wire_traffic(client->control, &out[1], &in[1]);
    atomic_store(&client->up, out[0] + out[1]);
    atomic_store(&client->down, in[0] + in[1]);
}

/* With the lock held. Returns how long there is nothing to do, in seconds. */
static double take_turn(PsClient *client)
{
    const double now = clock_now();
    const ClientWay way = { client, send_on };
    const int64_t size = client_core_slot_size(client->core), most = size < WIRE_PIECE ? size : WIRE_PIECE;
    Err words = { 0 };
    wire_limit(client->data, (size_t)most * sizeof(float));
    client_core_memory(client->core, atomic_load(&client->rss_bytes));
    take_all(client, client->control, now);
    take_all(client, client->data, now);
    const Door door = wire_door(client->control, &words);
    client_core_tick(client->core, door, &words, now);
    client_core_send(client->core, &way, now);
    count_traffic(client);
    if (!client_core_waits(client->core))
        pthread_cond_broadcast(&client->answered);
    return client_core_sleep(client->core, now);
}

void *line_main(void *arg)
{
    PsClient *client = arg;
    WireSocket *const sockets[] = { client->data, client->control };
    pthread_mutex_lock(&client->lock);
    while (!client->closing) {
        const double wait = take_turn(client);
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
