#include "worker/images/pixel_cache.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x31306c65786970) /* "pixel01" */
#define HEAD_SIZE 4096
#define MOST_TRIES 64 /* of ourselves and of processes that gave up */

/* head | row[count, row_size], rounded up to 8 | fault[count] | text */
typedef struct PixelCacheHead {
    uint64_t magic, key;
    uint64_t digest; /* of fault and text */
    int64_t count, row_size, text_size;
} PixelCacheHead;

static size_t faults_at(int64_t count, int64_t row_size)
{
    return HEAD_SIZE + (((size_t)count * (size_t)row_size + 7) & ~(size_t)7);
}

static size_t text_at(int64_t count, int64_t row_size)
{
    return faults_at(count, row_size) + (size_t)count * sizeof(int64_t);
}

/* Owned. */
static char *cache_folder(void)
{
    const char *own = getenv("LORA_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own && *own)
        return xstrdup(own);
    return xdg && *xdg ? path_join(xdg, "lora") : path_join(home && *home ? home : ".", ".cache/lora");
}

/* ---- reading ------------------------------------------------------------------------ */

static void attach(PixelCache *cache, void *block, size_t size)
{
    const PixelCacheHead *h = block;
    const char *base = block;
    *cache = (PixelCache){
        .count = h->count,
        .row_size = h->row_size,
        .row = (const uint8_t *)base + HEAD_SIZE,
        .fault = (const int64_t *)(const void *)(base + faults_at(h->count, h->row_size)),
        .text = base + text_at(h->count, h->row_size),
        .block = block,
        .block_size = size,
    };
}

static bool is_whole(const FileMap *map, uint64_t key, int64_t count, int64_t row_size)
{
    const PixelCacheHead *h = (const PixelCacheHead *)(const void *)map->data;
    if (map->size < HEAD_SIZE || h->magic != MAGIC || h->key != key || h->count != count || h->row_size != row_size)
        return false;
    const size_t end = text_at(count, row_size), from = faults_at(count, row_size);
    return map->size >= end && (uint64_t)h->text_size == map->size - end && map->data[map->size - 1] == '\0' &&
           digest_fast_more(digest_fast(map->data + from, end - from), map->data + end, map->size - end) == h->digest;
}

static bool open_whole(PixelCache *cache, const char *path, uint64_t key, int64_t count, int64_t row_size)
{
    FileMap map = { 0 };
    Err ignored = { 0 };
    if (!file_exists(path) || !file_map(&map, path, &ignored))
        return false;
    if (is_whole(&map, key, count, row_size)) {
        attach(cache, (void *)(uintptr_t)map.data, map.size);
        return true;
    }
    file_unmap(&map); /* damaged: made again */
    return false;
}

/* ---- making ------------------------------------------------------------------------- */

typedef struct Maker {
    uint64_t key;
    int64_t count, row_size;
    PixelMake make;
    const void *self;
    char **why; /* [count] owned; NULL: good */
    Err stop; /* first fault that is not a bad row */
} Maker;

static void make_row(Maker *m, uint8_t *rows, int64_t i)
{
    Err bad = { 0 };
    if (m->make(m->self, rows + i * m->row_size, i, &bad))
        return;
    memset(rows + i * m->row_size, 0, (size_t)m->row_size);
    if (bad.kind == ERR_INPUT) {
        m->why[i] = xstrdup(bad.what);
        return;
    }
#pragma omp critical(pixel_cache_stop)
    if (m->stop.kind == ERR_NONE)
        m->stop = bad;
}

static bool stopped(Maker *m)
{
    bool yes;
#pragma omp critical(pixel_cache_stop)
    yes = m->stop.kind != ERR_NONE;
    return yes;
}

static uint64_t tail_digest(const int64_t *fault, int64_t count, const Text *text)
{
    return digest_fast_more(digest_fast(fault, (size_t)count * sizeof *fault), text->data, text->size);
}

/* Fills the mapping of head, rows and faults; *text is what comes behind them. */
static bool make_rows(Maker *m, char *block, Text *text, Err *err)
{
    uint8_t *rows = (uint8_t *)block + HEAD_SIZE;
    int64_t *fault = (int64_t *)(void *)(block + faults_at(m->count, m->row_size));
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t i = 0; i < m->count; i++)
        if (!stopped(m))
            make_row(m, rows, i);
    if (m->stop.kind != ERR_NONE) {
        *err = m->stop;
        return false;
    }
    for (int64_t i = 0; i < m->count; i++) {
        fault[i] = m->why[i] ? (int64_t)text->size : -1;
        if (m->why[i])
            text_add(text, m->why[i], strlen(m->why[i]) + 1);
    }
    text_add(text, "", 1);
    *(PixelCacheHead *)(void *)block = (PixelCacheHead){ MAGIC,    m->key,      tail_digest(fault, m->count, text),
                                                         m->count, m->row_size, (int64_t)text->size };
    return true;
}

