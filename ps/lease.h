/* lease - who computes which pieces of the open round (micro-batches of a step, or chunks of an
 * evaluation), and which are done.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_LEASE_H
#define PS_LEASE_H

#include "common/wire/message.h"
#include "ps/idmap.h"

typedef struct LeasePiece {
    uint64_t owner; /* client; 0: nobody's */
    bool done;
    int64_t before, next; /* of the owner's pieces that are not done; -1: none */
} LeasePiece;

/* A client's pieces that are not done, in the order in which it got them. */
typedef struct LeaseHolder {
    int64_t first, last, count; /* first, last: -1 where there are none */
} LeaseHolder;

/* All that a message asks for or changes costs as much as the pieces that it names, however many there are. */
typedef struct Leases {
    LeasePiece *pieces; /* [n] */
    int64_t n, room;
    int64_t done, free; /* pieces that are done; nobody's and not done */
    int64_t first_free; /* none of those lies before it */
    LeaseHolder *holders; /* [holder_count] of this round */
    int holder_count, holder_room;
    IdMap holder_of; /* client: index of holders */
} Leases;

/* What a client is worth: pieces are dealt in proportion. */
typedef struct LeaseShare {
    uint64_t client;
    double weight; /* > 0 */
} LeaseShare;

/* n pieces, all nobody's; keeps its memory. */
void leases_open(Leases *leases, int64_t n);
void leases_release(Leases *leases);

/* Splits [0, n) contiguously over shares[0, count). */
void leases_deal(Leases *leases, const LeaseShare *shares, int count);

/* Up to `most` of nobody's pieces become the client's. */
void leases_take(Leases *leases, uint64_t client, int64_t most);

/* The client's pieces that are not done become nobody's. */
void leases_drop(Leases *leases, uint64_t client);

void leases_finish(Leases *leases, Range range);

/* Ranges of the client's pieces that are not done; returns how many (0: it has no work). */
int leases_of(const Leases *leases, uint64_t client, Range ranges[WIRE_RANGES]);

bool leases_had(const Leases *leases, uint64_t client); /* any, in this round */
int64_t leases_count(const Leases *leases, uint64_t client); /* of those pieces */

int64_t leases_free_count(const Leases *leases); /* nobody's, not done */
bool leases_is_complete(const Leases *leases);

#endif
