#include "worker/tokenizer/merges.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MERGE_FREE UINT64_MAX

void merges_init(Merges *merges, size_t count)
{
    size_t room = 1024;
    while (room < 2 * count)
        room *= 2;
    merges->slots = xmalloc(room * sizeof(merges->slots[0]));
    merges->mask = room - 1;
    for (size_t i = 0; i < room; i++)
        merges->slots[i].pair = MERGE_FREE;
}

void merges_release(Merges *merges)
{
    free(merges->slots);
    *merges = (Merges){ 0 };
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static Merge *slot_of(const Merges *merges, uint64_t pair)
{
    uint64_t hash = pair * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    for (size_t i = (size_t)hash & merges->mask;; i = (i + 1) & merges->mask) {
        Merge *slot = &merges->slots[i];
        if (slot->pair == pair || slot->pair == MERGE_FREE)
            return slot;
    }
}

void merges_add(Merges *merges, int32_t left, int32_t right, int32_t rank, int32_t id)
{
    const uint64_t pair = pair_of(left, right);
    *slot_of(merges, pair) = (Merge){ pair, rank, id };
}

/* NULL: the two are not joined. */
static const Merge *find(const Merges *merges, int32_t left, int32_t right)
{
    const Merge *slot = slot_of(merges, pair_of(left, right));
    return slot->pair == MERGE_FREE ? NULL : slot;
}

/* ---- short words: look at all pairs each time -------------------------------- */

enum { SHORT_WORD = 24 };

static void set_rank(const Merges *merges, const Symbol *symbols, size_t i, int32_t *ranks, int32_t *ids)
{
    const Merge *merge = find(merges, symbols[i].id, symbols[i + 1].id);
    ranks[i] = merge ? merge->rank : INT32_MAX;
    ids[i] = merge ? merge->id : -1;
}

static size_t apply_short(const Merges *merges, Symbol *symbols, size_t count)
{
    int32_t ranks[SHORT_WORD], ids[SHORT_WORD]; /* of symbol i with the next */
    for (size_t i = 0; i + 1 < count; i++)
        set_rank(merges, symbols, i, ranks, ids);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ids[best] < 0)
            break;
        symbols[best].id = ids[best];
        symbols[best].size += symbols[best + 1].size;
        count--;
        for (size_t i = best + 1; i < count; i++) {
            symbols[i] = symbols[i + 1];
            ranks[i] = ranks[i + 1];
            ids[i] = ids[i + 1];
        }
        if (best > 0)
            set_rank(merges, symbols, best - 1, ranks, ids);
        if (best + 1 < count)
            set_rank(merges, symbols, best, ranks, ids);
    }
    return count;
}

/* ---- long words: a heap of pairs --------------------------------------------- */

typedef struct WaitingMerge {
    int32_t rank, at, id;
} WaitingMerge;

typedef struct Queue {
    WaitingMerge *heap;
    size_t count;
} Queue;

static bool goes_first(WaitingMerge a, WaitingMerge b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void push(Queue *queue, WaitingMerge new)
{
    size_t i = queue->count++;
    while (i > 0 && goes_first(new, queue->heap[(i - 1) / 2])) {
        queue->heap[i] = queue->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    queue->heap[i] = new;
}

static WaitingMerge pop(Queue *queue)
{
    const WaitingMerge top = queue->heap[0], last = queue->heap[--queue->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && goes_first(queue->heap[child + 1], queue->heap[child]))
            child++;
        if (!goes_first(queue->heap[child], last))
            break;
        queue->heap[i] = queue->heap[child];
        i = child;
    }
    queue->heap[i] = last;
    return top;
}

static void wait_for(const Merges *merges, Queue *queue, const Symbol *symbols, int32_t left)
{
    if (left < 0 || symbols[left].next < 0)
        return;
    const Merge *merge = find(merges, symbols[left].id, symbols[symbols[left].next].id);
    if (merge)
        push(queue, (WaitingMerge){ merge->rank, left, merge->id });
}

/* Each joining adds two pairs at most and takes one symbol: 3 * count are enough. */
static size_t apply_long(const Merges *merges, Symbol *symbols, size_t count, Scratch *scratch)
{
    Queue queue = { model_room(&scratch->queue, 3 * count * sizeof(WaitingMerge)), 0 };
    for (size_t i = 0; i < count; i++) {
        symbols[i].before = (int32_t)i - 1;
        symbols[i].next = i + 1 < count ? (int32_t)i + 1 : -1;
    }
    for (size_t i = 0; i + 1 < count; i++)
        wait_for(merges, &queue, symbols, (int32_t)i);
    while (queue.count > 0) {
        const WaitingMerge top = pop(&queue);
        Symbol *left = &symbols[top.at];
        if (left->size == 0 || left->next < 0)
            continue;
        Symbol *right = &symbols[left->next];
        const Merge *merge = find(merges, left->id, right->id);
        if (!merge || merge->id != top.id) /* one of the two has grown since */
            continue;
        left->id = top.id;
        left->size += right->size;
        left->next = right->next;
        right->size = 0;
        if (left->next >= 0)
            symbols[left->next].before = top.at;
        wait_for(merges, &queue, symbols, left->before);
        wait_for(merges, &queue, symbols, top.at);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (symbols[i].size > 0)
            symbols[kept++] = symbols[i];
    return kept;
}

size_t merges_apply(const Merges *merges, Symbol *symbols, size_t count, Scratch *scratch)
{
    if (count <= SHORT_WORD)
        return apply_short(merges, symbols, count);
    return apply_long(merges, symbols, count, scratch);
}
