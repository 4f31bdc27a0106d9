/* token_log - logarithms of probabilities of a text's tokens, and of those that were likely beside them, as OpenAI gives
 * them: of the softmax of the model's own logits, before temperature, penalties and choice.
 *
 * A token's name is what it adds to the text behind the token before it; one that is part of a character is called
 * "bytes:\\x.." as OpenAI calls it.
 *
 * Owner: its job. Threads: one adds; another may read what it knows to be added. */
#ifndef LAUNCH_SERVE_TOKEN_LOG_H
#define LAUNCH_SERVE_TOKEN_LOG_H

#include "common/base/json.h"
#include "common/base/text.h"
#include "worker/tokenizer/tokenizer.h"

typedef struct LoggedToken {
    int32_t id;
    double logprob;
} LoggedToken;

typedef struct TokenLog TokenLog;

/* Of a text of at most `most` tokens of V; tops: likeliest to keep beside each. NULL with *err: no memory. */
MUST_USE TokenLog *token_log_open(int64_t most, int64_t tops, int64_t V, Err *err);
void token_log_close(TokenLog *log);

/* The next token, chosen by logits[V]; at: bytes of the text that were certain before it. */
void token_log_add(TokenLog *log, int32_t id, const float *logits, size_t at);

/* Of the first `count` tokens those whose text begins before the byte `size`. */
int64_t token_log_within(const TokenLog *log, int64_t count, size_t size);

/* Tokens [from, to) as objects of OpenAI's choices. before: the token before the first, -1: none; text: of the whole
 * log. */
typedef struct TokenLogPart {
    const TokenLog *log;
    const Tokenizer *tokenizer;
    int32_t before;
    int64_t from, to;
    const Text *text;
} TokenLogPart;
json_t *
token_log_completion(const TokenLogPart *part); /* {"tokens", "token_logprobs", "top_logprobs", "text_offset"} */
json_t *token_log_chat(const TokenLogPart *part); /* {"content": [{"token", "logprob", "bytes", "top_logprobs"}]} */

#endif
