/* generate - texts that follow prompts, token by token.
 *
 * Prompts go side by side, as many as there are lanes, and the next joins when one ends (writer.h). What one prompt
 * gets does not depend on those beside it, as far as the engine's logits do not.
 *
 * Owner: predict, evaluation. Threads: one at a time. */
#ifndef WORKER_EVAL_GENERATE_H
#define WORKER_EVAL_GENERATE_H

#include "common/config/config.h"
#include "worker/eval/writer.h"

typedef struct GeneratePrompts {
    int64_t B;
    const int64_t *start; /* [B+1], no prompt is empty */
    const int32_t *ids;
    const int64_t *example; /* [B] keys of the draws */
    Adapter *const *adapter; /* [B] who writes; NULL: the engine's own */
} GeneratePrompts;

/* ids[0, count) of a generated text, owned. */
typedef struct Generated {
    int32_t *ids;
    int64_t count;
} Generated;

/* From the run's keys; end tokens are those of generation_config.json (else of config.json) and the
 * tokenizer's eos_token. positions: tokens of a prompt and its text together. */
MUST_USE bool generate_options(GenerateOptions *options, const DataConfig *data, uint64_t seed, const ModelArch *arch,
                               int64_t positions, const Tokenizer *tokenizer, Err *err);

/* texts[B] (written, zeroed first; generated_release each). tokenizer: for stop strings. */
MUST_USE bool generate(Generated *texts, const GenerateOptions *options, const GeneratePrompts *prompts,
                       const GenerateEngine *engine, const Tokenizer *tokenizer, Err *err);
void generated_release(Generated *text);

#endif
