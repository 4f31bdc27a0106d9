#include "worker/images/process.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_EDGE 16384 /* pixels that a model may ask for */

/* ---- preprocessor_config.json ---------------------------------------------------- */

typedef struct ProcessorDefaults {
    const char *type;
    int64_t edge, crop_edge; /* crop_edge 0: no cropping */
    ResampleFilter filter;
} ProcessorDefaults;

static const ProcessorDefaults processors[] = {
    { "ViTImageProcessor", 224, 0, RESAMPLE_BILINEAR },
    { "DeiTImageProcessor", 256, 224, RESAMPLE_BICUBIC },
};

/* "ViTFeatureExtractor", "ViTImageProcessorFast" and "ViTImageProcessorPil" are all ViTImageProcessor. */
static char *base_type(const char *name)
{
    static const char old[] = "FeatureExtractor";
    size_t n = strlen(name);
    if (text_ends(name, "Fast"))
        n -= strlen("Fast");
    else if (text_ends(name, "Pil"))
        n -= strlen("Pil");
    else if (text_ends(name, old))
        return xprintf("%.*sImageProcessor", (int)(n - strlen(old)), name);
    return xstrndup(name, n);
}

static const ProcessorDefaults *find_processor(const json_t *config, Err *err)
{
    const char *name = json_get_string(config, "image_processor_type", NULL, err);
    name = name ? name : json_get_string(config, "feature_extractor_type", NULL, err);
    if (err->kind != ERR_NONE)
        return NULL;
    if (!name && json_object_get(config, "auto_map")) {
        err_set(err, ERR_INPUT, "the image processor is Python code of its own ('auto_map')");
        return NULL;
    }
    char *type = base_type(name ? name : processors[0].type);
    const ProcessorDefaults *found = NULL;
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++)
        if (strcmp(processors[i].type, type) == 0)
            found = &processors[i];
    if (!found) {
        err_set(err, ERR_INPUT, "image processor '%s' is not known", name);
        err_hint(err, "ViTImageProcessor and DeiTImageProcessor are");
    }
    free(type);
    return found;
}

static bool is_edge(int64_t edge)
{
    return edge >= 1 && edge <= MOST_EDGE;
}

static void wrong_edge(const char *key, Err *err)
{
    if (err->kind == ERR_NONE)
        err_set(err, ERR_INPUT, "'%s' is not 1 to %d pixels each way", key, MOST_EDGE);
}

/* 224, [224, 224], {"height": 224, "width": 224}, or {"shortest_edge": 224}; shortest NULL: not allowed. */
static void read_size(const json_t *config, const char *key, bool square, int64_t *height, int64_t *width,
                      int64_t *shortest, Err *err)
{
    const json_t *size = json_object_get(config, key);
    if (!size || json_is_null(size))
        return;
    int64_t edge = 0;
    if (json_is_object(size) && json_object_get(size, "shortest_edge") && json_object_size(size) == 1 && shortest) {
        edge = json_get_int(size, "shortest_edge", 0, err);
    } else if (json_is_object(size) && json_object_get(size, "height") && json_object_size(size) == 2) {
        *height = json_get_int(size, "height", 0, err);
        *width = json_get_int(size, "width", 0, err);
    } else if (json_is_array(size) && json_array_size(size) == 2) {
        *height = json_integer_value(json_array_get(size, 0));
        *width = json_integer_value(json_array_get(size, 1));
    } else if (json_is_integer(size) && (square || !shortest)) {
        *height = *width = json_integer_value(size);
    } else if (json_is_integer(size)) {
        edge = json_integer_value(size);
    } else if (err->kind == ERR_NONE) {
        err_set(err, ERR_INPUT, "'%s' is not a size that is known here", key);
        err_hint(err, "a number, [height, width], {height, width}%s are", shortest ? " and {shortest_edge}" : "");
    }
    if (edge != 0) {
        *shortest = edge;
        *height = *width = 0;
    }
    if (edge != 0 ? !is_edge(edge) : !is_edge(*height) || !is_edge(*width))
        wrong_edge(key, err);
}

