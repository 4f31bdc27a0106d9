/* Files made and decoded by Pillow (tests/interop/images.py --fixtures), and damaged copies of them. */
#include "worker/images/image_read.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIXTURES "tests/worker/images/fixtures"

/* Calls `check` with each file whose name begins so; how many there were. */
static int for_files(const char *prefix, void (*check)(const char *path))
{
    Err err = { 0 };
    size_t count;
    int seen = 0;
    char **names = folder_list(FIXTURES, &count, &err);
    assert_non_null(names);
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(FIXTURES, names[i]);
        if (text_starts(names[i], prefix) && !text_ends(names[i], ".rgb") && !file_is_folder(path)) {
            check(path);
            seen++;
        }
        free(path);
        free(names[i]);
    }
    free(names);
    return seen;
}

static void same_as_pillow(const char *path)
{
    Err err = { 0 };
    Image image;
    if (!image_read(&image, path, &err))
        fail_msg("%s: %s", err.where, err.what);
    char *beside = xprintf("%s.rgb", path);
    size_t size;
    char *want = file_read(beside, &size, &err);
    assert_non_null(want);
    uint32_t head[2];
    memcpy(head, want, sizeof head);
    if (head[0] != image.width || head[1] != image.height)
        fail_msg("%s: %lld x %lld", path, (long long)image.width, (long long)image.height);
    assert_int_equal(size, sizeof head + 3U * head[0] * head[1]);
    for (int64_t i = 0; i < image.width * image.height; i++)
        if (memcmp(image.data + i * IMAGE_PIXEL, want + sizeof head + 3 * i, 3) != 0)
            fail_msg("%s: pixel %lld differs", path, (long long)i);
    image_release(&image);
    free(want);
    free(beside);
}

static void jpeg_files_decode_as_in_pillow(void **state)
{
    (void)state;
    assert_int_equal(for_files("jpeg-", same_as_pillow), 11); /* sampling, progressive, grey, RGB, CMYK, YCCK, EXIF */
}

static void png_files_of_every_depth_and_colour_decode_as_in_pillow(void **state)
{
    (void)state;
    assert_int_equal(for_files("png-", same_as_pillow), 41); /* plain, interlaced, with tRNS */
}

static void an_animated_png_is_its_first_image(void **state)
{
    (void)state;
    assert_int_equal(for_files("apng", same_as_pillow), 2);
}

static void refused(const char *path)
{
    Err err = { 0 };
    Image image;
    assert_false(image_read(&image, path, &err));
    assert_null(image.data);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_string_equal(err.where, path);
}

static void files_that_are_no_whole_images_are_refused(void **state)
{
    (void)state;
    assert_int_equal(for_files("refused-", refused), 12);
}

static void expect_reason(const char *name, const char *reason)
{
    Err err = { 0 };
    Image image;
    char *path = path_join(FIXTURES, name);
    assert_false(image_read(&image, path, &err));
    if (!strstr(err.what, reason))
        fail_msg("%s: %s", name, err.what);
    free(path);
}

static void a_refusal_says_why(void **state)
{
    (void)state;
    expect_reason("refused-gif", "a GIF file");
    expect_reason("refused-webp", "a WebP file");
    expect_reason("refused-tiff", "a TIFF file");
    expect_reason("refused-bmp", "a BMP file");
    expect_reason("refused-empty", "empty");
    expect_reason("refused-text", "not a JPEG or PNG");
    expect_reason("refused-cut-jpeg", "cut short");
    expect_reason("refused-cut-jpeg-end", "cut short");
    expect_reason("refused-cut-png", "cut short");
    expect_reason("refused-huge-png", "too large");
    expect_reason("no-such-file", "there is no such file");
}

/* ---- damage ------------------------------------------------------------------------- */

static uint32_t crc(const uint8_t *bytes, size_t n)
{
    uint32_t c = 0xffffffffU;
    for (size_t i = 0; i < n; i++) {
        c ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? 0xedb88320U ^ (c >> 1) : c >> 1;
    }
    return ~c;
}

/* Sums made right again, so that damage gets past the first check. */
static void mend_png(uint8_t *bytes, size_t size)
{
    for (size_t at = 8; at + 12 <= size;) {
        const size_t n =
            (size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (n > size - at - 12)
            return;
        const uint32_t sum = crc(bytes + at + 4, n + 4);
        for (int i = 0; i < 4; i++)
            bytes[at + 8 + n + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
        at += n + 12;
    }
}

static void damage_does_no_harm(const char *path)
{
    Err err = { 0 };
    size_t size;
    char *whole = file_read(path, &size, &err);
    assert_non_null(whole);
    for (int round = 0; round < 40 && size > 0; round++) {
        const RngKey key = rng_key(7, round, (int64_t)size, 1);
        const size_t kept = rng_bits(key, 0) % 4 == 0 ? rng_bits(key, 1) % size + 1 : size;
        uint8_t *bytes = xmalloc(kept); /* of its very size, so that a byte too many is seen */
        memcpy(bytes, whole, kept);
        for (uint32_t i = 0; i <= rng_bits(key, 2) % 4; i++)
            bytes[rng_bits(key, 10 + 2 * i) % kept] = (uint8_t)rng_bits(key, 11 + 2 * i);
        if (round % 2 == 0)
            mend_png(bytes, kept);
        Image image;
        Err fault = { 0 };
        if (image_decode(&image, bytes, kept, &fault)) {
            assert_true(image.width > 0 && image.height > 0);
        } else {
            assert_int_not_equal(fault.kind, ERR_NONE);
            assert_null(image.data);
        }
        image_release(&image);
        free(bytes);
    }
    free(whole);
}

static void damaged_files_are_refused_or_decoded_but_never_harm(void **state)
{
    (void)state;
    assert_true(for_files("", damage_does_no_harm) > 60);
}

static void every_beginning_of_a_file_is_refused(void **state)
{
    static const char *const names[] = { "jpeg-420-progressive", "jpeg-cmyk", "png-pal-4-trns", "png-rgb-16-adam7" };
    (void)state;
    for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
        Err err = { 0 };
        size_t size;
        char *path = path_join(FIXTURES, names[f]), *whole = file_read(path, &size, &err);
        assert_non_null(whole);
        for (size_t n = 0; n + 16 < size; n++) { /* a PNG's end mark is not missed */
            Image image;
            uint8_t *bytes = xmalloc(n + 1);
            memcpy(bytes, whole, n);
            if (image_decode(&image, bytes, n, &err))
                fail_msg("%s: its first %zu bytes of %zu are an image", names[f], n, size);
            free(bytes);
        }
        free(whole);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_files_decode_as_in_pillow),
        cmocka_unit_test(png_files_of_every_depth_and_colour_decode_as_in_pillow),
        cmocka_unit_test(an_animated_png_is_its_first_image),
        cmocka_unit_test(files_that_are_no_whole_images_are_refused),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(damaged_files_are_refused_or_decoded_but_never_harm),
        cmocka_unit_test(every_beginning_of_a_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
