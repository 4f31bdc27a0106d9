#include "worker/images/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* Everything that is alive across longjmp, so that nothing of it sits in registers. */
typedef struct JpegReader {
    struct jpeg_error_mgr errors; /* first: libjpeg hands out its address */
    struct jpeg_decompress_struct jpeg;
    jmp_buf failed;
    Image *image;
    Err *err;
} JpegReader;

static void on_error(j_common_ptr common)
{
    JpegReader *d = (JpegReader *)(void *)common->err;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    err_set(d->err, ERR_INPUT, "the JPEG is damaged: %s", text);
    longjmp(d->failed, 1);
}

/* Warnings are about data that is wrong, which Pillow shows as it comes; data that is missing is a
 * fault to both. */
static void on_message(j_common_ptr common, int level)
{
    JpegReader *d = (JpegReader *)(void *)common->err;
    if (level != -1 || common->err->msg_code != JWRN_JPEG_EOF)
        return;
    err_set(d->err, ERR_INPUT, "the JPEG is cut short");
    longjmp(d->failed, 1);
}

/* Pillow's cmyk2rgb behind its "CMYK;I": c m y k are taken to be inverted. In place. */
static void cmyk_row(uint8_t *row, int64_t width)
{
    for (int64_t x = 0; x < width; x++, row += IMAGE_PIXEL) {
        const int white = row[3];
        for (int c = 0; c < 3; c++) {
            const int ink = (255 - row[c]) * white + 128;
            const int v = white - ((ink + (ink >> 8)) >> 8);
            row[c] = (uint8_t)(v < 0 ? 0 : v);
        }
    }
}

static bool start(JpegReader *d, const uint8_t *bytes, size_t size)
{
    jpeg_mem_src(&d->jpeg, bytes, (unsigned long)size);
    jpeg_read_header(&d->jpeg, TRUE);
    switch (d->jpeg.num_components) {
    case 1:
    case 3:
        d->jpeg.out_color_space = JCS_EXT_RGBX;
        break;
    case 4:
        d->jpeg.out_color_space = JCS_CMYK;
        break;
    default:
        return err_set(d->err, ERR_INPUT, "the JPEG has %d colour components", d->jpeg.num_components);
    }
    d->jpeg.dct_method = JDCT_ISLOW;
    d->jpeg.do_fancy_upsampling = TRUE;
    if (!image_init(d->image, d->jpeg.image_width, d->jpeg.image_height, d->err))
        return false;
    jpeg_start_decompress(&d->jpeg);
    return true;
}

static void read_rows(JpegReader *d)
{
    const size_t stride = (size_t)d->image->width * IMAGE_PIXEL;
    while (d->jpeg.output_scanline < d->jpeg.output_height) {
        uint8_t *row = d->image->data + d->jpeg.output_scanline * stride;
        jpeg_read_scanlines(&d->jpeg, &row, 1);
        if (d->jpeg.out_color_space == JCS_CMYK)
            cmyk_row(row, d->image->width);
    }
    jpeg_finish_decompress(&d->jpeg);
}

bool jpeg_decode(Image *image, const uint8_t *bytes, size_t size, Err *err)
{
    JpegReader d = { .image = image, .err = err };
    *image = (Image){ 0 };
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    if (setjmp(d.failed)) {
        jpeg_destroy_decompress(&d.jpeg);
        image_release(image);
        return false;
    }
    jpeg_create_decompress(&d.jpeg);
    const bool ok = start(&d, bytes, size);
    if (ok)
        read_rows(&d);
    jpeg_destroy_decompress(&d.jpeg);
    return ok;
}
