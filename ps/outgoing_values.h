/* outgoing_values - pieces of the newest values as they are sent, one copy for all clients.
 *
 * Of a version that is over nothing is kept here; what is still on its way to somebody goes with the last message that
 * carries it. Of the newest one, OUTGOING_PIECES pieces at the most.
 *
 * Owner: the server. Threads: one. */
#ifndef PS_OUTGOING_VALUES_H
#define PS_OUTGOING_VALUES_H

#include "common/wire/socket.h"

enum { OUTGOING_PIECES = 64 };

typedef struct OutgoingPiece {
    int64_t at;
    WireBytes *bytes; /* owned */
} OutgoingPiece;

/* Zeroed is empty. */
typedef struct OutgoingValues {
    int64_t version;
    OutgoingPiece pieces[OUTGOING_PIECES];
    int count, oldest;
} OutgoingValues;

/* The data of this LEASE or VALUES; lent until the next call. */
const WireBytes *outgoing_values_of(OutgoingValues *values, const Msg *msg);
void outgoing_values_release(OutgoingValues *values);

#endif
