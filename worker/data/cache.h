/* cache - encoded data sets on disk, mapped by every rank of a node.
 *
 * They lie in $LORA_CACHE, else $XDG_CACHE_HOME/lora, else ~/.cache/lora, each under its content key.
 *
 * Threads: any; two processes that write the same one leave one whole file. */
#ifndef WORKER_DATA_CACHE_H
#define WORKER_DATA_CACHE_H

#include "worker/data/dataset.h"

typedef struct CacheParts {
    int64_t count, goal_width, tokens, longest, skipped, shared;
    const int64_t *start; /* [count+1] */
    const int32_t *ids, *types; /* [tokens]; NULL: none */
    const float *goal; /* [count * goal_width] */
    const int32_t *token_goal; /* [tokens]; NULL: none */
    const int64_t *image_at; /* [count] offsets into images[image_bytes] */
    const char *images;
    int64_t image_bytes; /* 0: no images */
    const void *notes;
    int64_t note_bytes; /* 0: none */
} CacheParts;

/* One block with all of it; data->block is malloc'ed. */
MUST_USE bool cache_pack(Dataset *data, const CacheParts *parts, Err *err);

/* Maps what was saved under this key; false: nothing usable there. */
bool cache_open(Dataset *data, uint64_t key);

/* Writes the packed block and maps it in its place. */
MUST_USE bool cache_save(Dataset *data, uint64_t key, Err *err);

/* False with *err: nothing can be written there. */
MUST_USE bool cache_check(Err *err);

/* The folder of all that is kept between runs. Owned. */
char *cache_folder(void);

#endif
