/* slots_tokens - rows of the word table that are trained by themselves: lora.trainable_token_indices.
 *
 * Only common/slots and its tests include this. Threads: any. */
#ifndef COMMON_SLOTS_SLOTS_TOKENS_H
#define COMMON_SLOTS_SLOTS_TOKENS_H

#include "common/slots/slots.h"

/* ids[0, *count), owned by the caller; none: NULL and 0. False with *err: not a list of tokens of this vocabulary, or of
 * another table than the words'. */
MUST_USE bool slots_tokens(int64_t **ids, int64_t *count, const ModelArch *arch, const LoraConfig *lora, Err *err);

#endif
