#include "ps/room.h"

#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdlib.h>

static const double promise = 2; /* seconds that a place is kept for somebody */

int64_t room_most(int64_t M, int64_t size, int64_t bytes)
{
    int64_t least = 2; /* of the tree: one a level, and one that comes */
    for (int64_t width = 1; width < M; width *= 2)
        least++;
    const int64_t fit = bytes / (size * (int64_t)sizeof(float));
    return fit > least ? fit : least;
}

void room_open(Room *room, double now)
{
    room->extra = 0;
    room->count = 0;
    room->moved = now;
}

void room_release(Room *room)
{
    free(room->waits);
    *room = (Room){ 0 };
}

static RoomWait *find(const Room *room, const Msg *push)
{
    for (int i = 0; i < room->count; i++) {
        RoomWait *wait = &room->waits[i];
        if (wait->client == push->client && wait->range.begin == push->range[0].begin &&
            wait->range.end == push->range[0].end)
            return wait;
    }
    return NULL;
}

static void let_wait(Room *room, const Msg *push)
{
    RoomWait *wait = find(room, push);
    if (!wait) {
        if (room->count == room->room) {
            room->room = room->room ? 2 * room->room : 8;
            room->waits = xrealloc(room->waits, (size_t)room->room * sizeof *room->waits);
        }
        wait = &room->waits[room->count++];
        *wait = (RoomWait){ .client = push->client, .range = push->range[0] };
    }
    for (int i = 0; i < wait->count; i++)
        if (wait->at[i] == push->at)
            return;
    if (wait->count < ROOM_PIECES)
        wait->at[wait->count++] = push->at;
}

static bool is_promised(const RoomWait *wait, double now)
{
    return wait->told && now - wait->promised < promise;
}

/* Places that are taken, or kept for somebody. */
static int64_t taken(const Room *room, const Gather *gather, const GradientPieces *pieces, double now)
{
    int64_t count = gather->open + pieces->count;
    for (int i = 0; i < room->count; i++)
        count += is_promised(&room->waits[i], now);
    return count;
}

bool room_has(Room *room, const Gather *gather, const GradientPieces *pieces, const Msg *push)
{
    RoomWait *wait = find(room, push);
    if (pieces_is_begun(pieces, push) || push->range[0].begin <= gather_first_missing(gather) ||
        gather->open + pieces->count < room->most + room->extra) {
        if (wait && !push->again)
            *wait = room->waits[--room->count];
        return true;
    }
    let_wait(room, push);
    return false;
}

bool room_offer(Room *room, const Gather *gather, const GradientPieces *pieces, double now, RoomWait *wait)
{
    RoomWait *first = NULL;
    for (int i = 0; i < room->count; i++) {
        RoomWait *one = &room->waits[i];
        if (!is_promised(one, now) && (!first || one->range.begin < first->range.begin))
            first = one;
    }
    if (!first || (first->range.begin > gather_first_missing(gather) &&
                   taken(room, gather, pieces, now) >= room->most + room->extra))
        return false;
    first->told = true;
    first->promised = now;
    *wait = *first;
    return true;
}

void room_note_sum(Room *room, double now)
{
    room->moved = now;
}

void room_tick(Room *room, double lease_timeout, double now)
{
    if (room->count == 0 || now - room->moved < lease_timeout / 2)
        return;
    room->extra++;
    room->moved = now;
    log_warn("server", "the next sum of the tree does not come, another one is let in before it");
}
