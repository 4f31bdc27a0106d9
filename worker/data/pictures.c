#include "worker/data/pictures.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

int64_t pictures_floats(const ModelArch *arch)
{
    return IMAGE_CHANNELS * arch->image_size * arch->image_size;
}

bool pictures_process(ImageProcess *process, const ModelArch *arch, Err *err)
{
    const int64_t size = arch->image_size;
    int64_t height, width;
    REQUIRE(arch->channels == IMAGE_CHANNELS); /* no family has others */
    if (!image_process_load(process, arch->folder, err))
        return false;
    image_process_size(process, size, size, &height, &width);
    if (height == size && width == size)
        return true;
    err_set(err, ERR_INPUT, "preprocessor_config.json makes images of %lld x %lld, the model takes %lld x %lld",
            (long long)height, (long long)width, (long long)size, (long long)size);
    return err_at(err, "%s", arch->folder);
}

/* "FILE:PATH" of a row as a path; owned. */
static char *path_of(const Dataset *data, const StringList *files, int64_t row)
{
    char *name;
    const long file = strtol(data->images + data->image_at[row], &name, 10);
    REQUIRE(*name == ':' && file >= 0 && file < files->count);
    return path_join(files->items[file], name + 1);
}

static bool find_good(Pictures *p, bool skip, Err *err)
{
    p->good = xmalloc((size_t)p->count * sizeof *p->good);
    Err first = { 0 };
    for (int64_t i = 0; i < p->count; i++) {
        Err bad = { 0 };
        if (!pixels_bad(p->pixels, i, &bad)) {
            p->good[p->good_count++] = (uint32_t)i;
        } else if (!skip) {
            *err = bad;
            return false;
        } else if (first.kind == ERR_NONE) {
            first = bad;
        }
    }
    if (p->good_count > 0)
        return true;
    *err = first;
    return err_set(err, ERR_INPUT, "none of the %lld images can be used; the first: %s", (long long)p->count,
                   first.what);
}

bool pictures_open(Pictures *p, const Dataset *data, const ModelArch *arch, const PicturesOptions *o, Err *err)
{
    const ImageAugment usual = image_augment_usual();
    *p = (Pictures){ .count = data->count };
    if (!pictures_process(&p->process, arch, err))
        return false;
    p->paths = xcalloc((size_t)data->count, sizeof *p->paths);
    for (int64_t i = 0; i < data->count; i++)
        p->paths[i] = path_of(data, o->files, i);
    PixelsOptions pixels = {
        .process = &p->process, .height = arch->image_size, .width = arch->image_size, .seed = o->seed
    };
    if (o->random_crop || o->random_flip)
        pixels.augment = usual;
    pixels.augment.crop = o->random_crop;
    pixels.augment.flip = o->random_flip ? usual.flip : 0.0;
    p->pixels = pixels_open(&pixels, (const char *const *)p->paths, data->count, err);
    return p->pixels && find_good(p, o->skip_bad_rows, err);
}

void pictures_close(Pictures *p)
{
    pixels_close(p->pixels);
    for (int64_t i = 0; p->paths && i < p->count; i++)
        free(p->paths[i]);
    free(p->paths);
    free(p->good);
    *p = (Pictures){ 0 };
}

bool pictures_start(Pictures *p, int64_t most, int threads, Err *err)
{
    return pixels_start(p->pixels, most, threads, err);
}

void pictures_expect(Pictures *p, const uint32_t *rows, int64_t count, int64_t epoch)
{
    pixels_expect(p->pixels, rows, count, epoch);
}

bool pictures_fill(Pictures *p, BatchRoom *room, Batch *batch, int64_t epoch, Err *err)
{
    batch->pixels = room->pixels;
    return pixels_fill(p->pixels, room->pixels, room->row, batch->B, epoch, err);
}
