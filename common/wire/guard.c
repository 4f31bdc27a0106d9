#include "common/wire/guard.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/base/mem.h"
#include "common/wire/monitor.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <zmq.h>

/* linux/tcp.h has the newer tcp_info, and cannot stand beside netinet/tcp.h. */
#include <linux/tcp.h>

static const double pause = 0.02, pause_many = 0.1; /* seconds between looks */

enum {
    MANY = 256,
    SLACK = 128 << 10, /* ZeroMQ's read buffer, greetings, frame heads */
    QUEUED = 10, /* messages that ZeroMQ may hold of a peer: its high-water mark and more */
    QUEUED_SLACK = 1 << 20, /* and of what it reads ahead */
    MOST_DESCRIPTORS = 16384, /* that the process asks for */
    RESERVED = 64 /* descriptors that are not connections */
};

typedef struct Connection {
    int64_t delivered; /* bytes, with their framing */
    int64_t before; /* delivered at the last look */
    double since;
    int faults; /* messages that were none */
    bool open, suspect;
    uint8_t size; /* of the name; 0: none yet */
    uint8_t name[GUARD_NAME];
} Connection;

typedef struct Gone {
    uint8_t size, name[GUARD_NAME];
} Gone;

struct Guard {
    void *socket, *events; /* ZeroMQ's: watched, lent; its monitor, owned */
    Connection *at; /* [room], by descriptor; owned */
    int room, count, most_count;
    double next, told; /* when to look again, when a cut was last said */
    long long cuts; /* since then */
    Gone *gone; /* [gone_count], owned: not asked for yet */
    int gone_count;
    bool empty; /* since the last look */
};

/* How many connections there may be. */
static int make_room(void)
{
    const int64_t all = machine_files(MOST_DESCRIPTORS);
    return all > 2 * RESERVED ? (int)(all - RESERVED) / 2 : RESERVED / 2; /* there are two sockets */
}

Guard *guard_open(void *zmq_context, void *watched, Err *err)
{
    void *events = monitor_open(zmq_context, watched, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED, err);
    if (!events)
        return NULL;
    Guard *guard = xcalloc(1, sizeof *guard);
    *guard = (Guard){ .socket = watched, .events = events, .most_count = make_room() };
    return guard;
}

void guard_close(Guard *guard)
{
    if (!guard)
        return;
    monitor_close(guard->socket, guard->events);
    free(guard->at);
    free(guard->gone);
    free(guard);
}

static Connection *connection(Guard *guard, int fd)
{
    return fd >= 0 && fd < guard->room && guard->at[fd].open ? &guard->at[fd] : NULL;
}

void guard_count(Guard *guard, int fd, size_t size)
{
    Connection *c = connection(guard, fd);
    if (c)
        c->delivered += (int64_t)size + (size < 256 ? 2 : 9);
}

void guard_empty(Guard *guard)
{
    guard->empty = true;
}

/* Of more than MANY that nobody asked for the rest is forgotten: their silence tells, too. */
static void note_gone(Guard *guard, const Connection *c)
{
    if (c->size == 0 || guard->gone_count == MANY)
        return;
    guard->gone = xrealloc(guard->gone, (size_t)(guard->gone_count + 1) * sizeof *guard->gone);
    Gone *gone = &guard->gone[guard->gone_count++];
    gone->size = c->size;
    memcpy(gone->name, c->name, c->size);
}

bool guard_gone(Guard *guard, void *name, size_t *size)
{
    if (guard->gone_count == 0)
        return false;
    const Gone *gone = &guard->gone[--guard->gone_count];
    *size = gone->size;
    memcpy(name, gone->name, gone->size);
    return true;
}

