#include "common/base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory, size_t size)
{
    if (memory || size == 0)
        return memory;
    fprintf(stderr, "error: out of memory (%zu bytes)\n", size);
    abort();
}

void *xmalloc(size_t size)
{
    return checked(malloc(size), size);
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count, size), count * size);
}

void *xrealloc(void *old, size_t size)
{
    return checked(realloc(old, size), size);
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t n)
{
    char *copy = xmalloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

char *xprintf(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    REQUIRE(n >= 0);
    char *text = xmalloc((size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

void *mem_alloc(size_t size, Err *err)
{
    void *memory = NULL;
    if (posix_memalign(&memory, MEM_ALIGN, size ? size : 1) != 0) {
        err_set(err, ERR_MEMORY, "no room for %.1f MB", (double)size / 1e6);
        return NULL;
    }
    return memory;
}

void mem_keep_freed(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

bool mem_mul(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

bool arena_init(Arena *arena, size_t size, Err *err)
{
    *arena = (Arena){ 0 };
    arena->base = mem_alloc(size, err);
    if (!arena->base)
        return false;
    arena->size = size;
    return true;
}

void arena_release(Arena *arena)
{
    free(arena->base);
    *arena = (Arena){ 0 };
}

size_t arena_cost(size_t size)
{
    return (size + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

void *arena_take(Arena *arena, size_t size)
{
    const size_t cost = arena_cost(size);
    REQUIRE(cost <= arena->size - arena->used);
    void *memory = arena->base + arena->used;
    arena->used += cost;
    return memory;
}
