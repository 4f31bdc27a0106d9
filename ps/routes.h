/* routes - where each client can be reached, whether the core knows it or not. The server's, which alone uses it.
 *
 * Owner: the server. Threads: one. */
#ifndef PS_ROUTES_H
#define PS_ROUTES_H

#include "common/base/shared_memory.h"
#include "common/wire/socket.h"
#include "ps/idmap.h"

enum { ROUTES_MOST = 16384 };

typedef struct Route {
    uint64_t client;
    WireId data, control; /* size 0: never heard there */
    double seen;
    int64_t eval_width, rss_bytes;
    Foreseen foreseen;
    bool member; /* was welcomed and did not say BYE */
    bool here; /* on this machine, as its HELLO says */
    bool in_place; /* it reads the values where they are, as its last PULL says */
    SharedMemory sums; /* for its gradients; owned (ps/places.h) */
    int64_t given; /* version of the values that its last lease was for, where it reads them in place */
} Route;

/* Zeroed is empty. */
typedef struct Routes {
    Route *items; /* [count], owned */
    int count, room;
    IdMap places; /* client: index of items */
} Routes;

Route *routes_find(const Routes *routes, uint64_t client); /* NULL: not there; lent until one comes or goes */

/* This message's client was heard. NULL: there is no room, and all are members: else the one that was silent longest and is
 * none makes room, as whoever has more clients than anybody has makes them up. */
Route *routes_note(Routes *routes, const Msg *msg, const WireId *from, bool data, double now);

void routes_forget(Routes *routes, double now); /* who was silent for ten minutes */
void routes_release(Routes *routes);

#endif
