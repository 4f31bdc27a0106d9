/* image - the pixels of an image in memory.
 *
 * Owner: whoever holds the Image. Threads: any, each with its own Image. */
#ifndef WORKER_IMAGES_IMAGE_H
#define WORKER_IMAGES_IMAGE_H

#include "common/base/err.h"

#include <stdint.h>

#define IMAGE_MOST_PIXELS INT64_C(178956970) /* where Pillow sees a decompression bomb */
#define IMAGE_PIXEL 4 /* bytes a pixel: R G B and one that means nothing */

typedef struct Image {
    int64_t width, height;
    uint8_t *data; /* owned; [height, width, IMAGE_PIXEL] */
} Image;

/* Room for so many pixels; false when there are none or too many. */
MUST_USE bool image_init(Image *image, int64_t width, int64_t height, Err *err);
void image_release(Image *image);

#endif
