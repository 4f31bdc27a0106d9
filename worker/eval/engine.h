/* engine - a model as generation asks it (generate.h): a decoder that remembers what each lane was given.
 *
 * Owner: predict, evaluation. Threads: one. */
#ifndef WORKER_EVAL_ENGINE_H
#define WORKER_EVAL_ENGINE_H

#include "worker/eval/generate.h"
#include "worker/model/decode.h"

/* Zeroed is empty. */
typedef struct TextEngine {
    Decoder *decoder;
    const float *values; /* borrowed; NULL: the base alone */
    int64_t V, lanes;
} TextEngine;

typedef struct TextEngineOptions {
    const ModelArch *arch; /* these three are borrowed */
    Model *model;
    const float *values;
    int64_t longest; /* tokens of any text, its prompt included */
    int64_t lanes;
} TextEngineOptions;

MUST_USE bool text_engine_open(TextEngine *engine, const TextEngineOptions *options, Err *err);
void text_engine_close(TextEngine *engine);

/* False with *err (ERR_TRAINING): logits[0, count) are not finite, so no answer can be taken from them. */
MUST_USE bool engine_check(const float *logits, int64_t count, Err *err);

/* Borrows the engine. */
GenerateEngine text_engine(TextEngine *engine);

#endif
