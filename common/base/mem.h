/* mem - memory that is small (never fails), large (fails with an Err), or
 * taken once and carved (Arena).
 *
 * Owner: whoever asked for the memory, or holds the Arena. Threads: any; an Arena belongs to one thread. */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define MEM_ALIGN 64
#define LENGTH(array) (sizeof(array) / sizeof((array)[0])) /* of an array, not of a pointer */

/* Small things (names, tables): abort with a sentence when there is no memory. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t n);
char *xprintf(const char *format, ...) PRINTF_LIKE(1, 2);

/* Large things, sized by a file or a setting: aligned to MEM_ALIGN, not
 * cleared, NULL with *err set when there is no room. free() it. */
MUST_USE void *mem_alloc(size_t size, Err *err);

/* From now on the process keeps what is freed of blocks up to 4 MB, 16 MB of it, for those to come: for programs that take and
 * free buffers of the wire all the time, each of which would be mapped and cleared anew. Before threads begin. */
void mem_keep_freed(void);

/* a * b, false when it does not fit. */
MUST_USE bool mem_mul(size_t a, size_t b, size_t *product);

/* Room taken once and handed out in order. */
typedef struct Arena {
    char *base; /* owned */
    size_t size, used;
} Arena;

MUST_USE bool arena_init(Arena *arena, size_t size, Err *err);
void arena_release(Arena *arena);

/* Aligned to MEM_ALIGN, not cleared. Running out is a bug in whoever sized it. */
void *arena_take(Arena *arena, size_t size);

/* Bytes that arena_take(size) uses up. */
size_t arena_cost(size_t size);

#endif
