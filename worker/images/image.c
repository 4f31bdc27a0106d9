#include "worker/images/image.h"

#include "common/base/mem.h"

#include <stdlib.h>

bool image_init(Image *image, int64_t width, int64_t height, Err *err)
{
    *image = (Image){ 0 };
    if (width < 1 || height < 1)
        return err_set(err, ERR_INPUT, "the image has no pixels (%lld x %lld)", (long long)width, (long long)height);
    if (width > IMAGE_MOST_PIXELS / height)
        return err_set(err, ERR_INPUT, "the image is too large: %lld x %lld pixels, at most %lld in all",
                       (long long)width, (long long)height, (long long)IMAGE_MOST_PIXELS);
    uint8_t *data = mem_alloc((size_t)(width * height) * IMAGE_PIXEL, err);
    if (!data)
        return false;
    *image = (Image){ width, height, data };
    return true;
}

void image_release(Image *image)
{
    free(image->data);
    *image = (Image){ 0 };
}
