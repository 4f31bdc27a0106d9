#include "ps/witness.h"

#include "common/base/digest.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_ROOM = 64 };

/* Where the piece is, or would be. */
static WitnessEntry *place(const WitnessStep *step, Range range, int64_t at)
{
    const int64_t words[] = { range.begin, range.end, at };
    uint64_t i = digest_fast(words, sizeof words);
    for (;; i++) {
        WitnessEntry *entry = &step->entries[i & (uint64_t)(step->room - 1)];
        if (entry->range.end == 0 ||
            (entry->range.begin == range.begin && entry->range.end == range.end && entry->at == at))
            return entry;
    }
}

static void grow(WitnessStep *step)
{
    const WitnessStep old = *step;
    step->room = old.room ? 2 * old.room : LEAST_ROOM;
    step->entries = xcalloc((size_t)step->room, sizeof *step->entries);
    for (int64_t i = 0; i < old.room; i++)
        if (old.entries[i].range.end > 0)
            *place(step, old.entries[i].range, old.entries[i].at) = old.entries[i];
    free(old.entries);
}

/* The table of this step: an older one's makes room. NULL: the step is older than both. */
static WitnessStep *table_of(Witness *witness, int64_t number)
{
    WitnessStep *step = &witness->steps[number & 1];
    if (step->room > 0 && number < step->step)
        return NULL;
    if (step->room == 0)
        grow(step);
    if (step->step != number) {
        memset(step->entries, 0, (size_t)step->room * sizeof *step->entries);
        step->count = 0;
        step->step = number;
    }
    return step;
}

uint64_t witness_see(Witness *witness, const Msg *push)
{
    WitnessStep *step = push->data && push->step >= 0 ? table_of(witness, push->step) : NULL;
    if (!step)
        return 0;
    const uint64_t digest = digest_fast(push->data, push->size);
    WitnessEntry *entry = place(step, push->range[0], push->at);
    if (entry->range.end > 0) {
        const bool differs = entry->digest != digest && entry->client != push->client;
        witness->differing += differs;
        return differs ? entry->client : 0;
    }
    *entry = (WitnessEntry){ push->range[0], push->at, digest, push->client };
    if (2 * ++step->count > step->room)
        grow(step);
    return 0;
}

void witness_release(Witness *witness)
{
    free(witness->steps[0].entries);
    free(witness->steps[1].entries);
    *witness = (Witness){ 0 };
}
