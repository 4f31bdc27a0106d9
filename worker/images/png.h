/* png - PNG files through libpng, converted as Pillow converts its own modes. Only image.c calls this.
 * Threads: any. */
#ifndef WORKER_IMAGES_PNG_H
#define WORKER_IMAGES_PNG_H

#include "worker/images/image.h"

MUST_USE bool png_decode(Image *image, const uint8_t *bytes, size_t size, Err *err);

#endif
