/* dataset - examples as token ids with what is to be learnt: files are read, checked and encoded once,
 * into a cache file that the ranks of a node map.
 *
 * Readers (records.h) give records with file:line, rows.h turns them into examples. The cache
 * (cache.h) is keyed by the content of the files and by everything that encoding depends on. Of
 * images only the names are kept; pictures.h opens them.
 *
 * Owner: whoever opened it. Threads: const after opening. */
#ifndef WORKER_DATA_DATASET_H
#define WORKER_DATA_DATASET_H

#include "common/config/config.h"
#include "common/model/arch.h"
#include "worker/data/records.h"
#include "worker/tokenizer/tokenizer.h"

typedef struct Dataset {
    int64_t count; /* examples; COLUMNS: texts, those of a row one behind the other */
    int64_t columns; /* texts of a row; 1 but for COLUMNS */
    int64_t goal_width; /* floats of goal an example: 1, labels when multi-label, 0 when goals are a token's */
    const int64_t *start; /* [count+1] rows of the model: tokens; of an image 1 + patches */
    const int32_t *ids; /* tokens; NULL for images */
    const int32_t *types; /* token types, NULL when the model has none */
    const float *goal; /* [count * goal_width]; NULL when goals are a token's */
    const int32_t *token_goal; /* a token's goal as in Batch (worker/model/batch.h); NULL when goals are an example's */
    const int64_t *image_at; /* [count] into images: "FILE:PATH", FILE an index into the options' files */
    const char *images;
    const void *notes; /* QUESTIONS: what belongs to windows (questions.h); else NULL */
    int64_t longest; /* tokens of the longest example */
    int64_t skipped; /* bad rows left out (data.skip_bad_rows) */
    int64_t shared; /* COMPLETIONS: rows whose prompt and completion share a token */
    uint64_t digest; /* of all of it */
    void *block; /* owned */
    size_t block_size;
} Dataset;

/* What is read, and how; strings are borrowed and may be NULL where the kind does not need them. */
typedef struct DatasetOptions {
    RowKind kind;
    const StringList *files;
    const char *text, *text_pair,
        *label; /* columns; COMPLETIONS, SOURCES: text is the prompt, text_pair the completion;
                   QUESTIONS: question, context, answers */
    const char *form; /* TEXTS, COMPLETIONS: makes the text of the columns it names (form.h); `text` is NULL then */
    const char *system; /* MESSAGES: of conversations without one */
    const char *tokens, *tags, *messages;
    const StringList *columns; /* COLUMNS; the number is `label` */
    int64_t max_length, max_target_length, block_size; /* SOURCES: max_length is the source's */
    int64_t doc_stride; /* QUESTIONS: tokens that a window shares with the next */
    bool padded; /* QUESTIONS: all windows are max_length long */
    bool impossible; /* QUESTIONS: there may be no answer */
    int64_t limit; /* rows of each file, -1: all */
    bool skip_bad_rows;
    const DataTasks
        *tasks; /* several: each file is read by its task's columns, and labels are among its task's; NULL: one */
    const int *task_of; /* [files] */
    const DataTask *task; /* of the file that is read; dataset.c's */
    bool labelled; /* false: a missing label column is fine, goal is 0 (prediction) */
    const char *by, *by_whom; /* only rows whose field `by` is by_whom; NULL: all */
} DatasetOptions;

/* tokenizer may be NULL for images. */
MUST_USE bool dataset_open(Dataset *data, const DatasetOptions *options, const ModelArch *arch,
                           const Tokenizer *tokenizer, Err *err);
void dataset_release(Dataset *data);

/* Reads the first row of each file alone: false where dataset_open would stumble over names of files or
 * columns, the chat template, or that row. */
MUST_USE bool dataset_probe(const DatasetOptions *options, const ModelArch *arch, const Tokenizer *tokenizer, Err *err);

/* False with *err: dataset_open could not keep what it encodes, and has not kept it before. */
MUST_USE bool dataset_can_keep(const DatasetOptions *options, const ModelArch *arch, const Tokenizer *tokenizer,
                               Err *err);

/* The columns that the options name. Lent by them. */
RecordColumns dataset_columns(const DatasetOptions *options);

/* [count] the question that each window is of; NULL: rows are of nothing. Lent by the data. */
const int64_t *dataset_groups(const Dataset *data);

/* order[0, count) = a torch-ordered permutation, whose last `share` is held back, as validation_split.
 * Returns how many examples stay for training. */
int64_t dataset_split(int64_t count, double share, uint64_t seed, uint32_t *order);

#endif
