/* generate - texts that follow prompts, token by token.
 *
 * Prompts of a batch go side by side and leave it when they end: at an end token (left out), behind
 * a stop string, after max_new_tokens, or where the model has no more positions. What one prompt
 * gets does not depend on the batch it stands in, as far as the engine's logits do not.
 *
 * Owner: predict, evaluation. Threads: one at a time. */
#ifndef WORKER_EVAL_GENERATE_H
#define WORKER_EVAL_GENERATE_H

#include "common/config/config.h"
#include "worker/eval/sample.h"
#include "worker/tokenizer/tokenizer.h"

enum { GENERATE_ENDS = 16 };

typedef struct GenerateOptions {
    SampleOptions sample;
    int64_t max_new_tokens;
    int64_t positions; /* of the model: prompt and text together */
    int32_t ends[GENERATE_ENDS]; /* end tokens */
    int end_count;
    const StringList *stop; /* may be empty; borrowed */
} GenerateOptions;

/* What the sequences of a batch are given next: ids[start[i], start[i+1]) to lane[i]. */
typedef struct GenerateFeed {
    bool first;
    int64_t count;
    const int64_t *lane; /* [count] below the engine's lanes */
    const int64_t *start; /* [count+1] */
    const int32_t *ids;
} GenerateFeed;

/* Whoever computes: remembers what each lane was given and writes logits[count, V] of what follows.
 * With `first` the lanes begin anew, with their prompts. */
typedef struct GenerateEngine {
    void *self;
    int64_t V, lanes; /* words; most prompts at a time: more go in turns */
    bool (*feed)(void *self, const GenerateFeed *feed, float *logits, Err *err);
} GenerateEngine;

typedef struct GeneratePrompts {
    int64_t B;
    const int64_t *start; /* [B+1], no prompt is empty */
    const int32_t *ids;
    const int64_t *example; /* [B] keys of the draws */
} GeneratePrompts;

/* ids[0, count) of a generated text, owned. */
typedef struct Generated {
    int32_t *ids;
    int64_t count;
} Generated;

/* From the run's keys; end tokens are those of generation_config.json (else of config.json) and the
 * tokenizer's eos_token. */
MUST_USE bool generate_options(GenerateOptions *options, const DataConfig *data, uint64_t seed,
                               const char *model_folder, int64_t positions, const Tokenizer *tokenizer, Err *err);

/* texts[B] (written, zeroed first; generated_release each). tokenizer: for stop strings. */
MUST_USE bool generate(Generated *texts, const GenerateOptions *options, const GeneratePrompts *prompts,
                       const GenerateEngine *engine, const Tokenizer *tokenizer, Err *err);
void generated_release(Generated *text);

#endif
