/* sample - which token comes next: logits processors, then the likeliest or a draw.
 *
 * First what is added to tokens (bias), then Transformers' repetition penalty, then OpenAI's penalties: a token that
 * occurs c > 0 times behind the prompt loses c * frequency_penalty + presence_penalty. Where do_sample is set,
 * temperature, top_k, top_p and min_p follow, by order and definition those of Transformers'
 * generation/logits_process.py. A draw is a function of (seed, example, position), not of the batch it stands in.
 * (torch's own draws cannot be had without torch.)
 *
 * Owner: the generation. Threads: any, each with a Sampler of its own. */
#ifndef WORKER_EVAL_SAMPLE_H
#define WORKER_EVAL_SAMPLE_H

#include "common/base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* What is added to a token's logit. */
typedef struct TokenBias {
    int32_t id;
    float bias;
} TokenBias;

typedef struct SampleOptions {
    bool do_sample;
    double temperature, top_p, repetition_penalty; /* 1: no effect */
    int64_t top_k; /* 0: all */
    uint64_t seed;
    double min_p, presence_penalty, frequency_penalty; /* 0: no effect */
    const TokenBias *bias; /* [bias_count], ids in 0 .. V-1, each once; borrowed */
    int64_t bias_count;
} SampleOptions;

typedef struct SampleToken {
    int32_t id;
    float logit;
} SampleToken;

/* Zeroed, with o set, is ready. */
typedef struct Sampler {
    SampleOptions o;
    int64_t prompt; /* ids[0, prompt) are not of the text */
    SampleToken *tokens; /* candidates, likeliest first; owned */
    int32_t *seen; /* [room], zero between calls; owned */
    int64_t count, room;
} Sampler;

/* False with *err (ERR_TRAINING): logits[0, count) are not finite, so no answer can be taken from them. */
MUST_USE bool sample_check(const float *logits, int64_t count, Err *err);
bool sample_broken(Err *err); /* false: says that they are not */

void sampler_release(Sampler *sampler);

/* The candidates for what follows ids[0, n), by logits[V]: sampler->tokens[0, count), likeliest
 * first (the lower id where equal), with their processed logits. */
void sampler_process(Sampler *sampler, const float *logits, int64_t V, const int32_t *ids, int64_t n);

/* sampler_process, and the token chosen of them. */
int32_t sampler_next(Sampler *sampler, const float *logits, int64_t V, const int32_t *ids, int64_t n, int64_t example);

#endif