/* A number for all channels, or one a channel. */
static void read_channels(const json_t *config, const char *key, double out[IMAGE_CHANNELS], Err *err)
{
    const json_t *value = json_object_get(config, key);
    bool ok = true;
    for (int c = 0; c < IMAGE_CHANNELS; c++)
        out[c] = 0.5; /* IMAGENET_STANDARD_MEAN and _STD */
    if (!value || json_is_null(value))
        return;
    ok = json_is_number(value) || (json_is_array(value) && json_array_size(value) == IMAGE_CHANNELS);
    for (size_t c = 0; ok && c < IMAGE_CHANNELS; c++) {
        const json_t *one = json_is_array(value) ? json_array_get(value, c) : value;
        out[c] = json_number_value(one);
        ok = json_is_number(one) && isfinite((float)out[c]);
    }
    if (!ok && err->kind == ERR_NONE)
        err_set(err, ERR_INPUT, "'%s' is not a number or a list of %d", key, IMAGE_CHANNELS);
}

/* In the steps and the precision of Transformers: float64 product, then float32. */
static void fill_values(ImageProcess *p, const json_t *config, Err *err)
{
    const bool rescale = json_get_bool(config, "do_rescale", true, err);
    const bool normalize = json_get_bool(config, "do_normalize", true, err);
    const double factor = json_get_real(config, "rescale_factor", 1.0 / 255.0, err);
    double mean[IMAGE_CHANNELS], deviation[IMAGE_CHANNELS];
    read_channels(config, "image_mean", mean, err);
    read_channels(config, "image_std", deviation, err);
    for (int c = 0; c < IMAGE_CHANNELS; c++) {
        for (int i = 0; i < 256; i++) {
            const float x = rescale ? (float)((double)i * factor) : (float)i;
            p->value[c][i] = normalize ? (x - (float)mean[c]) / (float)deviation[c] : x;
            if (!isfinite(p->value[c][i]) && err->kind == ERR_NONE)
                err_set(err, ERR_INPUT, "rescale_factor, image_mean and image_std make pixels that are no numbers");
        }
    }
}

static bool read_config(ImageProcess *p, const json_t *config, Err *err)
{
    if (!json_is_object(config))
        return err_set(err, ERR_INPUT, "not an object");
    const ProcessorDefaults *own = find_processor(config, err);
    if (!own)
        return false;
    *p = (ImageProcess){
        .height = own->edge, .width = own->edge, .crop_height = own->crop_edge, .crop_width = own->crop_edge
    };
    const int64_t filter = json_get_int(config, "resample", (int64_t)own->filter, err);
    const bool square = json_get_bool(config, "default_to_square", true, err);
    p->resize = json_get_bool(config, "do_resize", true, err);
    p->crop = json_get_bool(config, "do_center_crop", own->crop_edge > 0, err);
    json_get_bool(config, "do_convert_rgb", false, err); /* either way: RGB comes in */
    read_size(config, "size", square, &p->height, &p->width, &p->shortest_edge, err);
    read_size(config, "crop_size", true, &p->crop_height, &p->crop_width, NULL, err);
    if (p->crop && p->crop_height == 0)
        wrong_edge("crop_size", err);
    if (json_get_bool(config, "do_pad", false, err) && err->kind == ERR_NONE)
        err_set(err, ERR_INPUT, "'do_pad' is not done here");
    if ((filter < 0 || filter >= RESAMPLE_FILTERS) && err->kind == ERR_NONE)
        err_set(err, ERR_INPUT, "'resample' is not 0 to %d", RESAMPLE_FILTERS - 1);
    p->filter = (ResampleFilter)filter;
    fill_values(p, config, err);
    return err->kind == ERR_NONE;
}

bool image_process_parse(ImageProcess *process, const char *json, size_t size, const char *where, Err *err)
{
    Err own = { 0 };
    json_t *config = json_bytes(json, size, where, &own);
    bool ok = config != NULL;
    if (ok && !read_config(process, config, &own))
        ok = err_at(&own, "%s", where);
    json_decref(config);
    if (!ok && err)
        *err = own;
    return ok;
}

bool image_process_load(ImageProcess *process, const char *folder, Err *err)
{
    char *path = path_join(folder, "preprocessor_config.json");
    FileMap map = { 0 };
    bool ok = file_exists(path);
    if (!ok) {
        err_set(err, ERR_INPUT, "the model has no 'preprocessor_config.json'");
        err_at(err, "%s", folder);
        err_hint(err, "it says how images become pixels; copy it from where the model came from");
    }
    ok = ok && file_map(&map, path, err);
    ok = ok && image_process_parse(process, map.data ? map.data : "", map.size, path, err);
    file_unmap(&map);
    free(path);
    return ok;
}

