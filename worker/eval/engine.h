/* engine - a model as generation asks it: what follows each of some texts (generate.h).
 *
 * A text is computed as a whole for each of its tokens, which is exact and needs no memory but the
 * logits of one text; a prompt's cost grows with the square of what is written.
 *
 * Owner: predict, evaluation. Threads: one. */
#ifndef WORKER_EVAL_ENGINE_H
#define WORKER_EVAL_ENGINE_H

#include "worker/eval/generate.h"
#include "worker/model/model.h"

/* Zeroed is empty. */
typedef struct TextEngine {
    Model *model;        /* borrowed, like values */
    const float *values; /* NULL: the base alone */
    int64_t V, longest, lanes;
    int32_t *ids;        /* [lanes, longest] */
    int64_t *count;      /* [lanes] tokens of each */
    float *logits;       /* [longest, V] */
} TextEngine;

/* longest: tokens of any text, as the model was opened for. */
MUST_USE bool text_engine_open(TextEngine *engine, Model *model, const ModelArch *arch, const float *values,
                               int64_t longest, int64_t lanes, Err *err);
void text_engine_close(TextEngine *engine);

/* Borrows the engine. */
GenerateEngine text_engine(TextEngine *engine);

#endif
