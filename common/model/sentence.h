/* sentence - folders as sentence-transformers has them: beside the model's own files modules.json names what follows
 * it, 1_Pooling/config.json how tokens become one vector, 2_Normalize that its length is 1.
 *
 * Read are the form of its releases up to 5, which nearly all published folders have, and that of 6; written is the
 * first, which all releases load.
 * Source: sentence-transformers 6.2 and 5.1, modules.json and the modules' save.
 *
 * Threads: any. */
#ifndef COMMON_MODEL_SENTENCE_H
#define COMMON_MODEL_SENTENCE_H

#include "common/model/arch.h"

typedef struct SentenceFolder {
    bool is; /* there is a modules.json; else the rest is AUTO and 0 */
    Pooling pooling;
    Normalize normalize;
    int64_t max_length; /* sentence_bert_config.json's max_seq_length; 0: none */
} SentenceFolder;

/* False with *err: what its modules do is not offered here. */
MUST_USE bool sentence_read(SentenceFolder *sentence, const char *folder, Err *err);

/* Puts these files beside a model that embeds, or beside its adapter (sentence-transformers loads both). Prompts are
 * the base's. max_length 0: the base's, or as many tokens as there are positions. */
MUST_USE bool sentence_write(const char *folder, const ModelArch *arch, int64_t max_length, Err *err);

#endif
