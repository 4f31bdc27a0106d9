/* augment - an image a little different each time it is seen: a random part of it, and its mirror image.
 *
 * The rules are torchvision's RandomResizedCrop and RandomHorizontalFlip; the chances come from a key
 * (common/base/rng.h), so that an example looks the same on whichever rank it is drawn.
 *
 * Threads: any. */
#ifndef WORKER_IMAGES_AUGMENT_H
#define WORKER_IMAGES_AUGMENT_H

#include "common/base/rng.h"
#include "worker/images/process.h"

/* Zeroed: nothing is changed. */
typedef struct ImageAugment {
    bool crop;
    double scale[2]; /* share of the area, 0 < low <= high <= 1 */
    double ratio[2]; /* width to height, 0 < low <= high */
    double flip; /* chance of the mirror image, 0 to 1 */
} ImageAugment;

/* torchvision's: an area of 0.08 to 1, a ratio of 3/4 to 4/3, mirrored half the time. */
ImageAugment image_augment_usual(void);

bool image_augment_is_on(const ImageAugment *augment);

/* False with *err when a number is out of its range. */
MUST_USE bool image_augment_check(const ImageAugment *augment, Err *err);

/* The part that is taken of an image of this size. */
ImageBox image_augment_box(const ImageAugment *augment, int64_t width, int64_t height, RngKey key);

/* As image_process_apply, of the part and the side that the key says: a crop takes the place of the
 * process's own resizing and cropping, and keeps its filter. */
MUST_USE bool image_augment_apply(const ImageAugment *augment, const ImageProcess *process, uint8_t *planes,
                                  int64_t height, int64_t width, const Image *image, RngKey key, Err *err);

#endif
