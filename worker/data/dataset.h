/* dataset - labelled texts as token ids: files are read, checked and encoded once, into a cache file
 * that the ranks of a node map.
 *
 * Readers (records.h) give records with file:line; labels are names or numbers. The cache lies in
 * the run's output_dir and is keyed by the content of the files and by everything that encoding
 * depends on.
 *
 * Owner: whoever opened it. Threads: const after opening. */
#ifndef WORKER_DATA_DATASET_H
#define WORKER_DATA_DATASET_H

#include "common/config/config.h"
#include "common/model/arch.h"
#include "worker/tokenizer/tokenizer.h"

typedef struct Dataset {
    int64_t count;          /* examples */
    int64_t goal_width;     /* floats of goal an example: 1, or labels when multi-label */
    const int64_t *start;   /* [count+1] into ids */
    const int32_t *ids;     /* tokens */
    const int32_t *types;   /* token types, NULL when the model has none */
    const float *goal;      /* [count * goal_width] */
    int64_t longest;        /* tokens of the longest example */
    int64_t skipped;        /* bad rows left out (data.skip_bad_rows) */
    uint64_t digest;        /* of all of it */
    void *block;            /* owned */
    size_t block_size;
} Dataset;

typedef struct DatasetOptions {
    const StringList *files;
    const char *text, *text_pair, *label; /* columns; text_pair may be NULL */
    int64_t max_length;
    int64_t limit; /* examples of each file, -1: all */
    bool skip_bad_rows;
    bool labelled; /* false: a missing label column is fine, goal is 0 (prediction) */
} DatasetOptions;

MUST_USE bool dataset_open(Dataset *data, const DatasetOptions *options, const ModelArch *arch,
                           const Tokenizer *tokenizer, Err *err);
void dataset_release(Dataset *data);

/* Names of all labels in the files, sorted, when they are names (not 0 .. n-1): for runs and models
 * that do not say. Adds to *names. */
MUST_USE bool dataset_labels(const DatasetOptions *options, StringList *names, Err *err);

/* The last `share` of a torch-ordered permutation goes to `other`, as validation_split; both views
 * stay valid while *data does (indices into it). Returns how many examples stay for training. */
int64_t dataset_split(const Dataset *data, double share, uint64_t seed, uint32_t *order);

#endif
