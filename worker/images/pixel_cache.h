/* pixel_cache - images as bytes, made once and kept in a file that the ranks of a node map.
 *
 * A row is what some maker made of one image, or the reason why it could not. Files lie in $LORA_CACHE,
 * else $XDG_CACHE_HOME/lora, else ~/.cache/lora, each under its content key.
 *
 * Owner: the Pixels. Threads: const after opening. Processes: one that finds nothing makes the file while the
 * others wait for it (flock); a file has its name only when it is whole. */
#ifndef WORKER_IMAGES_PIXEL_CACHE_H
#define WORKER_IMAGES_PIXEL_CACHE_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct PixelCache {
    int64_t count, row_size;
    const uint8_t *row; /* [count, row_size] */
    const int64_t *fault; /* [count] into text; -1: the row is good */
    const char *text;
    void *block; /* owned mapping */
    size_t block_size;
} PixelCache;

/* Writes out[row_size]. False with ERR_INPUT: a bad row; another kind ends the making. Called by
 * OpenMP threads. */
typedef bool (*PixelMake)(const void *self, uint8_t *out, int64_t row, Err *err);

/* Maps the rows under this key, making them first where they are not there yet. row_size may be 0: then
 * only the faults are of interest. */
MUST_USE bool pixel_cache_open(PixelCache *cache, uint64_t key, int64_t count, int64_t row_size, PixelMake make,
                               const void *self, Err *err);
void pixel_cache_close(PixelCache *cache);

/* Why a row is bad; NULL: it is good. */
const char *pixel_cache_fault(const PixelCache *cache, int64_t row);

#endif