/* ZeroMQ's thread closes the descriptor when it sees the end. Said once a second. */
static void cut(Guard *guard, int fd, const char *why)
{
    const double now = clock_now();
    guard->cuts++;
    if (now - guard->told > 1) {
        log_warn("wire", "cut connections=%lld last: %s", guard->cuts, why);
        guard->told = now;
        guard->cuts = 0;
    }
    shutdown(fd, SHUT_RDWR);
    note_gone(guard, &guard->at[fd]);
    guard->at[fd].open = false;
    guard->count--;
}

void guard_cut(Guard *guard, int fd, const char *why)
{
    if (connection(guard, fd))
        cut(guard, fd, why);
}

void guard_fault(Guard *guard, int fd)
{
    Connection *c = guard ? connection(guard, fd) : NULL;
    if (c && ++c->faults > GUARD_FAULTS)
        cut(guard, fd, "too many of its messages were none of this protocol");
}

static void cut_silent(Guard *guard, int newest)
{
    int oldest = newest;
    for (int fd = 0; fd < guard->room; fd++) {
        const Connection *c = &guard->at[fd];
        if (c->open && c->delivered == 0 && c->since < guard->at[oldest].since)
            oldest = fd;
    }
    cut(guard, oldest, "there were too many, and it had said nothing");
}

static void accepted(Guard *guard, int fd, double now)
{
    if (fd < 0 || fd > 1 << 20)
        return;
    if (fd >= guard->room) {
        const int room = 2 * fd + 16;
        guard->at = xrealloc(guard->at, (size_t)room * sizeof *guard->at);
        memset(guard->at + guard->room, 0, (size_t)(room - guard->room) * sizeof *guard->at);
        guard->room = room;
    }
    guard->count += !guard->at[fd].open;
    guard->at[fd] = (Connection){ .open = true, .since = now };
    if (guard->count > guard->most_count)
        cut_silent(guard, fd);
}

static void gone(Guard *guard, int fd)
{
    Connection *c = connection(guard, fd);
    if (!c)
        return;
    note_gone(guard, c);
    c->open = false;
    guard->count--;
}

static void read_events(Guard *guard)
{
    const double now = clock_now();
    int event;
    uint32_t fd;
    while (monitor_next(guard->events, &event, &fd))
        if (event == ZMQ_EVENT_ACCEPTED)
            accepted(guard, (int)fd, now);
        else
            gone(guard, (int)fd);
}

void guard_name(Guard *guard, int fd, const void *name, size_t size)
{
    if (!connection(guard, fd))
        read_events(guard); /* its message may be here before we have looked at who came */
    Connection *c = connection(guard, fd);
    if (!c || c->size > 0)
        return;
    c->size = (uint8_t)size;
    memcpy(c->name, name, size);
}

/* Bytes that ZeroMQ has read from the connection so far; -1: cannot be known. */
static int64_t bytes_read(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    int waiting = 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
        size < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received ||
        ioctl(fd, FIONREAD, &waiting) != 0)
        return -1;
    return (int64_t)info.tcpi_bytes_received - waiting;
}

/* What is read of an unfinished message, and of whole ones that are still to come out: the latter
 * come out between two looks when we empty the socket, and are few when we do not. */
static bool is_endless(Guard *guard, int fd, int64_t most)
{
    Connection *c = &guard->at[fd];
    const int64_t owed = bytes_read(fd) - c->delivered;
    const bool suspect = guard->empty && owed > most + SLACK;
    const bool endless = suspect && c->suspect && c->delivered == c->before;
    c->suspect = suspect;
    c->before = c->delivered;
    return endless || owed > QUEUED * most + QUEUED_SLACK;
}

void guard_look(Guard *guard, size_t most)
{
    const double now = clock_now();
    if (now < guard->next)
        return;
    read_events(guard);
    for (int fd = 0; fd < guard->room; fd++)
        if (guard->at[fd].open && is_endless(guard, fd, (int64_t)most))
            cut(guard, fd, "it sent a message without an end");
    guard->next = now + (guard->count < MANY ? pause : pause_many);
    guard->empty = false;
}
