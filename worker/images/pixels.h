/* pixels - the images of a data set as a model takes them: float [3, height, width] for any rows.
 *
 * Opening decodes every image once, with OpenMP's threads, and says which are bad. Where images are always
 * the same, what was decoded and resized stays in a cache file (3 * height * width bytes an image) that
 * the ranks of a node map; its key is the content of the files and all that the bytes depend on. With
 * augmentation only the verdicts are kept, and images are decoded when needed: by threads that run ahead
 * of the rows announced with pixels_expect (ahead.h), or else by the caller. Either way a value depends on
 * nothing but the file, the options, the seed, the row and the epoch.
 *
 *   Pixels *pixels = pixels_open(&options, paths, count, &err);
 *   pixels_bad(pixels, row, &bad)                        leave these rows out, or stop
 *   pixels_start(pixels, B, threads, &err)               once
 *   pixels_fill(pixels, batch.pixels, rows, B, epoch, &err);
 *   pixels_expect(pixels, next_rows, n, epoch);          before the model works
 *
 * Owner: worker/data. Threads: one caller. Collective: no, though processes that open the same set at once
 * wait for the first of them. */
#ifndef WORKER_IMAGES_PIXELS_H
#define WORKER_IMAGES_PIXELS_H

#include "worker/images/augment.h"
#include "worker/images/process.h"

typedef struct Pixels Pixels;

typedef struct PixelsOptions {
    const ImageProcess *process; /* borrowed while open */
    int64_t height, width; /* of the model's images */
    ImageAugment augment; /* zeroed: none (evaluation) */
    uint64_t seed; /* of augmentation */
} PixelsOptions;

/* path[count], borrowed while open. NULL with *err: the options are wrong, or there is no room for the
 * cache; never for a bad image. */
MUST_USE Pixels *pixels_open(const PixelsOptions *options, const char *const *path, int64_t count, Err *err);
void pixels_close(Pixels *pixels); /* NULL is fine */

/* True, and *bad says why and names the file: this row has no image. */
bool pixels_bad(const Pixels *pixels, int64_t row, Err *bad);
int64_t pixels_bad_count(const Pixels *pixels);

/* Of the files' contents and of what makes bytes of them. */
uint64_t pixels_digest(const Pixels *pixels);

/* With augmentation, before the first row: starts `threads` makers with room for `images`. */
MUST_USE bool pixels_start(Pixels *pixels, int64_t images, int threads, Err *err);

/* These rows are asked for next. Costs nothing without augmentation. */
void pixels_expect(Pixels *pixels, const uint32_t *rows, int64_t count, int64_t epoch);

/* out[count, 3, height, width] (written). Rows must not be bad; false with *err when a file has gone or
 * changed since. */
MUST_USE bool pixels_fill(Pixels *pixels, float *out, const uint32_t *rows, int64_t count, int64_t epoch, Err *err);

#endif
