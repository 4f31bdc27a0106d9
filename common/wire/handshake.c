#include "common/wire/handshake.h"

#include "common/base/mem.h"
#include "common/wire/keys.h"
#include "common/wire/monitor.h"

#include <stdlib.h>
#include <zmq.h>

struct Handshake {
    void *socket, *events; /* ZeroMQ's: watched, lent; its monitor, owned */
    bool keys;
    int kind; /* of the last event that told something; 0: none */
    uint32_t value;
    int ended; /* tries, one after the other, that were closed without a word */
};

/* A server that wants a key may hang up before its greeting is read: so often in a row no server dies. */
enum { MOST_ENDED = 3 };

static const char key_hint[] =
    "--ps.keys=FOLDER or " KEYS_VARIABLE "=FOLDER: the server's folder of keys, or a NAME.key of it";

Handshake *handshake_open(void *zmq_context, void *watched, bool keys, Err *err)
{
    const int all = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                    ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    void *events = monitor_open(zmq_context, watched, all, err);
    if (!events)
        return NULL;
    Handshake *handshake = xcalloc(1, sizeof *handshake);
    *handshake = (Handshake){ .socket = watched, .events = events, .keys = keys };
    return handshake;
}

void handshake_close(Handshake *handshake)
{
    if (!handshake)
        return;
    monitor_close(handshake->socket, handshake->events);
    free(handshake);
}

/* A server's word stays, though later tries end without one: it may hang up before we have read it. */
static void note(Handshake *handshake, int kind, uint32_t value)
{
    const bool told = kind != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    handshake->ended = told ? 0 : handshake->ended + 1;
    if (told || handshake->kind == 0 || handshake->kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        handshake->kind = kind;
        handshake->value = value;
    }
}

Door handshake_door(Handshake *handshake, Err *err)
{
    uint32_t value;
    int kind;
    while (monitor_next(handshake->events, &kind, &value))
        note(handshake, kind, value);
    switch (handshake->kind) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        err_set(err, ERR_REFUSED, "the server does not allow the key of this client");
        err_hint(err,
                 "`lora keys show FOLDER` lists the clients that it allows, `lora keys new FOLDER NAME` makes one");
        return DOOR_SHUT;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        if (handshake->value != ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
            break;
        if (handshake->keys) {
            err_set(err, ERR_REFUSED, "the server there has no keys, and this client has (ps.keys)");
            err_hint(err, "start the server with ps.keys; without keys anybody could be that server");
        } else {
            err_set(err, ERR_REFUSED, "the server lets in nobody without a key");
            err_hint(err, "%s", key_hint);
        }
        return DOOR_SHUT;
    default:
        break;
    }
    if (!handshake->keys && handshake->ended >= MOST_ENDED) {
        err_set(err, ERR_REFUSED, "the server ends each handshake: it may let in nobody without a key");
        err_hint(err, "%s", key_hint);
        return DOOR_SHUT;
    }
    if (handshake->kind == 0 || handshake->kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        return DOOR_OPEN;
    err_set(err, ERR_PEER, "the server ends the handshake%s",
            handshake->keys ? ": it may have another key than this client's file says, or none" : "");
    return DOOR_DOUBTFUL;
}