static bool write_file(Maker *m, int fd, const char *part, Err *err)
{
    const size_t size = text_at(m->count, m->row_size);
    const int full = ftruncate(fd, 0) == 0 ? posix_fallocate(fd, 0, (off_t)size) : errno;
    if (full != 0) {
        errno = full;
        return err_errno(err, "cannot make '%s' of %.1f MB", part, (double)size / 1e6);
    }
    char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (block == MAP_FAILED)
        return err_errno(err, "cannot map '%s'", part);
    Text text = { 0 };
    bool ok = make_rows(m, block, &text, err);
    if (ok && pwrite(fd, text.data, text.size, (off_t)size) != (ssize_t)text.size)
        ok = err_errno(err, "cannot write '%s'", part);
    if (munmap(block, size) != 0 || (ok && fsync(fd) != 0))
        ok = err_errno(err, "cannot write '%s'", part);
    text_release(&text);
    return ok;
}

/* Opens and locks the unfinished file; -1 with *err, or without when another process has just ended
 * with it. */
static int lock_part(const char *part, Err *err)
{
    const int fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        err_errno(err, "cannot make '%s'", part);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    struct stat mine, named;
    if (fstat(fd, &mine) == 0 && stat(part, &named) == 0 && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev)
        return fd;
    close(fd);
    return -1;
}

static bool make_file(Maker *m, const char *path, Err *err)
{
    char *part = xprintf("%s.part", path);
    const int fd = lock_part(part, err);
    bool ok = fd >= 0 || err->kind == ERR_NONE; /* the latter: look again */
    if (fd >= 0) {
        m->why = xcalloc((size_t)m->count + 1, sizeof *m->why);
        ok = write_file(m, fd, part, err);
        if (ok && rename(part, path) != 0)
            ok = err_errno(err, "cannot name '%s'", path);
        if (!ok)
            unlink(part);
        close(fd); /* and the others look again */
        for (int64_t i = 0; i < m->count; i++)
            free(m->why[i]);
        free(m->why);
    }
    free(part);
    return ok;
}

bool pixel_cache_open(PixelCache *cache, uint64_t key, int64_t count, int64_t row_size, PixelMake make,
                      const void *self, Err *err)
{
    char *folder = cache_folder(), *path = xprintf("%s/%016llx.pixels", folder, (unsigned long long)key);
    Err own = { 0 };
    size_t ignored;
    *cache = (PixelCache){ 0 };
    REQUIRE(count >= 0 && row_size >= 0 && mem_mul((size_t)count, (size_t)row_size + 8, &ignored));
    bool ok = folder_make(folder, &own);
    for (int tries = 0; ok && !open_whole(cache, path, key, count, row_size); tries++) {
        if (tries == MOST_TRIES) {
            errno = EIO;
            ok = err_errno(&own, "cannot read '%s' back", path);
            break;
        }
        Maker m = { .key = key, .count = count, .row_size = row_size, .make = make, .self = self };
        ok = make_file(&m, path, &own);
    }
    if (!ok && own.kind == ERR_IO)
        err_hint(&own, "decoded images are kept in '%s'; set LORA_CACHE to a folder with room", folder);
    if (!ok && err)
        *err = own;
    free(path);
    free(folder);
    return ok;
}

void pixel_cache_close(PixelCache *cache)
{
    if (cache->block)
        munmap(cache->block, cache->block_size);
    *cache = (PixelCache){ 0 };
}

const char *pixel_cache_fault(const PixelCache *cache, int64_t row)
{
    REQUIRE(row >= 0 && row < cache->count);
    return cache->fault[row] < 0 ? NULL : cache->text + cache->fault[row];
}
