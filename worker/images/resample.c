#include "worker/images/resample.h"
#include "common/base/maths.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846
#define BITS (32 - 8 - 2) /* of a weight behind the point: 8 bits of pixel, 2 of head room */

/* ---- filters: weight at a distance, and where it ends ------------------------- */

static double box_filter(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming(double x)
{
    x = fabs(x);
    if (x == 0.0)
        return 1.0;
    if (x >= 1.0)
        return 0.0;
    x *= PI;
    return maths_sin(x) / x * (0.54 + 0.46 * maths_cos(x));
}

static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= PI;
    return maths_sin(x) / x;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static const struct {
    double (*weight)(double x);
    double support;
} filters[RESAMPLE_FILTERS] = {
    [RESAMPLE_LANCZOS] = { lanczos, 3.0 }, [RESAMPLE_BILINEAR] = { bilinear, 1.0 },
    [RESAMPLE_BICUBIC] = { bicubic, 2.0 }, [RESAMPLE_BOX] = { box_filter, 0.5 },
    [RESAMPLE_HAMMING] = { hamming, 1.0 },
};

/* ---- weights of one direction -------------------------------------------------- */

/* Output i is the sum over k < count[i] of weight[i, k] * input[first[i] + k]. */
typedef struct Taps {
    int32_t *weight; /* owned; [size, most] */
    int64_t *first, *count; /* owned; [size] */
    int64_t most;
} Taps;

static void taps_release(Taps *t)
{
    free(t->weight);
    free(t->first);
    free(t->count);
    *t = (Taps){ 0 };
}

static int32_t fixed(double weight)
{
    return (int32_t)((weight < 0 ? -0.5 : 0.5) + weight * (1 << BITS));
}

/* The weights for out_size outputs over in_size inputs. */
static bool taps_init(Taps *t, int64_t in_size, int64_t out_size, ResampleFilter filter, Err *err)
{
    const double scale = (double)in_size / (double)out_size;
    const double stretch = scale < 1.0 ? 1.0 : scale, support = filters[filter].support * stretch;
    *t = (Taps){ .most = (int64_t)ceil(support) * 2 + 1 };
    double *real = mem_alloc((size_t)t->most * sizeof *real, err);
    t->weight = mem_alloc((size_t)(out_size * t->most) * sizeof *t->weight, err);
    t->first = xcalloc((size_t)out_size, sizeof *t->first);
    t->count = xcalloc((size_t)out_size, sizeof *t->count);
    if (!real || !t->weight) {
        free(real);
        taps_release(t);
        return false;
    }
    for (int64_t i = 0; i < out_size; i++) {
        const double center = ((double)i + 0.5) * scale, per = 1.0 / stretch;
        int64_t first = (int64_t)(center - support + 0.5), end = (int64_t)(center + support + 0.5);
        first = first < 0 ? 0 : first;
        end = end > in_size ? in_size : end;
        double sum = 0.0;
        for (int64_t k = 0; k < end - first; k++) {
            real[k] = filters[filter].weight(((double)(k + first) - center + 0.5) * per);
            sum += real[k];
        }
        for (int64_t k = 0; k < end - first; k++)
            t->weight[i * t->most + k] = fixed(sum != 0.0 ? real[k] / sum : real[k]);
        t->first[i] = first;
        t->count[i] = end - first;
    }
    free(real);
    return true;
}

/* ---- the two passes -------------------------------------------------------------- */

typedef uint8_t Pixel __attribute__((vector_size(IMAGE_PIXEL)));
typedef int32_t Sum __attribute__((vector_size(IMAGE_PIXEL * 4)));

static uint8_t rounded(int32_t sum)
{
    sum >>= BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* to[width] = one row of `from` through t; the channels of a pixel go side by side. */
static void across(uint8_t *restrict to, const uint8_t *restrict from, const Taps *t, int64_t width)
{
    for (int64_t x = 0; x < width; x++, to += IMAGE_PIXEL) {
        const uint8_t *p = from + t->first[x] * IMAGE_PIXEL;
        const int32_t *w = t->weight + x * t->most;
        Sum sum = { 1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1) };
        for (int64_t k = 0; k < t->count[x]; k++, p += IMAGE_PIXEL) {
            Pixel pixel;
            memcpy(&pixel, p, sizeof pixel);
            sum += __builtin_convertvector(pixel, Sum) * w[k];
        }
        for (int c = 0; c < IMAGE_PIXEL; c++)
            to[c] = rounded(sum[c]);
    }
}

/* to[bytes] = sum over k of w[k] * from[k * stride + ...]; sum[bytes] is scratch. */
static void down(uint8_t *restrict to, const uint8_t *restrict from, int64_t stride, const int32_t *restrict w,
                 int64_t count, int64_t bytes, int32_t *restrict sum)
{
    for (int64_t i = 0; i < bytes; i++)
        sum[i] = 1 << (BITS - 1);
    for (int64_t k = 0; k < count; k++)
        for (int64_t i = 0; i < bytes; i++)
            sum[i] += from[k * stride + i] * w[k];
    for (int64_t i = 0; i < bytes; i++)
        to[i] = rounded(sum[i]);
}

static const uint8_t *pixel_at(const Image *image, int64_t x, int64_t y)
{
    return image->data + (y * image->width + x) * IMAGE_PIXEL;
}

/* *to (written) = the box made `width` wide. */
static bool pass_across(Image *to, const Image *from, ImageBox box, int64_t width, ResampleFilter filter, Err *err)
{
    Taps taps;
    if (!image_init(to, width, box.height, err) || !taps_init(&taps, box.width, width, filter, err))
        return false;
    for (int64_t y = 0; y < box.height; y++)
        across(to->data + y * width * IMAGE_PIXEL, pixel_at(from, box.left, box.top + y), &taps, width);
    taps_release(&taps);
    return true;
}

/* *to (written) = the box made `height` high. */
static bool pass_down(Image *to, const Image *from, ImageBox box, int64_t height, ResampleFilter filter, Err *err)
{
    const int64_t bytes = box.width * IMAGE_PIXEL, stride = from->width * IMAGE_PIXEL;
    Taps taps = { 0 };
    int32_t *sum = NULL;
    bool ok = image_init(to, box.width, height, err) && taps_init(&taps, box.height, height, filter, err);
    ok = ok && (sum = mem_alloc((size_t)bytes * sizeof *sum, err)) != NULL;
    for (int64_t y = 0; ok && y < height; y++)
        down(to->data + y * bytes, pixel_at(from, box.left, box.top + taps.first[y]), stride,
             taps.weight + y * taps.most, taps.count[y], bytes, sum);
    free(sum);
    taps_release(&taps);
    return ok;
}

static bool copy_box(Image *to, const Image *from, ImageBox box, Err *err)
{
    if (!image_init(to, box.width, box.height, err))
        return false;
    for (int64_t y = 0; y < box.height; y++)
        memcpy(to->data + y * box.width * IMAGE_PIXEL, pixel_at(from, box.left, box.top + y),
               (size_t)box.width * IMAGE_PIXEL);
    return true;
}

/* Pillow's order: across first, unless the height shrinks by more than twice what the width does. */
static bool both_passes(Image *to, const Image *from, ImageBox box, int64_t width, int64_t height,
                        ResampleFilter filter, Err *err)
{
    const bool down_first = box.height > height && 2 * (box.width - width) < box.height - height;
    Image middle = { 0 };
    bool ok;
    if (down_first)
        ok = pass_down(&middle, from, box, height, filter, err) &&
             pass_across(to, &middle, (ImageBox){ 0, 0, box.width, height }, width, filter, err);
    else
        ok = pass_across(&middle, from, box, width, filter, err) &&
             pass_down(to, &middle, (ImageBox){ 0, 0, width, box.height }, height, filter, err);
    image_release(&middle);
    return ok;
}

/* Sums step by step, as Pillow does: the last digits decide at whole numbers. */
static int64_t *nearest_places(int64_t in_size, int64_t out_size)
{
    int64_t *place = xmalloc((size_t)out_size * sizeof *place);
    const double scale = (double)in_size / (double)out_size;
    double at = scale * 0.5;
    for (int64_t i = 0; i < out_size; i++, at += scale)
        place[i] = (int64_t)at < in_size ? (int64_t)at : in_size - 1;
    return place;
}

static bool nearest(Image *to, const Image *from, ImageBox box, int64_t width, int64_t height, Err *err)
{
    if (!image_init(to, width, height, err))
        return false;
    int64_t *column = nearest_places(box.width, width), *row = nearest_places(box.height, height);
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            memcpy(to->data + (y * width + x) * IMAGE_PIXEL, pixel_at(from, box.left + column[x], box.top + row[y]),
                   IMAGE_PIXEL);
    free(column);
    free(row);
    return true;
}

bool image_resample(Image *to, const Image *from, ImageBox box, int64_t width, int64_t height, ResampleFilter filter,
                    Err *err)
{
    REQUIRE(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0);
    REQUIRE(box.left + box.width <= from->width && box.top + box.height <= from->height);
    REQUIRE(filter >= 0 && filter < RESAMPLE_FILTERS);
    *to = (Image){ 0 };
    bool ok;
    if (width == box.width && height == box.height)
        ok = copy_box(to, from, box, err);
    else if (filter == RESAMPLE_NEAREST)
        ok = nearest(to, from, box, width, height, err);
    else if (height == box.height)
        ok = pass_across(to, from, box, width, filter, err);
    else if (width == box.width)
        ok = pass_down(to, from, box, height, filter, err);
    else
        ok = both_passes(to, from, box, width, height, filter, err);
    if (!ok)
        image_release(to);
    return ok;
}
