#include "common/wire/monitor.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

void *monitor_open(void *zmq_context, void *watched, int events, Err *err)
{
    const int none = 0;
    char *address = xprintf("inproc://monitor-%p", watched);
    void *monitor = zmq_socket_monitor(watched, address, events) == 0 ? zmq_socket(zmq_context, ZMQ_PAIR) : NULL;
    /* without a limit: a full queue of events would stop ZeroMQ's own thread */
    const bool ok = monitor && zmq_setsockopt(monitor, ZMQ_RCVHWM, &none, sizeof none) == 0 &&
                    zmq_setsockopt(monitor, ZMQ_LINGER, &none, sizeof none) == 0 && zmq_connect(monitor, address) == 0;
    free(address);
    if (ok)
        return monitor;
    err_set(err, ERR_IO, "cannot watch a ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    monitor_close(watched, monitor);
    return NULL;
}

void monitor_close(void *watched, void *monitor)
{
    zmq_socket_monitor(watched, NULL, 0);
    if (monitor)
        zmq_close(monitor);
}

/* A frame of u16 kind and u32 value, and one with the endpoint. */
bool monitor_next(void *monitor, int *event, uint32_t *value)
{
    char frame[6], rest[256];
    uint16_t kind;
    if (zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT) != (int)sizeof frame)
        return false;
    memcpy(&kind, frame, sizeof kind);
    memcpy(value, frame + sizeof kind, sizeof *value);
    zmq_recv(monitor, rest, sizeof rest, ZMQ_DONTWAIT);
    *event = kind;
    return true;
}
