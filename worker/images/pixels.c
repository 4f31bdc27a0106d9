#include "worker/images/pixels.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/images/ahead.h"
#include "worker/images/image_read.h"
#include "worker/images/pixel_cache.h"

#include <stdlib.h>

#define BYTES_VERSION 1 /* counts up whenever the same file gives other bytes */
#define STREAM 0x696d6167 /* tells these random numbers from a model's */

struct Pixels {
    PixelsOptions options;
    const char *const *path; /* [count], borrowed */
    int64_t count, size; /* size: bytes of an image */
    uint64_t digest;
    PixelCache cache; /* row_size 0: verdicts only */
    Ahead *ahead; /* NULL: images are in the cache, or not started yet */
};

/* ---- one image ------------------------------------------------------------------------ */

static bool make_plain(const void *self, uint8_t *planes, int64_t row, Err *err)
{
    const Pixels *p = self;
    Image image = { 0 };
    if (!image_read(&image, p->path[row], err))
        return false;
    const bool ok = image_process_apply(p->options.process, planes, p->options.height, p->options.width, &image, err);
    image_release(&image);
    return ok;
}

/* Decodes it, and throws the pixels away. */
static bool look_only(const void *self, uint8_t *planes, int64_t row, Err *err)
{
    const Pixels *p = self;
    (void)planes;
    if (!p->options.augment.crop) { /* its size may be wrong too */
        uint8_t *own = mem_alloc((size_t)p->size, err);
        const bool ok = own && make_plain(self, own, row, err);
        free(own);
        return ok;
    }
    Image image = { 0 };
    const bool ok = image_read(&image, p->path[row], err);
    image_release(&image);
    return ok;
}

static bool make_augmented(const void *self, uint8_t *planes, int64_t row, int64_t epoch, Err *err)
{
    const Pixels *p = self;
    const PixelsOptions *o = &p->options;
    Image image = { 0 };
    if (!image_read(&image, p->path[row], err))
        return false;
    const bool ok = image_augment_apply(&o->augment, o->process, planes, o->height, o->width, &image,
                                        rng_key(o->seed, epoch, row, STREAM), err);
    image_release(&image);
    return ok || err_at(err, "%s", p->path[row]);
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Of the files, in order. One that cannot be read counts as empty: its fault is found again later. */
static uint64_t digest_files(const char *const *path, int64_t count)
{
    uint64_t *one = xcalloc((size_t)count + 1, sizeof *one);
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t i = 0; i < count; i++) {
        FileMap map = { 0 };
        if (file_map(&map, path[i], NULL))
            one[i] = digest_fast(map.data, map.size);
        file_unmap(&map);
    }
    const uint64_t all = digest_fast(one, (size_t)count * sizeof *one);
    free(one);
    return all;
}

static uint64_t digest_of(const Pixels *p, bool keeps_bytes)
{
    const ImageProcess *how = p->options.process;
    const int64_t part[] = {
        BYTES_VERSION, p->count,         keeps_bytes,     p->options.height,      p->options.width,
        how->resize,   how->height,      how->width,      how->shortest_edge,     (int64_t)how->filter,
        how->crop,     how->crop_height, how->crop_width, p->options.augment.crop
    };
    return digest_fast_more(digest_files(p->path, p->count), part, sizeof part);
}

static bool open_all(Pixels *p, Err *err)
{
    const PixelsOptions *o = &p->options;
    const bool plain = !image_augment_is_on(&o->augment);
    if (!image_augment_check(&o->augment, err))
        return false;
    p->digest = digest_of(p, plain);
    return pixel_cache_open(&p->cache, p->digest, p->count, plain ? p->size : 0, plain ? make_plain : look_only, p,
                            err);
}

Pixels *pixels_open(const PixelsOptions *options, const char *const *path, int64_t count, Err *err)
{
    REQUIRE(options->height > 0 && options->width > 0 && count >= 0);
    Pixels *p = xcalloc(1, sizeof *p);
    *p = (Pixels){ .options = *options, .path = path, .count = count };
    p->size = IMAGE_CHANNELS * options->height * options->width;
    if (open_all(p, err))
        return p;
    pixels_close(p);
    return NULL;
}

bool pixels_start(Pixels *p, int64_t images, int threads, Err *err)
{
    if (image_augment_is_on(&p->options.augment))
        p->ahead = ahead_start(make_augmented, p, p->size, images, threads, err);
    return p->ahead || !image_augment_is_on(&p->options.augment);
}

void pixels_close(Pixels *p)
{
    if (!p)
        return;
    ahead_stop(p->ahead);
    pixel_cache_close(&p->cache);
    free(p);
}

bool pixels_bad(const Pixels *p, int64_t row, Err *bad)
{
    const char *why = pixel_cache_fault(&p->cache, row);
    if (!why)
        return false;
    err_set(bad, ERR_INPUT, "%s", why);
    err_at(bad, "%s", p->path[row]);
    err_hint(bad, "replace or remove the file, or set data.skip_bad_rows: true");
    return true;
}

int64_t pixels_bad_count(const Pixels *p)
{
    int64_t n = 0;
    for (int64_t i = 0; i < p->count; i++)
        n += pixel_cache_fault(&p->cache, i) != NULL;
    return n;
}

uint64_t pixels_digest(const Pixels *p)
{
    return p->digest;
}

/* ---- rows ---------------------------------------------------------------------------------- */

void pixels_expect(Pixels *p, const uint32_t *rows, int64_t count, int64_t epoch)
{
    if (p->ahead)
        ahead_expect(p->ahead, rows, count, epoch);
}

static bool fill_augmented(Pixels *p, float *out, const uint32_t *rows, int64_t count, int64_t epoch, Err *err)
{
    bool good = true;
#pragma omp parallel if (count > 1)
    {
        uint8_t *planes = xmalloc((size_t)p->size);
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < count; i++) {
            Err own = { 0 };
            if (ahead_take(p->ahead, planes, rows[i], epoch, &own)) {
                image_process_values(p->options.process, out + i * p->size, planes,
                                     p->options.height * p->options.width);
                continue;
            }
#pragma omp critical(pixels_fault)
            {
                good = false;
                *err = own;
            }
        }
        free(planes);
    }
    return good;
}

bool pixels_fill(Pixels *p, float *out, const uint32_t *rows, int64_t count, int64_t epoch, Err *err)
{
    const int64_t n = p->options.height * p->options.width;
    for (int64_t i = 0; i < count; i++)
        REQUIRE(rows[i] < p->count && !pixel_cache_fault(&p->cache, rows[i]));
    if (image_augment_is_on(&p->options.augment)) {
        REQUIRE(p->ahead);
        return fill_augmented(p, out, rows, count, epoch, err);
    }
#pragma omp parallel for if (count > 1)
    for (int64_t i = 0; i < count; i++)
        image_process_values(p->options.process, out + i * p->size, p->cache.row + rows[i] * p->size, n);
    return true;
}
