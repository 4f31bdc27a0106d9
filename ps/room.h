/* room - how many gradients the server holds at a time: sums that wait for their sibling in the tree, and such that come in
 * pieces. The core's, which alone uses it.
 *
 * A step could be offered as many as there are micro-batches. Beyond the limit only the leftmost one that is missing is let
 * in: with it the sums at the left grow together, at most log2 of the micro-batches of them. Whoever is not let in keeps
 * its sums, is told when there is room (NEED), and is not taken for slow. Should the leftmost one not come (its client hangs), the limit rises
 * by one each time that half a lease timeout goes by without any sum, until somebody is free to compute it.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_ROOM_H
#define PS_ROOM_H

#include "ps/gather.h"
#include "ps/pieces.h"

enum { ROOM_PIECES = 4 };

/* A push that was not let in. */
typedef struct RoomWait {
    uint64_t client;
    Range range;
    int64_t at[ROOM_PIECES]; /* its pieces that came */
    int count;
    bool told; /* to come */
    double promised; /* when */
} RoomWait;

/* Zeroed is empty. */
typedef struct Room {
    int64_t most; /* gradients */
    int64_t extra; /* of this round */
    RoomWait *waits; /* [count], owned */
    int count, room;
    double moved; /* when a sum came in, or the limit rose */
} Room;

/* For sums of `size` floats, M a step, in so many bytes: at least those that the tree needs. */
int64_t room_most(int64_t M, int64_t size, int64_t bytes);

void room_open(Room *room, double now); /* a round */
void room_release(Room *room);

/* May this push come in? If not, it waits. */
bool room_has(Room *room, const Gather *gather, const GradientPieces *pieces, const Msg *push);

/* One that waits, and may come now; it is promised to it. False: none. */
bool room_offer(Room *room, const Gather *gather, const GradientPieces *pieces, double now, RoomWait *wait);
void room_note_sum(Room *room, double now);
void room_tick(Room *room, double lease_timeout, double now);

#endif
