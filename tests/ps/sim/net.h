/* net - the simulation's time and lines: events in the order of a made-up clock, and messages that are delayed, lost,
 * doubled, reordered, or wait for a cable, as a seed says.
 *
 * Each node has two lines to the server, data and control, of two directions each. A line keeps its order unless the
 * network is `wild`; what is on its way when a connection breaks is lost.
 *
 * Threads: one a Net. */
#ifndef TESTS_PS_SIM_NET_H
#define TESTS_PS_SIM_NET_H

#include "common/wire/message.h"

enum { NET_NODES = 6, NET_LINES = 4 };
typedef enum { LINE_DATA_UP, LINE_CONTROL_UP, LINE_DATA_DOWN, LINE_CONTROL_DOWN } NetLine;

typedef struct NetEvent {
    double at;
    uint64_t order; /* of events at the same time */
    int kind; /* the caller's; NET_MESSAGE: a message arrives */
    int node;
    NetLine line;
    uint32_t connection;
    int64_t number; /* the caller's */
    Msg *msg; /* owned */
} NetEvent;

enum { NET_MESSAGE = 0 };

typedef struct NetWeather {
    bool wild; /* messages are lost, doubled and overtake each other one by one */
    double delay, bytes_second; /* 0: no limit */
} NetWeather;

typedef struct Net {
    uint64_t random; /* state */
    double now;
    NetWeather weather;
    NetEvent *heap;
    int count, room;
    uint64_t order;
    double busy_until[NET_NODES][NET_LINES]; /* the last message has left */
    double arrives_last[NET_NODES][NET_LINES];
    double cut_until[NET_NODES]; /* the cable is out */
    uint32_t connection[NET_NODES]; /* number of the present one */
    int64_t payload; /* bytes of tensors sent */
} Net;

void net_init(Net *net, uint64_t seed);
void net_release(Net *net);

uint32_t net_draw(Net *net, uint32_t n); /* 0 .. n-1 */
double net_real(Net *net, double most); /* 0 .. most */

void net_after(Net *net, double seconds, int kind, int node, int64_t number);
void net_send(Net *net, int node, NetLine line, const Msg *msg); /* copies it */
void net_again(Net *net, NetEvent *event, double at); /* comes then; takes its message */
void net_break(Net *net, int node); /* its connections */

/* The next event, time goes on to it; a message's is given away. False: none. */
bool net_next(Net *net, NetEvent *event);

#endif
