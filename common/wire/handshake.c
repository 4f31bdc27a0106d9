#include "common/wire/handshake.h"

#include "common/base/mem.h"
#include "common/wire/keys.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

struct Handshake {
    void *socket, *events; /* ZeroMQ's: watched, lent; where its monitor tells us, owned */
    bool keys;
    int kind; /* of the last event; 0: none */
    uint32_t value;
};

Handshake *handshake_open(void *zmq_context, void *watched, bool keys, Err *err)
{
    Handshake *handshake = xcalloc(1, sizeof *handshake);
    const int none = 0, all = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                              ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    char *address = xprintf("inproc://handshake-%p", watched);
    handshake->socket = watched;
    handshake->keys = keys;
    handshake->events = zmq_socket_monitor(watched, address, all) == 0 ? zmq_socket(zmq_context, ZMQ_PAIR) : NULL;
    const bool ok = handshake->events && zmq_setsockopt(handshake->events, ZMQ_LINGER, &none, sizeof none) == 0 &&
                    zmq_setsockopt(handshake->events, ZMQ_RCVHWM, &none, sizeof none) == 0 &&
                    zmq_connect(handshake->events, address) == 0;
    free(address);
    if (ok)
        return handshake;
    err_set(err, ERR_IO, "cannot watch a ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    handshake_close(handshake);
    return NULL;
}

void handshake_close(Handshake *handshake)
{
    if (!handshake)
        return;
    zmq_socket_monitor(handshake->socket, NULL, 0);
    if (handshake->events)
        zmq_close(handshake->events);
    free(handshake);
}

/* An event: a frame of u16 kind and u32 value, and one with the endpoint. */
static void read_events(Handshake *handshake)
{
    char frame[6], rest[256];
    while (zmq_recv(handshake->events, frame, sizeof frame, ZMQ_DONTWAIT) == (int)sizeof frame) {
        uint16_t kind;
        memcpy(&kind, frame, sizeof kind);
        memcpy(&handshake->value, frame + sizeof kind, sizeof handshake->value);
        handshake->kind = kind;
        zmq_recv(handshake->events, rest, sizeof rest, ZMQ_DONTWAIT);
    }
}

Door handshake_door(Handshake *handshake, Err *err)
{
    read_events(handshake);
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
            err_hint(err,
                     "--ps.keys=FOLDER or " KEYS_VARIABLE "=FOLDER: the server's folder of keys, or a NAME.key of it");
        }
        return DOOR_SHUT;
    default:
        break;
    }
    if (handshake->kind == 0 || handshake->kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        return DOOR_OPEN;
    err_set(err, ERR_PEER, "the server ends the handshake%s",
            handshake->keys ? ": it may have another key than this client's file says" : "");
    return DOOR_DOUBTFUL;
}
