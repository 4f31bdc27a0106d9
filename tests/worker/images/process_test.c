/* Sizes, crops and values against Pillow's and Transformers' own (fixtures), and the chances of
 * augmentation against its rules. */
#include "worker/images/process.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/tensor/safetensors.h"
#include "tests/support/must.h"
#include "worker/images/augment.h"
#include "worker/images/image_read.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIXTURES "tests/worker/images/fixtures/"

static ImageProcess parsed(const char *json)
{
    Err err = { 0 };
    ImageProcess process;
    must(image_process_parse(&process, json, strlen(json), "p.json", &err), &err);
    return process;
}

/* width x height; what is in a place depends on it alone. */
static Image painted(int64_t width, int64_t height)
{
    Err err = { 0 };
    Image image;
    must(image_init(&image, width, height, &err), &err);
    for (int64_t i = 0; i < width * height; i++)
        for (int64_t c = 0; c < IMAGE_PIXEL; c++)
            image.data[i * IMAGE_PIXEL + c] = (uint8_t)(i * 7 + c * 50 + i / width * 3);
    return image;
}

/* ---- resizing ------------------------------------------------------------------------- */

static const uint8_t *take(const uint8_t **at, size_t n)
{
    const uint8_t *bytes = *at;
    *at += n;
    return bytes;
}

static uint32_t take_number(const uint8_t **at)
{
    uint32_t v;
    memcpy(&v, take(at, sizeof v), sizeof v);
    return v;
}

static bool same_pixels(const Image *image, const uint8_t *rgb)
{
    for (int64_t i = 0; i < image->width * image->height; i++)
        if (memcmp(image->data + i * IMAGE_PIXEL, rgb + 3 * i, 3) != 0)
            return false;
    return true;
}

static void every_filter_resizes_as_in_pillow(void **state)
{
    (void)state;
    Err err = { 0 };
    FileMap map;
    must(file_map(&map, FIXTURES "resample.bin", &err), &err);
    const uint8_t *at = (const uint8_t *)map.data, *end = at + map.size;
    const uint32_t width = take_number(&at), height = take_number(&at);
    Image source;
    must(image_init(&source, width, height, &err), &err);
    const uint8_t *rgb = take(&at, 3U * width * height);
    for (size_t i = 0; i < (size_t)width * height; i++)
        memcpy(source.data + i * IMAGE_PIXEL, rgb + 3 * i, 3);
    int cases = 0;
    for (; at < end; cases++) {
        ImageBox box = { .left = take_number(&at) };
        box.top = take_number(&at);
        box.width = take_number(&at);
        box.height = take_number(&at);
        const uint32_t w = take_number(&at), h = take_number(&at), filter = take_number(&at);
        Image resized;
        must(image_resample(&resized, &source, box, w, h, (ResampleFilter)filter, &err), &err);
        if (!same_pixels(&resized, take(&at, 3U * w * h)))
            fail_msg("filter %u, to %u x %u, case %d", filter, w, h, cases);
        image_release(&resized);
    }
    assert_int_equal(cases, 54);
    image_release(&source);
    file_unmap(&map);
}

static void a_size_that_is_right_already_is_copied(void **state)
{
    (void)state;
    Err err = { 0 };
    Image image = painted(5, 4), copy;
    must(image_resample(&copy, &image, (ImageBox){ 0, 0, 5, 4 }, 5, 4, RESAMPLE_LANCZOS, &err), &err);
    assert_memory_equal(copy.data, image.data, 5 * 4 * IMAGE_PIXEL);
    image_release(&copy);
    image_release(&image);
}

/* ---- preprocessor_config.json ------------------------------------------------------------ */

/* The bytes are the golden ones, all of them. The golden values were rescaled in float32, Transformers
 * does it in float64 and rounds once: 2^-23 is the most that this makes. */
static void expect_golden(const TensorView *want, const float *values)
{
    assert_int_equal(want->bytes, 3 * 32 * 32 * sizeof *values);
    for (int64_t i = 0; i < want->count; i++) {
        float one;
        memcpy(&one, (const char *)want->data + i * (int64_t)sizeof one, sizeof one);
        if (fabsf(one - values[i]) > 0x1p-23f)
            fail_msg("%s: value %lld is %.9g, not %.9g", want->name, (long long)i, values[i], one);
    }
}

static void the_golden_images_become_the_golden_pixels(void **state)
{
    (void)state;
    Err err = { 0 };
    ImageProcess process;
    must(image_process_load(&process, FIXTURES "vit", &err), &err);
    SafeTensors *golden = safetensors_open(FIXTURES "vit/pixels.safetensors", &err);
    assert_non_null(golden);
    assert_int_equal(safetensors_count(golden), 8);
    for (int64_t i = 0; i < safetensors_count(golden); i++) {
        const TensorView *want = safetensors_at(golden, i);
        char *path = xprintf(FIXTURES "vit/%s", want->name);
        Image image;
        uint8_t planes[3 * 32 * 32];
        float values[3 * 32 * 32];
        must(image_read(&image, path, &err), &err);
        must(image_process_apply(&process, planes, 32, 32, &image, &err), &err);
        image_process_values(&process, values, planes, 32 * 32);
        expect_golden(want, values);
        image_release(&image);
        free(path);
    }
    safetensors_close(golden);
}

