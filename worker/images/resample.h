/* resample - images of another size, bit for bit as Pillow's Image.resize makes them.
 *
 * Two passes of fixed-point weights (22 bits) over bytes, with bytes between them; the filter grows with
 * the reduction, so that nothing aliases. A pass that would change nothing is left out. The passes are in
 * Pillow 13's order; up to Pillow 12 the one along the rows was always first, which differs by 1 of 255
 * in some pixels of tall images.
 *
 * Threads: any, each with its own images. */
#ifndef WORKER_IMAGES_RESAMPLE_H
#define WORKER_IMAGES_RESAMPLE_H

#include "worker/images/image.h"

/* Pillow's numbers, as in preprocessor_config.json. */
typedef enum {
    RESAMPLE_NEAREST,
    RESAMPLE_LANCZOS,
    RESAMPLE_BILINEAR,
    RESAMPLE_BICUBIC,
    RESAMPLE_BOX,
    RESAMPLE_HAMMING,
    RESAMPLE_FILTERS
} ResampleFilter;

typedef struct ImageBox {
    int64_t left, top, width, height;
} ImageBox;

/* *to (written, owned by the caller) = the box of `from`, which must lie inside, cut out and then
 * resized to width x height. */
MUST_USE bool image_resample(Image *to, const Image *from, ImageBox box, int64_t width, int64_t height,
                             ResampleFilter filter, Err *err);

#endif