/* ---- one image --------------------------------------------------------------------- */

static void resized_size(const ImageProcess *p, int64_t in_height, int64_t in_width, int64_t *height, int64_t *width)
{
    *height = p->resize ? p->height : in_height;
    *width = p->resize ? p->width : in_width;
    if (!p->resize || p->shortest_edge == 0)
        return;
    const bool upright = in_width <= in_height;
    const int64_t small = upright ? in_width : in_height, large = upright ? in_height : in_width;
    const int64_t other = p->shortest_edge * large / small;
    *height = upright ? other : p->shortest_edge;
    *width = upright ? p->shortest_edge : other;
}

void image_process_size(const ImageProcess *process, int64_t in_height, int64_t in_width, int64_t *height,
                        int64_t *width)
{
    resized_size(process, in_height, in_width, height, width);
    if (process->crop) {
        *height = process->crop_height;
        *width = process->crop_width;
    }
}

void image_planes(uint8_t *planes, const Image *image)
{
    const int64_t n = image->width * image->height;
    uint8_t *red = planes, *green = planes + n, *blue = planes + 2 * n;
    for (int64_t i = 0; i < n; i++) {
        red[i] = image->data[i * IMAGE_PIXEL];
        green[i] = image->data[i * IMAGE_PIXEL + 1];
        blue[i] = image->data[i * IMAGE_PIXEL + 2];
    }
}

/* Where a crop of `out` begins in `in` pixels; negative: so many of black come first. Transformers pads
 * with the larger half in front and then cuts. */
static int64_t crop_start(int64_t in, int64_t out)
{
    return in >= out ? (in - out) / 2 : -((out - in + 1) / 2);
}

/* planes[3, height, width] = the middle of the image, black around it where it is too small. */
static void center(uint8_t *planes, int64_t height, int64_t width, const Image *image)
{
    const int64_t top = crop_start(image->height, height), left = crop_start(image->width, width);
    for (int64_t y = 0; y < height; y++) {
        for (int64_t x = 0; x < width; x++) {
            const int64_t from_y = y + top, from_x = x + left;
            const bool inside = from_y >= 0 && from_y < image->height && from_x >= 0 && from_x < image->width;
            for (int64_t c = 0; c < IMAGE_CHANNELS; c++)
                planes[(c * height + y) * width + x] =
                    inside ? image->data[(from_y * image->width + from_x) * IMAGE_PIXEL + c] : 0;
        }
    }
}

bool image_process_apply(const ImageProcess *process, uint8_t *planes, int64_t height, int64_t width,
                         const Image *image, Err *err)
{
    int64_t new_height, new_width, out_height, out_width;
    image_process_size(process, image->height, image->width, &out_height, &out_width);
    if (out_height != height || out_width != width) {
        err_set(err, ERR_INPUT, "an image of %lld x %lld pixels comes out at %lld x %lld, the model takes %lld x %lld",
                (long long)image->width, (long long)image->height, (long long)out_width, (long long)out_height,
                (long long)width, (long long)height);
        return err_hint(err, "preprocessor_config.json should resize or crop to the model's image_size");
    }
    resized_size(process, image->height, image->width, &new_height, &new_width);
    Image resized = { 0 };
    const Image *last = image;
    if (new_height != image->height || new_width != image->width) {
        const ImageBox all = { 0, 0, image->width, image->height };
        if (!image_resample(&resized, image, all, new_width, new_height, process->filter, err))
            return false;
        last = &resized;
    }
    if (process->crop)
        center(planes, height, width, last);
    else
        image_planes(planes, last);
    image_release(&resized);
    return true;
}

void image_process_values(const ImageProcess *process, float *out, const uint8_t *planes, int64_t n)
{
    for (int64_t c = 0; c < IMAGE_CHANNELS; c++) {
        const float *value = process->value[c];
        for (int64_t i = 0; i < n; i++)
            out[c * n + i] = value[planes[c * n + i]];
    }
}
