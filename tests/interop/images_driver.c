/* images_driver - what worker/images makes of image files, for tests/interop/images.py.
 *
 *   images_driver MODEL SIZE <PATHS      for each path, a line each: int32 height, width (0 0: refused,
 *                                        why is on stderr), then uint8 [height, width, 3] as decoded and
 *                                        float32 [3, SIZE, SIZE] as MODEL/preprocessor_config.json says
 *   images_driver MODEL SIZE --speed <PATHS      images a second of one thread, by step */
#include "common/base/mem.h"
#include "worker/images/image_read.h"
#include "worker/images/process.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Driver {
    ImageProcess process;
    int64_t size;
    uint8_t *planes; /* [3, size, size] */
    float *values; /* [3, size, size] */
    double decoding, resizing, valuing; /* seconds */
    int64_t count;
} Driver;

/* Seconds that this thread has computed: other work on the machine does not count. */
static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void write_one(const Driver *d, const Image *image)
{
    const int32_t head[2] = { (int32_t)image->height, (int32_t)image->width };
    const int64_t n = image->height * image->width;
    uint8_t *packed = xmalloc((size_t)n * 3 + 1);
    for (int64_t i = 0; i < n; i++)
        memcpy(packed + 3 * i, image->data + IMAGE_PIXEL * i, 3);
    fwrite(head, sizeof head, 1, stdout);
    fwrite(packed, (size_t)n * 3, 1, stdout);
    if (n > 0)
        fwrite(d->values, sizeof *d->values, (size_t)(3 * d->size * d->size), stdout);
    free(packed);
}

static bool one(Driver *d, Image *image, const char *path, Err *err)
{
    const double start = cpu_now();
    if (!image_read(image, path, err))
        return false;
    const double decoded = cpu_now();
    if (!image_process_apply(&d->process, d->planes, d->size, d->size, image, err))
        return err_at(err, "%s", path);
    const double resized = cpu_now();
    image_process_values(&d->process, d->values, d->planes, d->size * d->size);
    d->valuing += cpu_now() - resized;
    d->resizing += resized - decoded;
    d->decoding += decoded - start;
    d->count++;
    return true;
}

int main(int argc, char **argv)
{
    Driver d = { .size = argc > 2 ? atoll(argv[2]) : 0 };
    const bool speed = argc > 3 && strcmp(argv[3], "--speed") == 0;
    Err err = { 0 };
    if (d.size < 1 || d.size > 4096 || !image_process_load(&d.process, argv[1], &err)) {
        err_print(&err, stderr);
        return 2;
    }
    d.planes = xmalloc((size_t)(3 * d.size * d.size));
    d.values = xmalloc((size_t)(3 * d.size * d.size) * sizeof *d.values);
    char path[4096];
    while (fgets(path, sizeof path, stdin)) {
        Image image = { 0 };
        path[strcspn(path, "\n")] = '\0';
        err = (Err){ 0 };
        if (!one(&d, &image, path, &err)) {
            image_release(&image);
            err_print(&err, stderr);
        }
        if (!speed) {
            write_one(&d, &image);
            fflush(stdout);
        }
        image_release(&image);
    }
    const double n = (double)d.count;
    if (speed)
        printf("%lld images: decode %.0f/s, resize %.0f/s, values %.0f/s, all %.0f/s\n", (long long)d.count,
               n / d.decoding, n / d.resizing, n / d.valuing, n / (d.decoding + d.resizing + d.valuing));
    free(d.planes);
    free(d.values);
    return 0;
}
