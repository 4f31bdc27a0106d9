#include "ps/room.h"

#include "common/base/log.h"

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
    room->refused = false;
    room->moved = now;
}

bool room_has(Room *room, const Gather *gather, const GradientPieces *pieces, const Msg *push)
{
    if (pieces_is_begun(pieces, push) || push->range[0].begin <= gather_first_missing(gather) ||
        gather->open + pieces->count < room->most + room->extra)
        return true;
    room->refused = true;
    return false;
}

void room_note_sum(Room *room, double now)
{
    room->refused = false;
    room->moved = now;
}

void room_tick(Room *room, double lease_timeout, double now)
{
    if (!room->refused || now - room->moved < lease_timeout / 2)
        return;
    room->extra++;
    room->moved = now;
    log_warn("server", "the next sum of the tree does not come, another one is let in before it");
}
