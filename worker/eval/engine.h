/* engine - a model as generation asks it (generate.h): a decoder that remembers what each lane was given.
 *
 * Where the model is held in stages, each rank has an engine of its stage. The last one's is asked, and tells the others
 * what it is told; they follow it (text_engine_follow) until it is done: rows of each feed go up from the first stage to
 * the last.
 *
 * Owner: predict, evaluation. Threads: one. Collective: over the stages, as said. */
#ifndef WORKER_EVAL_ENGINE_H
#define WORKER_EVAL_ENGINE_H

#include "worker/comm/group.h"
#include "worker/eval/generate.h"
#include "worker/model/decode.h"

/* Zeroed is empty. */
typedef struct TextEngine {
    Decoder *decoder;
    Adapter *adapter; /* of the model's own slots, with the values */
    int64_t V, C, lanes, most_tokens;
    const Group *stages; /* borrowed; NULL: one */
    float *rows; /* [most_tokens, C] of a feed that come in, and go out; NULL: one stage */
    int64_t *fed; /* [3 lanes + 1] of a feed: lanes, where they start, how long they get */
    int32_t *ids; /* [most_tokens] */
} TextEngine;

typedef struct TextEngineOptions {
    const ModelArch *arch; /* these three are borrowed */
    Model *model;
    const float *values; /* may change between two calls of generate(); NULL: the base alone */
    int64_t longest; /* tokens of any text, its prompt included */
    int64_t lanes; /* fewer where a step of the model has no room for a token of each */
    int64_t tokens; /* that all lanes together can hold; 0: each its longest */
    const Group *stages; /* whose ranks hold a stage each, of which the model is this rank's; NULL: it is the whole */
} TextEngineOptions;

MUST_USE bool text_engine_open(TextEngine *engine, const TextEngineOptions *options, Err *err);
void text_engine_close(TextEngine *engine);

/* The values are these from the next generate() on; of one that is not open nothing happens. */
void text_engine_move(TextEngine *engine, const float *values);

/* Borrows the engine; of the last stage. */
GenerateEngine text_engine(TextEngine *engine);

/* A stage before the last: computes what the last one's engine is asked, until that is done. */
void text_engine_follow(TextEngine *engine);

/* The last stage: lets the others go on. */
void text_engine_done(const TextEngine *engine);

#endif
