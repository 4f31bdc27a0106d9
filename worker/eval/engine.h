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
    Adapter *adapter; /* of the model's own slots, with the values */
    int64_t V, lanes, most_tokens;
} TextEngine;

typedef struct TextEngineOptions {
    const ModelArch *arch; /* these three are borrowed */
    Model *model;
    const float *values; /* may change between two calls of generate(); NULL: the base alone */
    int64_t longest; /* tokens of any text, its prompt included */
    int64_t lanes; /* fewer where a step of the model has no room for a token of each */
    int64_t tokens; /* that all lanes together can hold; 0: each its longest */
} TextEngineOptions;

MUST_USE bool text_engine_open(TextEngine *engine, const TextEngineOptions *options, Err *err);
void text_engine_close(TextEngine *engine);

/* Borrows the engine. */
GenerateEngine text_engine(TextEngine *engine);

#endif
