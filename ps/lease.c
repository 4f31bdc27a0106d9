#include "ps/lease.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>

/* ---- whose a piece is ------------------------------------------------------------------------ */

static LeaseHolder *holder_find(const Leases *leases, uint64_t client)
{
    const int at = idmap_find(&leases->holder_of, client);
    return at < 0 ? NULL : &leases->holders[at];
}

static LeaseHolder *holder_of(Leases *leases, uint64_t client)
{
    LeaseHolder *holder = holder_find(leases, client);
    if (holder)
        return holder;
    if (leases->holder_count == leases->holder_room) {
        leases->holder_room = leases->holder_room ? 2 * leases->holder_room : 16;
        leases->holders = xrealloc(leases->holders, (size_t)leases->holder_room * sizeof *leases->holders);
    }
    idmap_put(&leases->holder_of, client, leases->holder_count);
    holder = &leases->holders[leases->holder_count++];
    *holder = (LeaseHolder){ -1, -1, 0 };
    return holder;
}

static void give(Leases *leases, int64_t i, uint64_t client)
{
    LeaseHolder *holder = holder_of(leases, client);
    LeasePiece *piece = &leases->pieces[i];
    piece->owner = client;
    piece->before = holder->last;
    piece->next = -1;
    if (holder->last >= 0)
        leases->pieces[holder->last].next = i;
    else
        holder->first = i;
    holder->last = i;
    holder->count++;
    leases->free--;
}

/* Out of its owner's list. */
static void take_out(Leases *leases, LeasePiece *piece)
{
    LeaseHolder *holder = holder_find(leases, piece->owner);
    *(piece->before >= 0 ? &leases->pieces[piece->before].next : &holder->first) = piece->next;
    *(piece->next >= 0 ? &leases->pieces[piece->next].before : &holder->last) = piece->before;
    holder->count--;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

void leases_open(Leases *leases, int64_t n)
{
    if (n > leases->room) {
        leases->pieces = xrealloc(leases->pieces, (size_t)n * sizeof *leases->pieces);
        leases->room = n;
    }
    leases->n = leases->free = n;
    leases->done = leases->first_free = leases->holder_count = 0;
    idmap_clear(&leases->holder_of);
    for (int64_t i = 0; i < n; i++)
        leases->pieces[i] = (LeasePiece){ .before = -1, .next = -1 };
}

void leases_release(Leases *leases)
{
    free(leases->pieces);
    free(leases->holders);
    idmap_release(&leases->holder_of);
    *leases = (Leases){ 0 };
}

/* Borders at the rounded running share, so that equal weights differ by one piece at the most. */
void leases_deal(Leases *leases, const LeaseShare *shares, int count)
{
    double whole = 0, before = 0;
    for (int i = 0; i < count; i++)
        whole += shares[i].weight;
    int64_t at = 0;
    for (int i = 0; i < count; i++) {
        before += shares[i].weight;
        int64_t end = (int64_t)floor((double)leases->n * before / whole + 0.5);
        if (i == count - 1 || end > leases->n)
            end = leases->n;
        for (; at < end; at++)
            give(leases, at, shares[i].client);
    }
}

void leases_take(Leases *leases, uint64_t client, int64_t most)
{
    int64_t i = leases->first_free;
    for (; i < leases->n && most > 0 && leases->free > 0; i++)
        if (!leases->pieces[i].owner && !leases->pieces[i].done) {
            give(leases, i, client);
            most--;
        }
    leases->first_free = i;
}

void leases_drop(Leases *leases, uint64_t client)
{
    LeaseHolder *holder = holder_find(leases, client);
    if (!holder)
        return;
    for (int64_t i = holder->first, next; i >= 0; i = next) {
        next = leases->pieces[i].next;
        leases->pieces[i].owner = 0;
        leases->free++;
        if (i < leases->first_free)
            leases->first_free = i;
    }
    *holder = (LeaseHolder){ -1, -1, 0 };
}

void leases_finish(Leases *leases, Range range)
{
    for (int64_t i = range.begin; i < range.end; i++) {
        LeasePiece *piece = &leases->pieces[i];
        if (piece->done)
            continue;
        if (piece->owner)
            take_out(leases, piece);
        else
            leases->free--;
        leases->done++;
        piece->done = true;
    }
}

int leases_of(const Leases *leases, uint64_t client, Range ranges[WIRE_RANGES])
{
    const LeaseHolder *holder = holder_find(leases, client);
    int count = 0;
    for (int64_t i = holder ? holder->first : -1; i >= 0; i = leases->pieces[i].next) {
        if (count > 0 && ranges[count - 1].end == i)
            ranges[count - 1].end = i + 1;
        else if (count == WIRE_RANGES)
            return count;
        else
            ranges[count++] = (Range){ i, i + 1 };
    }
    return count;
}

bool leases_had(const Leases *leases, uint64_t client)
{
    return holder_find(leases, client) != NULL;
}

int64_t leases_count(const Leases *leases, uint64_t client)
{
    const LeaseHolder *holder = holder_find(leases, client);
    return holder ? holder->count : 0;
}

int64_t leases_free_count(const Leases *leases)
{
    return leases->free;
}

bool leases_is_complete(const Leases *leases)
{
    return leases->done == leases->n;
}
