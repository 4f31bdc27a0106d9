/* process - from an image to a model's pixels, as Transformers' ViT and DeiT image processors (the
 * PIL ones) do it: resize, centre crop, rescale, normalise, set by preprocessor_config.json.
 *
 * An image becomes RGB first, as image.convert("RGB") in Transformers' examples, with or without
 * do_convert_rgb; it stays bytes until the very end, so each value of the result is one of 256 a
 * channel, and the table of these is the whole of rescaling and normalising.
 *
 * The torchvision processors (ViTImageProcessorFast, and what AutoImageProcessor takes where torchvision
 * is installed) resize with PyTorch's kernels, whose weights have fewer bits: one byte in 150 to
 * 200 differs, by 1 with bilinear and up to 4 with bicubic weights (measured on photographs). They
 * fold rescaling into mean and deviation, which differs in the last bit, and where a crop is larger than
 * the image they put the odd row of black behind, not in front. Their files are read here as the PIL ones.
 *
 * Threads: const after loading. */
#ifndef WORKER_IMAGES_PROCESS_H
#define WORKER_IMAGES_PROCESS_H

#include "common/base/err.h"
#include "worker/images/image.h"
#include "worker/images/resample.h"

#define IMAGE_CHANNELS 3

typedef struct ImageProcess {
    bool resize;
    int64_t height, width; /* of resizing; 0 with shortest_edge */
    int64_t shortest_edge; /* 0: not that way */
    ResampleFilter filter;
    bool crop;
    int64_t crop_height, crop_width;
    float value[IMAGE_CHANNELS][256]; /* of a byte: rescaled and normalised */
} ImageProcess;

/* folder/preprocessor_config.json. Absent keys (and null) are the processor's own defaults; processors
 * that do something else are refused. */
MUST_USE bool image_process_load(ImageProcess *process, const char *folder, Err *err);

/* The same from bytes; `where` names them in errors. */
MUST_USE bool image_process_parse(ImageProcess *process, const char *json, size_t size, const char *where, Err *err);

/* The size that comes out for an image of this one. */
void image_process_size(const ImageProcess *process, int64_t in_height, int64_t in_width, int64_t *height,
                        int64_t *width);

/* planes[IMAGE_CHANNELS, height, width] (written) = the image resized and cropped. False with *err when
 * it does not come out at height x width. */
MUST_USE bool image_process_apply(const ImageProcess *process, uint8_t *planes, int64_t height, int64_t width,
                                  const Image *image, Err *err);

/* planes[IMAGE_CHANNELS, n] = the image's channels; n = its pixels. */
void image_planes(uint8_t *planes, const Image *image);

/* out[IMAGE_CHANNELS, n] (written) = the model's values of planes[IMAGE_CHANNELS, n]. */
void image_process_values(const ImageProcess *process, float *out, const uint8_t *planes, int64_t n);

#endif