static void what_is_absent_or_null_is_the_processors_default(void **state)
{
    (void)state;
    const ImageProcess vit = parsed("{\"size\": null, \"do_center_crop\": null}");
    assert_int_equal(vit.height, 224);
    assert_int_equal(vit.filter, RESAMPLE_BILINEAR);
    assert_true(vit.resize && !vit.crop);
    assert_true(vit.value[0][0] == -1.0f && vit.value[2][255] == 1.0f);
    const ImageProcess deit = parsed("{\"feature_extractor_type\": \"DeiTFeatureExtractor\"}");
    assert_int_equal(deit.height, 256);
    assert_int_equal(deit.crop_width, 224);
    assert_int_equal(deit.filter, RESAMPLE_BICUBIC);
    assert_true(deit.crop);
}

static void sizes_are_numbers_pairs_or_objects(void **state)
{
    (void)state;
    int64_t h, w;
    ImageProcess p = parsed("{\"image_processor_type\": \"ViTImageProcessorFast\", \"size\": 96}");
    assert_true(p.height == 96 && p.width == 96);
    p = parsed("{\"size\": [64, 48]}");
    assert_true(p.height == 64 && p.width == 48);
    p = parsed("{\"size\": {\"width\": 10, \"height\": 20}}");
    assert_true(p.height == 20 && p.width == 10);
    p = parsed("{\"size\": {\"shortest_edge\": 100}}");
    image_process_size(&p, 333, 500, &h, &w);
    assert_true(h == 100 && w == 150); /* int(100 * 500 / 333) */
    image_process_size(&p, 500, 333, &h, &w);
    assert_true(h == 150 && w == 100);
    p = parsed("{\"size\": {\"shortest_edge\": 100}, \"do_center_crop\": true, \"crop_size\": 80}");
    image_process_size(&p, 500, 333, &h, &w);
    assert_true(h == 80 && w == 80);
}

static void values_are_rescaled_in_double_and_normalised_in_float(void **state)
{
    (void)state;
    ImageProcess p = parsed("{\"image_mean\": [0.485, 0.456, 0.406], \"image_std\": [0.229, 0.224, 0.225]}");
    assert_true(p.value[1][77] == ((float)(77 * (1.0 / 255.0)) - 0.456f) / 0.224f);
    p = parsed("{\"do_normalize\": false, \"rescale_factor\": 0.5}");
    assert_true(p.value[0][7] == 3.5f);
    p = parsed("{\"do_rescale\": false, \"image_mean\": 1, \"image_std\": 2.0}");
    assert_true(p.value[2][7] == 3.0f);
    p = parsed("{\"do_rescale\": false, \"do_normalize\": false}");
    assert_true(p.value[2][7] == 7.0f);
}

static void expect_fault(const char *json, const char *reason)
{
    Err err = { 0 };
    ImageProcess p;
    assert_false(image_process_parse(&p, json, strlen(json), "p.json", &err));
    assert_int_equal(err.kind, ERR_INPUT);
    if (!strstr(err.what, reason) || !text_starts(err.where, "p.json"))
        fail_msg("%s: %s at %s", json, err.what, err.where);
}

static void a_config_that_asks_for_something_else_is_refused(void **state)
{
    (void)state;
    expect_fault("{\"image_processor_type\": \"CLIPImageProcessor\"}", "'CLIPImageProcessor' is not known");
    expect_fault("{\"auto_map\": {}}", "Python code");
    expect_fault("{\"size\": {\"longest_edge\": 5}}", "'size' is not a size");
    expect_fault("{\"size\": {\"height\": 5}}", "'size' is not a size");
    expect_fault("{\"size\": 0}", "'size' is not 1 to");
    expect_fault("{\"size\": {\"height\": 5, \"width\": -1}}", "'size' is not 1 to");
    expect_fault("{\"size\": {\"shortest_edge\": 1e300}}", "shortest_edge");
    expect_fault("{\"size\": {\"height\": 100000000, \"width\": 2}}", "'size' is not 1 to");
    expect_fault("{\"do_center_crop\": true}", "'crop_size'");
    expect_fault("{\"resample\": 9}", "'resample'");
    expect_fault("{\"do_resize\": \"yes\"}", "do_resize");
    expect_fault("{\"image_mean\": [1, 2]}", "'image_mean'");
    expect_fault("{\"image_std\": [1, 0, 1]}", "no numbers");
    expect_fault("{\"do_pad\": true}", "do_pad");
    expect_fault("[]", "not an object");
    expect_fault("{", "JSON");
}

static void a_model_without_the_file_is_told_so(void **state)
{
    (void)state;
    Err err = { 0 };
    ImageProcess p;
    assert_false(image_process_load(&p, FIXTURES, &err));
    assert_non_null(strstr(err.what, "preprocessor_config.json"));
}

