/* pictures - the images of a data set, opened: which of them are good, and their pixels in batches.
 *
 * worker/images does the work: images that are always the same stay in a cache of bytes, augmented ones
 * are decoded while the ranks wait, or else when a batch needs them.
 *
 * Owner: whoever opened it. Threads: one. */
#ifndef WORKER_DATA_PICTURES_H
#define WORKER_DATA_PICTURES_H

#include "worker/data/batch_room.h"
#include "worker/images/pixels.h"

typedef struct PicturesOptions {
    const StringList *files; /* of the data set; borrowed */
    bool random_crop, random_flip; /* torchvision's RandomResizedCrop, RandomHorizontalFlip */
    uint64_t seed; /* of these */
    bool skip_bad_rows; /* else a file that is no image is an error */
} PicturesOptions;

/* Zeroed is empty. */
typedef struct Pictures {
    ImageProcess process;
    Pixels *pixels;
    char **paths; /* [count], owned */
    int64_t count;
    uint32_t *good; /* [good_count] rows that have an image, owned */
    int64_t good_count;
} Pictures;

/* MODEL/preprocessor_config.json; what it makes must have the model's size. */
MUST_USE bool pictures_process(ImageProcess *process, const ModelArch *arch, Err *err);

/* `data` is of images. Decodes all of them once, unless the cache knows them. */
MUST_USE bool pictures_open(Pictures *pictures, const Dataset *data, const ModelArch *arch,
                            const PicturesOptions *options, Err *err);
void pictures_close(Pictures *pictures); /* safe on zeroed memory */

/* Floats of one image; 0: a model of texts. */
int64_t pictures_floats(const ModelArch *arch);

/* Before the first batch: most images of one, threads of the rank. */
MUST_USE bool pictures_start(Pictures *pictures, int64_t most, int threads, Err *err);

/* These rows are the next batch, in all likelihood. */
void pictures_expect(Pictures *pictures, const uint32_t *rows, int64_t count, int64_t epoch);

/* Fills in the pixels of a batch that batch_fill made of good rows, in the room. */
MUST_USE bool pictures_fill(Pictures *pictures, BatchRoom *room, Batch *batch, int64_t epoch, Err *err);

#endif
