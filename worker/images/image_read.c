#include "worker/images/image_read.h"

#include "common/base/file.h"
#include "worker/images/jpeg.h"
#include "worker/images/png.h"

#include <string.h>

typedef struct Magic {
    ImageFormat format;
    size_t at, size;
    const char *bytes, *name;
} Magic;

static const Magic magics[] = {
    { IMAGE_JPEG, 0, 3, "\xff\xd8\xff", "JPEG" },
    { IMAGE_PNG, 0, 8, "\x89PNG\r\n\x1a\n", "PNG" },
    { IMAGE_OTHER, 0, 6, "GIF87a", "GIF" },
    { IMAGE_OTHER, 0, 6, "GIF89a", "GIF" },
    { IMAGE_OTHER, 8, 4, "WEBP", "WebP" },
    { IMAGE_OTHER, 0, 4, "II*\0", "TIFF" },
    { IMAGE_OTHER, 0, 4, "MM\0*", "TIFF" },
    { IMAGE_OTHER, 4, 8, "ftypavif", "AVIF" },
    { IMAGE_OTHER, 4, 7, "ftyphei", "HEIF" },
    { IMAGE_OTHER, 4, 8, "ftypmif1", "HEIF" },
    { IMAGE_OTHER, 0, 12, "\0\0\0\fjP  \r\n\x87\n", "JPEG 2000" },
    { IMAGE_OTHER, 0, 4, "\xff\x4f\xff\x51", "JPEG 2000" },
    { IMAGE_OTHER, 0, 2, "\xff\x0a", "JPEG XL" },
    { IMAGE_OTHER, 0, 4, "8BPS", "Photoshop" },
    { IMAGE_OTHER, 0, 4, "%PDF", "PDF" },
    { IMAGE_OTHER, 0, 2, "BM", "BMP" },
};

ImageFormat image_format(const uint8_t *bytes, size_t size, const char **name)
{
    const char *ignored;
    name = name ? name : &ignored;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const Magic *m = &magics[i];
        if (size >= m->at + m->size && memcmp(bytes + m->at, m->bytes, m->size) == 0) {
            *name = m->name;
            return m->format;
        }
    }
    *name = size == 0 ? "empty" : NULL;
    return IMAGE_OTHER;
}

static bool refuse(size_t size, const char *name, Err *err)
{
    if (size == 0)
        return err_set(err, ERR_INPUT, "the file is empty");
    if (name)
        err_set(err, ERR_INPUT, "this is a %s file; JPEG and PNG are read", name);
    else
        err_set(err, ERR_INPUT, "this is not a JPEG or PNG file");
    return err_hint(err, "convert it, remove it, or set data.skip_bad_rows: true");
}

bool image_decode(Image *image, const uint8_t *bytes, size_t size, Err *err)
{
    const char *name;
    *image = (Image){ 0 };
    switch (image_format(bytes, size, &name)) {
    case IMAGE_JPEG:
        return jpeg_decode(image, bytes, size, err);
    case IMAGE_PNG:
        return png_decode(image, bytes, size, err);
    case IMAGE_OTHER:
        break;
    }
    return refuse(size, name, err);
}

bool image_read(Image *image, const char *path, Err *err)
{
    FileMap map = { 0 };
    *image = (Image){ 0 };
    if (!file_map(&map, path, err))
        return false;
    const bool ok = image_decode(image, (const uint8_t *)map.data, map.size, err);
    file_unmap(&map);
    return ok || err_at(err, "%s", path);
}
