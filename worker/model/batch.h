/* batch - one micro-batch as a model reads it: its sequences end to end, without padding, but where losses are over all
 * places of a padded row.
 *
 * Owner: whoever filled it (worker/data/batch_room.h); a call of the model borrows it. Threads: any read. */
#ifndef WORKER_MODEL_BATCH_H
#define WORKER_MODEL_BATCH_H

#include <stdint.h>

typedef struct Batch {
    int64_t B, N; /* sequences, tokens */
    const int64_t *start; /* [B+1] */
    int64_t longest; /* tokens of the longest sequence of the step or the measurement that this is a part of; 0: it
                        is among these */
    const int64_t *real; /* [B] tokens of each sequence that are no padding: what is behind looks at them, and nothing
                            looks at it; NULL: there is no padding */
    const int32_t *ids; /* [N] */
    const int32_t *types; /* [N], NULL: all 0 */
    const int64_t *example; /* [B] row numbers in the data set: the key of dropout */
    const float *goal; /* SEQ_CLS, IMAGE_CLS: [B] class numbers or values; multi-label:
                               [B, labels]; QUESTION_ANS: [B, 2] places of the first and the last token; else NULL */
    const int32_t *token_goal; /* [N] TOKEN_CLS: the token's class; CAUSAL_LM: the NEXT token (labels
                               already shifted, the last of a sequence is -100). -100: none */
    const float *pixels; /* IMAGE_CLS: [B, channels, size, size]; ids are NULL, and a sequence has
                               1 + patches rows */
    const float *rows; /* of a stage behind the first: what the one before gave on, until backward is done */
} Batch;

/* Tokens that are no padding. */
static inline int64_t batch_tokens(const Batch *batch)
{
    int64_t sum = batch->real ? 0 : batch->N;
    for (int64_t b = 0; batch->real && b < batch->B; b++)
        sum += batch->real[b];
    return sum;
}

#endif
