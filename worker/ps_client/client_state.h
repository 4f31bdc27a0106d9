/* client_state - what client_core.c and client_take.c hold of a client, between them. Only this folder includes it.
 *
 * Owner: the ClientCore. Threads: one at a time. */
#ifndef WORKER_PS_CLIENT_CLIENT_STATE_H
#define WORKER_PS_CLIENT_CLIENT_STATE_H

#include "worker/ps_client/client_core.h"
#include "worker/ps_client/pending.h"
#include "worker/ps_client/silence.h"

typedef enum { WISH_NONE, WISH_TEXT, WISH_NEXT, WISH_PUSH, WISH_BYE } ClientWish;

struct ClientCore {
    ClientCoreOptions options;
    ClientWish wish;
    Pending *pushes; /* unacknowledged, oldest first */
    Pending *parts; /* PULLs of pieces of the values, unanswered, oldest first */
    float *values; /* [slot_size] WISH_NEXT: where they go, lent */
    int64_t turn; /* of the last PULL for a lease */
    Pending *request; /* the one ASK, HELLO, PULL or BYE; NULL when it is answered */
    Msg answer; /* to the last request */
    Msg stop; /* a LEASE_STOP: the last word, whenever it comes */
    bool stopped;
    Pending *hello; /* kept to say it again; owned */
    bool welcome; /* the server knew us once */
    bool known; /* and does so now, as far as we know */
    uint64_t run, plan; /* 0: not known yet */
    WireDtype dtype; /* of gradients on the wire */
    uint16_t *packed; /* [WIRE_PIECE] bf16: one of them, as it is sent; owned */
    float *left; /* [slot_size] int8: what rounding has taken away so far (sums.h); owned */
    bool bits; /* ps.mode: sync: a version's values are the same, whichever server has made them */
    bool doubt; /* the server was started again: the values held may be none of its versions */
    int64_t slot_size, rss_bytes;
    MemoryOffer offer; /* the server's newest; sums_key 0: none */
    uint64_t taken; /* sums_key of the one that our ranks have; 0: none */
    uint64_t leased; /* values_key of the memory that the last lease's values lie in; 0: in ours */
    Foreseen foreseen;
    Silence silence; /* the server's */
    double next_beat;
    Err failed;
};

bool client_requested(const ClientCore *core, MsgType type); /* the one request is such a message */
void client_drop_request(ClientCore *core);
Pending *client_pending(const ClientCore *core, MsgType type); /* a new one */
bool client_is_in_place(const ClientCore *core); /* work lies in the server's memory */
void client_pull(ClientCore *core, int64_t have, double now); /* asks for a lease */
void client_put_off(Pending *first, double now); /* something of a list was answered: the others are waited for anew */

#endif
