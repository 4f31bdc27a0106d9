/* model_folder - a Hugging Face model folder is written: weights in shards, config.json, the tokenizer's files.
 *
 * One tensor at a time is in memory. Whoever writes models of other numbers (merged, trained whole) gives another
 * `write`; a folder of another format takes the files beside the weights from here.
 *
 * Owner: nothing is kept. Threads: any, one a folder. */
#ifndef COMMON_MODEL_MODEL_FOLDER_H
#define COMMON_MODEL_MODEL_FOLDER_H

#include "common/model/saved.h"

typedef struct ModelWeights {
    const SavedModel *saved; /* borrowed */
    int64_t shard_bytes; /* no file of weights gets larger, unless one tensor is */
    /* All numbers of the tensor, in its dtype and shape, into the file (tensor_write_f32). Called once for each. */
    bool (*write)(void *self, const SavedTensor *tensor, FILE *file, Err *err);
    void *self;
} ModelWeights;

/* FOLDER/model.safetensors, or model-00001-of-0000N.safetensors and an index, as Transformers names them. */
MUST_USE bool model_folder_weights(const char *folder, const ModelWeights *weights, Err *err);

/* config.json, and copies of what else the base's folder has that a model needs: tokenizer, image processor, chat
 * template, settings of generation. */
MUST_USE bool model_folder_files(const char *folder, const SavedModel *saved, Err *err);

#endif
