/* folder - the files of a model folder that say how its texts are cut, read but not yet understood.
 *
 * tokenizer.json is one; older ones are BERT's vocab.txt (a token a line whose id is the line), or vocab.json with
 * merges.txt (byte-level BPE): then `whole` has what a tokenizer.json without settings would have.
 *
 * Owner: tokenizer_open. Threads: one. */
#ifndef WORKER_TOKENIZER_FOLDER_H
#define WORKER_TOKENIZER_FOLDER_H

#include "common/base/err.h"
#include "common/base/json.h"

#include <stdint.h>

typedef enum { FROM_TOKENIZER_JSON, FROM_VOCAB_TXT, FROM_VOCAB_JSON } TokenizerSource;

/* Zeroed is empty. All is owned; NULL where there is no such file. */
typedef struct TokenizerFolder {
    TokenizerSource source;
    char *path; /* of the file that `whole` is from */
    json_t *whole; /* {"model": {"vocab": ..}, ..}, an object */
    bool is_byte_level; /* tokenizer.json says so somewhere */
    json_t *config; /* tokenizer_config.json, an object; where it has no added_tokens_decoder, it is an older
                           one, and special_tokens_map.json is put over it. Never NULL */
    json_t *added; /* added_tokens.json, an object */
    json_t *model; /* config.json, an object */
    uint64_t digest; /* of all but config.json */
} TokenizerFolder;

MUST_USE bool tokenizer_folder_read(TokenizerFolder *files, const char *folder, Err *err);
void tokenizer_folder_release(TokenizerFolder *files);

#endif
