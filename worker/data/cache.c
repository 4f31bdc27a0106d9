#include "worker/data/cache.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CACHE_MAGIC UINT64_C(0x32306174616461) /* "adata02" */

typedef struct CacheHead {
    uint64_t magic, key, digest; /* digest of all behind the head */
    int64_t count, goal_width, tokens, longest, skipped, has_types, has_ids, has_token_goals, image_bytes, shared;
    int64_t note_bytes;
    int64_t spare[2];
} CacheHead;

/* Where the arrays lie behind the head. */
typedef struct CacheLayout {
    size_t start, ids, types, goal, token_goal, image_at, images, notes, size;
} CacheLayout;

static CacheLayout layout(const CacheHead *h)
{
    const size_t tokens = (size_t)h->tokens * sizeof(int32_t), count = (size_t)h->count;
    CacheLayout l = { .start = sizeof *h };
    l.ids = l.start + (count + 1) * sizeof(int64_t);
    l.types = l.ids + (h->has_ids ? arena_cost(tokens) : 0);
    l.goal = l.types + (h->has_types ? arena_cost(tokens) : 0);
    l.token_goal = l.goal + count * (size_t)h->goal_width * sizeof(float);
    l.image_at = l.token_goal + (h->has_token_goals ? tokens : 0);
    l.size = l.image_at;
    if (h->image_bytes > 0) {
        l.image_at = arena_cost(l.image_at);
        l.images = l.image_at + count * sizeof(int64_t);
        l.size = l.images + (size_t)h->image_bytes;
    }
    if (h->note_bytes > 0) {
        l.notes = arena_cost(l.size);
        l.size = l.notes + (size_t)h->note_bytes;
    }
    return l;
}

static const void *at(const void *block, size_t offset)
{
    return (const char *)block + offset;
}

static void attach(Dataset *data, void *block, size_t size)
{
    const CacheHead *h = block;
    const CacheLayout l = layout(h);
    *data = (Dataset){
        .count = h->count,
        .goal_width = h->goal_width,
        .longest = h->longest,
        .skipped = h->skipped,
        .shared = h->shared,
        .digest = h->digest,
        .start = at(block, l.start),
        .ids = h->has_ids ? at(block, l.ids) : NULL,
        .types = h->has_types ? at(block, l.types) : NULL,
        .goal = h->goal_width > 0 ? at(block, l.goal) : NULL,
        .token_goal = h->has_token_goals ? at(block, l.token_goal) : NULL,
        .image_at = h->image_bytes > 0 ? at(block, l.image_at) : NULL,
        .images = h->image_bytes > 0 ? at(block, l.images) : NULL,
        .notes = h->note_bytes > 0 ? at(block, l.notes) : NULL,
        .block = block,
        .block_size = size,
    };
}

static void put(char *block, size_t at, const void *bytes, size_t n)
{
    if (n > 0)
        memcpy(block + at, bytes, n);
}

bool cache_pack(Dataset *data, const CacheParts *p, Err *err)
{
    const CacheHead head = {
        .magic = CACHE_MAGIC,
        .count = p->count,
        .goal_width = p->goal_width,
        .tokens = p->tokens,
        .longest = p->longest,
        .skipped = p->skipped,
        .shared = p->shared,
        .has_types = p->types != NULL,
        .has_ids = p->ids != NULL,
        .has_token_goals = p->token_goal != NULL,
        .image_bytes = p->image_bytes,
        .note_bytes = p->note_bytes,
    };
    const CacheLayout l = layout(&head);
    const size_t tokens = (size_t)p->tokens * sizeof(int32_t), count = (size_t)p->count;
    /* anonymous mapping, so that release has one way */
    char *block = mmap(NULL, l.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return err_set(err, ERR_MEMORY, "no room for %.1f MB of encoded data", (double)l.size / 1e6);
    put(block, 0, &head, sizeof head);
    put(block, l.start, p->start, (count + 1) * sizeof *p->start);
    put(block, l.ids, p->ids, p->ids ? tokens : 0);
    put(block, l.types, p->types, p->types ? tokens : 0);
    put(block, l.goal, p->goal, count * (size_t)p->goal_width * sizeof *p->goal);
    put(block, l.token_goal, p->token_goal, p->token_goal ? tokens : 0);
    put(block, l.image_at, p->image_at, p->image_bytes > 0 ? count * sizeof *p->image_at : 0);
    put(block, l.images, p->images, (size_t)p->image_bytes);
    put(block, l.notes, p->notes, (size_t)p->note_bytes);
    ((CacheHead *)(void *)block)->digest = digest_fast(block + sizeof head, l.size - sizeof head);
    attach(data, block, l.size);
    return true;
}

char *cache_folder(void)
{
    const char *own = getenv("LORA_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own && *own)
        return xstrdup(own);
    return xdg && *xdg ? path_join(xdg, "lora") : path_join(home && *home ? home : ".", ".cache/lora");
}

static char *cache_path(const char *folder, uint64_t key)
{
    return xprintf("%s/%016llx.data", folder, (unsigned long long)key);
}

bool cache_open(Dataset *data, uint64_t key)
{
    char *folder = cache_folder(), *path = cache_path(folder, key);
    FileMap map = { 0 };
    Err ignored = { 0 };
    bool ok = file_exists(path) && file_map(&map, path, &ignored) && map.size >= sizeof(CacheHead);
    if (ok) {
        const CacheHead *h = (const CacheHead *)(const void *)map.data;
        ok = h->magic == CACHE_MAGIC && h->key == key && h->count > 0 && h->tokens >= 0 && layout(h).size == map.size &&
             digest_fast(map.data + sizeof *h, map.size - sizeof *h) == h->digest;
    }
    if (ok)
        attach(data, (void *)(uintptr_t)map.data, map.size);
    else
        file_unmap(&map); /* damaged: made again */
    free(path);
    free(folder);
    return ok;
}

static void add_hint(const char *folder, Err *err)
{
    err_hint(err, "encoded data is kept in '%s'; set LORA_CACHE to a folder with room", folder);
}

bool cache_check(Err *err)
{
    char *folder = cache_folder();
    char *path = xprintf("%s/check.%ld", folder, (long)getpid());
    const bool ok = folder_make(folder, err) && file_write(path, "", 1, err);
    unlink(path);
    if (!ok)
        add_hint(folder, err);
    free(path);
    free(folder);
    return ok;
}

bool cache_save(Dataset *data, uint64_t key, Err *err)
{
    char *folder = cache_folder(), *path = cache_path(folder, key);
    char *own = xprintf("%s.%ld", path, (long)getpid());
    ((CacheHead *)data->block)->key = key;
    bool ok = folder_make(folder, err) && file_write(own, data->block, data->block_size, err);
    if (ok && rename(own, path) != 0)
        ok = err_errno(err, "cannot name the encoded data '%s'", path);
    if (ok) {
        Dataset mapped;
        if (cache_open(&mapped, key)) { /* shared with the other ranks */
            dataset_release(data);
            *data = mapped;
        }
    } else {
        unlink(own);
        add_hint(folder, err);
    }
    free(own);
    free(path);
    free(folder);
    return ok;
}

void dataset_release(Dataset *data)
{
    if (data->block)
        munmap(data->block, data->block_size);
    *data = (Dataset){ 0 };
}
