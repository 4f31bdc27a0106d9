/* jpeg - JPEG files through libjpeg-turbo, with Pillow's settings (accurate integer DCT, fancy
 * upsampling, block smoothing). Only image.c calls this. Threads: any. */
#ifndef WORKER_IMAGES_JPEG_H
#define WORKER_IMAGES_JPEG_H

#include "worker/images/image.h"

MUST_USE bool jpeg_decode(Image *image, const uint8_t *bytes, size_t size, Err *err);

#endif
