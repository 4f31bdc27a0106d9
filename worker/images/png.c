#include "worker/images/png.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#define MOST_CHUNK 67108864 /* bytes of one chunk that is kept (colour profiles and texts) */

/* Everything that is alive across longjmp, so that nothing of it sits in registers. */
typedef struct PngReader {
    png_struct *png;
    png_info *info;
    jmp_buf failed;
    const uint8_t *bytes;
    size_t left;
    Image *image;
    uint8_t **row; /* owned; [height] into image->data */
    bool ok;
    Err *err;
} PngReader;

static void on_error(png_struct *png, const char *text)
{
    PngReader *d = png_get_error_ptr(png);
    if (d->err->kind == ERR_NONE)
        err_set(d->err, ERR_INPUT, "the PNG is damaged: %s", text);
    longjmp(d->failed, 1);
}

static void on_warning(png_struct *png, const char *text)
{
    (void)png;
    (void)text;
}

static void on_read(png_struct *png, uint8_t *into, size_t size)
{
    PngReader *d = png_get_io_ptr(png);
    if (size > d->left) {
        err_set(d->err, ERR_INPUT, "the PNG is cut short");
        longjmp(d->failed, 1);
    }
    memcpy(into, d->bytes, size);
    d->bytes += size;
    d->left -= size;
}

/* Rows lie at the end of their pixels' room, so that widening runs forward in place. */
static void make_rows(PngReader *d, int64_t row_bytes)
{
    const int64_t height = d->image->height, stride = d->image->width * IMAGE_PIXEL;
    REQUIRE(row_bytes <= stride);
    d->row = xmalloc((size_t)height * sizeof *d->row);
    for (int64_t y = 0; y < height; y++)
        d->row[y] = d->image->data + (y + 1) * stride - row_bytes;
}

/* What a byte of one channel means: a place in the palette (black where it has none), or its grey. */
static void read_palette(const PngReader *d, uint8_t colour[256][3])
{
    const bool has = png_get_color_type(d->png, d->info) == PNG_COLOR_TYPE_PALETTE;
    png_color *have = NULL;
    int count = 0;
    for (int i = 0; i < 256; i++)
        memset(colour[i], has ? 0 : i, 3);
    if (has) /* else it is only a suggestion */
        png_get_PLTE(d->png, d->info, &have, &count);
    for (int i = 0; i < count && i < 256; i++) {
        colour[i][0] = have[i].red;
        colour[i][1] = have[i].green;
        colour[i][2] = have[i].blue;
    }
}

static void put(uint8_t *pixel, uint8_t r, uint8_t g, uint8_t b)
{
    pixel[0] = r;
    pixel[1] = g;
    pixel[2] = b;
    pixel[3] = 255;
}

/* One row of channels (1: grey or palette, 2: grey and alpha, 3, 4; `deep`: 16-bit grey) to pixels. */
static void widen(uint8_t *to, const uint8_t *from, int64_t width, int channels, bool deep, uint8_t colour[256][3])
{
    for (int64_t x = 0; x < width; x++, to += IMAGE_PIXEL, from += deep ? 2 : channels) {
        if (deep) {
            const uint8_t v = from[0] ? 255 : from[1]; /* big-endian, cut off at 255 */
            put(to, v, v, v);
        } else if (channels >= 3) {
            put(to, from[0], from[1], from[2]);
        } else {
            const uint8_t *c = colour[from[0]];
            put(to, c[0], c[1], c[2]);
        }
    }
}

static bool decode(PngReader *d)
{
    png_read_info(d->png, d->info);
    const int type = png_get_color_type(d->png, d->info), depth = png_get_bit_depth(d->png, d->info);
    if (!image_init(d->image, png_get_image_width(d->png, d->info), png_get_image_height(d->png, d->info), d->err))
        return false;
    const bool deep = type == PNG_COLOR_TYPE_GRAY && depth == 16;
    if (depth == 16 && !deep)
        png_set_strip_16(d->png);
    if (depth < 8 && type == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(d->png);
    else if (depth < 8)
        png_set_packing(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    const int channels = png_get_channels(d->png, d->info);

    uint8_t colour[256][3];
    read_palette(d, colour);
    make_rows(d, (int64_t)png_get_rowbytes(d->png, d->info));
    png_read_image(d->png, d->row);
    for (int64_t y = 0; y < d->image->height; y++)
        widen(d->image->data + y * d->image->width * IMAGE_PIXEL, d->row[y], d->image->width, channels, deep, colour);
    return true;
}

bool png_decode(Image *image, const uint8_t *bytes, size_t size, Err *err)
{
    Err own = { 0 };
    PngReader d = { .bytes = bytes, .left = size, .image = image, .err = &own };
    *image = (Image){ 0 };
    if (setjmp(d.failed) == 0) {
        d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
        REQUIRE(d.png);
        d.info = png_create_info_struct(d.png);
        REQUIRE(d.info);
        png_set_read_fn(d.png, &d, on_read);
        png_set_user_limits(d.png, 0x7fffffff, 0x7fffffff); /* image_init has its own */
        png_set_chunk_malloc_max(d.png, MOST_CHUNK);
        d.ok = decode(&d);
    }
    png_destroy_read_struct(&d.png, &d.info, NULL);
    free(d.row);
    if (!d.ok) {
        image_release(image);
        if (err)
            *err = own;
    }
    return d.ok;
}
