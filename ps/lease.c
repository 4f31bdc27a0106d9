#include "ps/lease.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>

void leases_open(Leases *leases, int64_t n)
{
    if (n > leases->room) {
        leases->pieces = xrealloc(leases->pieces, (size_t)n * sizeof *leases->pieces);
        leases->room = n;
    }
    leases->n = n;
    for (int64_t i = 0; i < n; i++)
        leases->pieces[i] = (LeasePiece){ 0 };
}

void leases_release(Leases *leases)
{
    free(leases->pieces);
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
            leases->pieces[at].owner = shares[i].client;
    }
}

void leases_take(Leases *leases, uint64_t client, int64_t most)
{
    for (int64_t i = 0; i < leases->n && most > 0; i++)
        if (!leases->pieces[i].owner && !leases->pieces[i].done) {
            leases->pieces[i].owner = client;
            most--;
        }
}

void leases_drop(Leases *leases, uint64_t client)
{
    for (int64_t i = 0; i < leases->n; i++)
        if (leases->pieces[i].owner == client)
            leases->pieces[i].owner = 0;
}

void leases_finish(Leases *leases, Range range)
{
    for (int64_t i = range.begin; i < range.end; i++)
        leases->pieces[i].done = true;
}

int leases_of(const Leases *leases, uint64_t client, Range ranges[WIRE_RANGES])
{
    int count = 0;
    bool open = false;
    for (int64_t i = 0; i < leases->n; i++) {
        const bool mine = leases->pieces[i].owner == client && !leases->pieces[i].done;
        if (mine && open)
            ranges[count - 1].end = i + 1;
        else if (mine && count == WIRE_RANGES)
            return count;
        else if (mine)
            ranges[count++] = (Range){ i, i + 1 };
        open = mine;
    }
    return count;
}

int64_t leases_count(const Leases *leases, uint64_t client)
{
    int64_t count = 0;
    for (int64_t i = 0; i < leases->n; i++)
        count += leases->pieces[i].owner == client && !leases->pieces[i].done;
    return count;
}

int64_t leases_free_count(const Leases *leases)
{
    int64_t free_count = 0;
    for (int64_t i = 0; i < leases->n; i++)
        free_count += !leases->pieces[i].owner && !leases->pieces[i].done;
    return free_count;
}

bool leases_is_complete(const Leases *leases)
{
    for (int64_t i = 0; i < leases->n; i++)
        if (!leases->pieces[i].done)
            return false;
    return true;
}
