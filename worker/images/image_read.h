/* image_read - the pixels of a JPEG or PNG file, as Pillow's Image.open(file).convert("RGB") gives them.
 *
 * What the file is, its bytes say, not its name. Grey is repeated, palettes are looked up, alpha and
 * transparent colours are dropped, CMYK is inverted as Adobe writes it; 16-bit colour keeps its high
 * bytes, 16-bit grey is cut off at 255 (Pillow's "I;16"). Colour profiles, gamma and EXIF's
 * orientation are not applied. Of an animated PNG the default image is taken.
 *
 * Refused: other formats (by name), files that are cut short, more pixels than IMAGE_MOST_PIXELS.
 * Damage inside a JPEG's scan is not seen by the decoder and comes out as wrong pixels, as in Pillow.
 *
 * Owner: whoever holds the Image. Threads: any, each with its own Image. */
#ifndef WORKER_IMAGES_IMAGE_READ_H
#define WORKER_IMAGES_IMAGE_READ_H

#include "worker/images/image.h"

typedef enum { IMAGE_OTHER, IMAGE_JPEG, IMAGE_PNG } ImageFormat;

/* By the first bytes. For IMAGE_OTHER *name (may be NULL) says what it is instead: "GIF", "empty"; NULL
 * when nobody knows. */
ImageFormat image_format(const uint8_t *bytes, size_t size, const char **name);

/* Decodes a whole file in memory. *err without a place. */
MUST_USE bool image_decode(Image *image, const uint8_t *bytes, size_t size, Err *err);

/* As image_decode, with the path as the place. */
MUST_USE bool image_read(Image *image, const char *path, Err *err);

#endif
