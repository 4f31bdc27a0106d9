#include "worker/images/augment.h"

#include "common/base/maths.h"

#include <math.h>

#define TRIES 10 /* to find a box that fits, before the middle is taken */

/* Counters of the draws of one key. */
enum { DRAW_FLIP, DRAW_LEFT, DRAW_TOP, DRAW_BOX };

ImageAugment image_augment_usual(void)
{
    return (ImageAugment){ true, { 0.08, 1.0 }, { 3.0 / 4.0, 4.0 / 3.0 }, 0.5 };
}

bool image_augment_is_on(const ImageAugment *a)
{
    return a->crop || a->flip > 0.0;
}

bool image_augment_check(const ImageAugment *a, Err *err)
{
    if (!(a->flip >= 0.0 && a->flip <= 1.0))
        return err_set(err, ERR_INPUT, "the chance of a mirror image, %g, is not between 0 and 1", a->flip);
    if (a->crop && !(a->scale[0] > 0.0 && a->scale[0] <= a->scale[1] && a->scale[1] <= 1.0))
        return err_set(err, ERR_INPUT, "%g to %g is not a share of an image", a->scale[0], a->scale[1]);
    if (a->crop && !(a->ratio[0] > 0.0 && a->ratio[0] <= a->ratio[1] && isfinite(a->ratio[1])))
        return err_set(err, ERR_INPUT, "%g to %g is not a ratio of width to height", a->ratio[0], a->ratio[1]);
    return true;
}

static double between(const double range[2], RngKey key, uint32_t draw)
{
    return range[0] + (range[1] - range[0]) * (double)rng_uniform(key, draw);
}

/* 0 .. n-1 */
static int64_t below(int64_t n, RngKey key, uint32_t draw)
{
    return (int64_t)((double)rng_uniform(key, draw) * (double)n);
}

/* The largest box in the middle whose ratio is allowed. */
static ImageBox middle(const ImageAugment *a, int64_t width, int64_t height)
{
    const double ratio = (double)width / (double)height;
    int64_t w = width, h = height;
    if (ratio < a->ratio[0])
        h = llrint((double)w / a->ratio[0]);
    else if (ratio > a->ratio[1])
        w = llrint((double)h * a->ratio[1]);
    w = w < 1 ? 1 : w;
    h = h < 1 ? 1 : h;
    return (ImageBox){ (width - w) / 2, (height - h) / 2, w, h };
}

ImageBox image_augment_box(const ImageAugment *a, int64_t width, int64_t height, RngKey key)
{
    const double log_ratio[2] = { maths_log(a->ratio[0]), maths_log(a->ratio[1]) };
    for (uint32_t i = 0; i < TRIES; i++) {
        const double area = (double)(width * height) * between(a->scale, key, DRAW_BOX + 2 * i);
        const double ratio = maths_exp(between(log_ratio, key, DRAW_BOX + 2 * i + 1));
        const double w = rint(sqrt(area * ratio)), h = rint(sqrt(area / ratio));
        if (w < 1.0 || h < 1.0 || w > (double)width || h > (double)height)
            continue;
        const int64_t box_w = (int64_t)w, box_h = (int64_t)h;
        return (ImageBox){ below(width - box_w + 1, key, DRAW_LEFT), below(height - box_h + 1, key, DRAW_TOP), box_w,
                           box_h };
    }
    return middle(a, width, height);
}

static void mirror(uint8_t *planes, int64_t rows, int64_t width)
{
    for (int64_t y = 0; y < rows; y++) {
        uint8_t *row = planes + y * width;
        for (int64_t x = 0; x < width / 2; x++) {
            const uint8_t left = row[x];
            row[x] = row[width - 1 - x];
            row[width - 1 - x] = left;
        }
    }
}

bool image_augment_apply(const ImageAugment *augment, const ImageProcess *process, uint8_t *planes, int64_t height,
                         int64_t width, const Image *image, RngKey key, Err *err)
{
    if (augment->crop) {
        const ImageBox box = image_augment_box(augment, image->width, image->height, key);
        Image part = { 0 };
        if (!image_resample(&part, image, box, width, height, process->filter, err))
            return false;
        image_planes(planes, &part);
        image_release(&part);
    } else if (!image_process_apply(process, planes, height, width, image, err)) {
        return false;
    }
    if ((double)rng_uniform(key, DRAW_FLIP) < augment->flip)
        mirror(planes, IMAGE_CHANNELS * height, width);
    return true;
}
