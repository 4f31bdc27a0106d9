#include "launch/ask_status.h"

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/wire/socket.h"

#include <stdint.h>
#include <stdlib.h>

static const double patience = 5,
                    order_patience = 60; /* seconds that the server has to answer; a checkpoint takes time */

static bool secure(WireContext *context, const char *from, Err *err)
{
    WireKeys keys;
    char *line = keys_line(from, err);
    const bool ok = err->kind == ERR_NONE &&
                    (!line || (keys_read_client(&keys, line, err) && wire_secure(context, &keys, NULL, err)));
    free(line);
    return ok;
}

char *ask_status(const char *address, const char *keys, const char *order, Err *err)
{
    WireSocket *data = NULL, *control = NULL;
    char *text = NULL;
    WireContext *context = wire_context_open(err);
    if (!context || !secure(context, keys, err) || !wire_connect_pair(context, address, &data, &control, err))
        goto done;
    Msg ask = { .type = MSG_STATUS, .client = rng_entropy() };
    double wait = patience, until = clock_now() + wait;
    WireSent sent = WIRE_LATER;
    while (!text && err->kind == ERR_NONE && clock_now() < until) {
        if (sent == WIRE_LATER)
            sent = wire_send(control, NULL, &ask, err);
        wire_wait(&control, 1, -1, 0.1);
        Err door = { 0 };
        if (wire_door(control, &door) == DOOR_SHUT)
            *err = door;
        Msg msg;
        Err bad = { 0 };
        const WireReceived received = wire_receive(control, &msg, NULL, &bad);
        if (received == WIRE_MALFORMED) {
            *err = bad;
        } else if (received == WIRE_MESSAGE && msg.type == MSG_REFUSE) {
            err_set(err, ERR_REFUSED, "%s", msg.text ? msg.text : "refused");
        } else if (received == WIRE_MESSAGE && msg.type == MSG_STATUS && msg.text && order && !ask.text) {
            ask.text = (char *)(uintptr_t)order; /* it is there, and lets us in */
            sent = WIRE_LATER;
            wait = order_patience;
            until = clock_now() + wait;
        } else if (received == WIRE_MESSAGE && msg.type == MSG_STATUS && msg.text) {
            text = msg.text;
            msg.text = NULL;
        }
        msg_release(&msg);
    }
    if (!text && err->kind == ERR_NONE)
        err_set(err, ERR_PEER, "no parameter server answers within %.0f s", wait);
    if (!text)
        err_at(err, "%s", address);
done:
    wire_close(data);
    wire_close(control);
    wire_context_close(context);
    return text;
}
