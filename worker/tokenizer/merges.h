/* merges - BPE's list of pairs that may be joined, and the joining of a word: always
 * the pair that is first in the list, of several the leftmost.
 *
 * Owner: the model. Threads: const after filling. */
#ifndef WORKER_TOKENIZER_MERGES_H
#define WORKER_TOKENIZER_MERGES_H

#include "worker/tokenizer/scratch.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Merge {
    uint64_t pair; /* left id << 32 | right id; MERGE_FREE: no merge */
    int32_t rank, id;
} Merge;

/* Zeroed is empty. */
typedef struct Merges {
    Merge *slots; /* [mask + 1], owned */
    size_t mask;
} Merges;

/* Room for `count` pairs. */
void merges_init(Merges *merges, size_t count);
void merges_release(Merges *merges);

/* A pair that is there already takes the new rank. At most as many as there is room for. */
void merges_add(Merges *merges, int32_t left, int32_t right, int32_t rank, int32_t id);

/* A part of a word. */
typedef struct Symbol {
    int32_t id;
    uint32_t size; /* bytes; 0: was joined to the one before */
    int32_t before, next;
} Symbol;

/* Joins what can be joined in symbols[0, count); how many are left, now in front. */
size_t merges_apply(const Merges *merges, Symbol *symbols, size_t count, Scratch *scratch);

#endif
