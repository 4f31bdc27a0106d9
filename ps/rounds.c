#include "ps/rounds.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

void rounds_init(Rounds *rounds, const RoundsOptions *options)
{
    rounds->options = *options;
}

static void make(Round *round, const RoundsOptions *o)
{
    *round = (Round){ 0 };
    gather_init(&round->gather, o->M, o->size, o->dtype);
    round->pieces.dtype = o->dtype;
    round->room.most = room_most(o->M, o->size, o->sum_bytes);
}

void rounds_release(Rounds *rounds)
{
    for (int i = 0; i < rounds->made; i++) {
        Round *round = &rounds->items[i];
        leases_release(&round->leases);
        gather_release(&round->gather);
        pieces_release(&round->pieces);
        room_release(&round->room);
    }
    free(rounds->items);
    *rounds = (Rounds){ 0 };
}

Round *rounds_open(Rounds *rounds, int64_t step, int64_t pieces, double now)
{
    if (rounds->count == rounds->room) {
        rounds->room = rounds->room ? 2 * rounds->room : 1;
        rounds->items = xrealloc(rounds->items, (size_t)rounds->room * sizeof *rounds->items);
    }
    Round *round = &rounds->items[rounds->count++];
    if (rounds->count > rounds->made) {
        make(round, &rounds->options);
        rounds->made = rounds->count;
    }
    round->step = step;
    leases_open(&round->leases, pieces);
    room_open(&round->room, now);
    return round;
}

void rounds_close(Rounds *rounds, Round *round)
{
    Round *const last = &rounds->items[--rounds->count];
    gather_clear(&round->gather);
    pieces_clear(&round->pieces);
    const Round closed = *round;
    memmove(round, round + 1, (size_t)(last - round) * sizeof *round);
    *last = closed;
}

Round *rounds_find(const Rounds *rounds, int64_t step)
{
    for (int i = 0; i < rounds->count; i++)
        if (rounds->items[i].step == step)
            return &rounds->items[i];
    return NULL;
}

Round *rounds_of(const Rounds *rounds, uint64_t client)
{
    for (int i = 0; i < rounds->count; i++)
        if (leases_count(&rounds->items[i].leases, client) > 0)
            return &rounds->items[i];
    return NULL;
}

int64_t rounds_count(const Rounds *rounds, uint64_t client)
{
    int64_t count = 0;
    for (int i = 0; i < rounds->count; i++)
        count += leases_count(&rounds->items[i].leases, client);
    return count;
}

void rounds_drop(Rounds *rounds, uint64_t client)
{
    for (int i = 0; i < rounds->count; i++)
        leases_drop(&rounds->items[i].leases, client);
}

void rounds_forget(Rounds *rounds, uint64_t client)
{
    for (int i = 0; i < rounds->count; i++)
        pieces_drop(&rounds->items[i].pieces, client);
}

Round *rounds_complete(const Rounds *rounds)
{
    const int most = rounds->options.mode == PS_ASYNC ? rounds->count : 1;
    for (int i = 0; i < most && i < rounds->count; i++)
        if (gather_root(&rounds->items[i].gather))
            return &rounds->items[i];
    return NULL;
}

int64_t rounds_open_sums(const Rounds *rounds)
{
    int64_t count = 0;
    for (int i = 0; i < rounds->count; i++)
        count += rounds->items[i].gather.open + rounds->items[i].pieces.count;
    return count;
}
