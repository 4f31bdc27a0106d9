#include "common/plan/packing.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct PackedRow {
    int64_t length, at; /* tokens; place in `rows` */
    int64_t pack; /* which it went into */
} PackedRow;

static int longest_first(const void *a, const void *b)
{
    const PackedRow *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

static int by_pack(const void *a, const void *b)
{
    const PackedRow *x = a, *y = b;
    if (x->pack != y->pack)
        return x->pack > y->pack ? 1 : -1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Packs by the room that is left in them: a list each, and a bit where there is one. */
typedef struct Rooms {
    int64_t most;
    int64_t *first; /* [most + 1] a pack, -1: none */
    int64_t *next; /* [count] behind a pack, of as much room */
    uint64_t *any; /* [most / 64 + 1] */
} Rooms;

static void put(Rooms *r, int64_t room, int64_t pack)
{
    r->next[pack] = r->first[room];
    r->first[room] = pack;
    r->any[room / 64] |= UINT64_C(1) << (room % 64);
}

/* The least room that holds `length`; -1: there is none. */
static int64_t find(const Rooms *r, int64_t length)
{
    if (length > r->most)
        return -1;
    uint64_t bits = r->any[length / 64] & (~UINT64_C(0) << (length % 64));
    for (int64_t i = length / 64; i <= r->most / 64; bits = i < r->most / 64 ? r->any[i + 1] : 0, i++)
        if (bits)
            return 64 * i + __builtin_ctzll(bits);
    return -1;
}

static int64_t take(Rooms *r, int64_t room)
{
    const int64_t pack = r->first[room];
    r->first[room] = r->next[pack];
    if (r->first[room] < 0)
        r->any[room / 64] &= ~(UINT64_C(1) << (room % 64));
    return pack;
}

static int64_t deal(PackedRow *items, int64_t count, int64_t most)
{
    Rooms r = { .most = most,
                .first = xmalloc((size_t)(most + 1) * sizeof *r.first),
                .next = xmalloc((size_t)count * sizeof *r.next),
                .any = xcalloc((size_t)most / 64 + 1, sizeof *r.any) };
    memset(r.first, 0xFF, (size_t)(most + 1) * sizeof *r.first);
    int64_t packs = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t room = find(&r, items[i].length);
        items[i].pack = room < 0 ? packs++ : take(&r, room);
        const int64_t left = (room < 0 ? most : room) - items[i].length;
        if (left >= 0)
            put(&r, left, items[i].pack);
    }
    free(r.first);
    free(r.next);
    free(r.any);
    return packs;
}

int64_t packing_group(uint32_t *rows, int64_t count, const int64_t *start, int64_t most, int64_t **ends)
{
    PackedRow *items = xmalloc((size_t)count * sizeof *items);
    uint32_t *before = xmalloc((size_t)count * sizeof *before);
    for (int64_t i = 0; i < count; i++)
        items[i] = (PackedRow){ .length = start[rows[i] + 1] - start[rows[i]], .at = i };
    qsort(items, (size_t)count, sizeof *items, longest_first);
    const int64_t packs = deal(items, count, most);
    qsort(items, (size_t)count, sizeof *items, by_pack);
    memcpy(before, rows, (size_t)count * sizeof *before);
    *ends = xmalloc((size_t)packs * sizeof **ends);
    for (int64_t i = 0; i < count; i++) {
        rows[i] = before[items[i].at];
        (*ends)[items[i].pack] = i + 1;
    }
    free(before);
    free(items);
    return packs;
}
