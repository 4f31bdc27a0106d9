/* known_types - whether tokenizer.json is made of parts that Hugging Face's tokenizers knows. Its own readers
 * (normalizer.h and the like) refuse the others where they are used; this is for a file of which a class takes
 * the vocabulary alone, and which AutoTokenizer reads whole all the same.
 *
 * Threads: any. */
#ifndef WORKER_TOKENIZER_KNOWN_TYPES_H
#define WORKER_TOKENIZER_KNOWN_TYPES_H

#include "common/base/err.h"
#include "common/base/json.h"

MUST_USE bool known_types_check(const json_t *whole, Err *err);

#endif