static void a_crop_takes_the_middle_and_pads_with_black(void **state)
{
    (void)state;
    Err err = { 0 };
    const ImageProcess p = parsed("{\"do_resize\": false, \"do_center_crop\": true, \"crop_size\": [4, 3]}");
    Image image = painted(6, 1); /* 6 wide: columns 1 to 3; 1 high: below two black rows of three */
    uint8_t planes[3 * 4 * 3];
    must(image_process_apply(&p, planes, 4, 3, &image, &err), &err);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 3; x++)
                assert_int_equal(planes[(c * 4 + y) * 3 + x], y == 2 ? image.data[(1 + x) * IMAGE_PIXEL + c] : 0);
    image_release(&image);
}

static void an_image_of_another_size_than_the_models_is_refused(void **state)
{
    (void)state;
    Err err = { 0 };
    const ImageProcess p = parsed("{\"size\": {\"shortest_edge\": 4}}");
    Image image = painted(6, 3);
    uint8_t planes[3 * 4 * 4];
    assert_false(image_process_apply(&p, planes, 4, 4, &image, &err));
    assert_non_null(strstr(err.what, "comes out at 8 x 4, the model takes 4 x 4"));
    image_release(&image);
}

/* ---- augmentation --------------------------------------------------------------------------- */

static void boxes_have_the_areas_and_ratios_of_the_rule(void **state)
{
    (void)state;
    const ImageAugment usual = image_augment_usual();
    const int draws = 4000;
    double area = 0.0, left = 0.0;
    for (int i = 0; i < draws; i++) {
        const ImageBox b = image_augment_box(&usual, 400, 400, rng_key(1, 2, i, 3));
        assert_true(b.left >= 0 && b.top >= 0 && b.left + b.width <= 400 && b.top + b.height <= 400);
        const double share = (double)(b.width * b.height) / 160000.0, ratio = (double)b.width / (double)b.height;
        assert_true(share > 0.078 && share <= 1.0 && ratio > 0.74 && ratio < 1.35);
        area += share / draws;
        left += b.width == 400 ? 0.5 / draws : (double)b.left / (double)(400 - b.width) / draws;
    }
    assert_true(area > 0.45 && area < 0.55); /* 0.54, less what did not fit */
    assert_true(left > 0.48 && left < 0.52);
}

static void a_strip_where_no_box_fits_gives_its_middle(void **state)
{
    (void)state;
    const ImageAugment usual = image_augment_usual();
    const ImageBox b = image_augment_box(&usual, 1000, 3, rng_key(1, 2, 3, 4));
    assert_int_equal(b.height, 3);
    assert_int_equal(b.width, 4);
    assert_int_equal(b.left, 498);
}

static void half_the_images_are_mirrored(void **state)
{
    (void)state;
    Err err = { 0 };
    const ImageProcess p = parsed("{\"do_resize\": false}");
    const ImageAugment flip = { .flip = 0.5 };
    Image image = painted(5, 4);
    uint8_t plain[3 * 5 * 4], planes[3 * 5 * 4];
    int mirrored = 0;
    image_planes(plain, &image);
    for (int i = 0; i < 400; i++) {
        must(image_augment_apply(&flip, &p, planes, 4, 5, &image, rng_key(1, i, 0, 0), &err), &err);
        const bool same = memcmp(planes, plain, sizeof plain) == 0;
        for (int row = 0; !same && row < 3 * 4; row++)
            for (int x = 0; x < 5; x++)
                assert_int_equal(planes[row * 5 + x], plain[row * 5 + 4 - x]);
        mirrored += !same;
    }
    assert_in_range(mirrored, 160, 240);
    image_release(&image);
}

static void augmentation_out_of_range_is_refused(void **state)
{
    (void)state;
    Err err = { 0 };
    ImageAugment a = image_augment_usual();
    assert_true(image_augment_check(&a, &err));
    a.scale[0] = 0.0;
    assert_false(image_augment_check(&a, &err));
    a = image_augment_usual();
    a.ratio[0] = 2.0;
    assert_false(image_augment_check(&a, &err));
    a = (ImageAugment){ .flip = 1.5 };
    assert_false(image_augment_check(&a, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_filter_resizes_as_in_pillow),
        cmocka_unit_test(a_size_that_is_right_already_is_copied),
        cmocka_unit_test(the_golden_images_become_the_golden_pixels),
        cmocka_unit_test(what_is_absent_or_null_is_the_processors_default),
        cmocka_unit_test(sizes_are_numbers_pairs_or_objects),
        cmocka_unit_test(values_are_rescaled_in_double_and_normalised_in_float),
        cmocka_unit_test(a_config_that_asks_for_something_else_is_refused),
        cmocka_unit_test(a_model_without_the_file_is_told_so),
        cmocka_unit_test(a_crop_takes_the_middle_and_pads_with_black),
        cmocka_unit_test(an_image_of_another_size_than_the_models_is_refused),
        cmocka_unit_test(boxes_have_the_areas_and_ratios_of_the_rule),
        cmocka_unit_test(a_strip_where_no_box_fits_gives_its_middle),
        cmocka_unit_test(half_the_images_are_mirrored),
        cmocka_unit_test(augmentation_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
