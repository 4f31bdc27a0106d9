/* onnx_model - a merged model as a graph of ONNX, for onnxruntime and Optimum: their names of inputs, outputs and axes;
 * of a language model with its cache of keys and values, so that one graph serves the prompt and each token behind it.
 *
 * The graph follows the description of the model (common/model/arch), as the layers of worker/ do; what it has no
 * nodes for is refused by its name.
 *
 * Threads: one. */
#ifndef COMMON_EXPORT_ONNX_MODEL_H
#define COMMON_EXPORT_ONNX_MODEL_H

#include "common/slots/merged.h"

typedef struct OnnxOptions {
    bool no_cache; /* of a language model: all tokens at a time */
    bool external; /* weights in a file of their own, however small */
} OnnxOptions;

/* FOLDER/model.onnx and, of more than 1.5 GB, model.onnx_data. */
MUST_USE bool onnx_model_write(const char *folder, Merged *merged, const SavedModel *saved, const OnnxOptions *options,
                               Err *err);

#endif
