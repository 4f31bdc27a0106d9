/* fields - every field that a request of /v1/completions or /v1/chat/completions may have: one table says of each whether
 * it is heeded, changes no answer, or is refused unless it says what holds without it. Whatever is in no row is refused.
 *
 * Owner: whoever took them releases them. Threads: the network thread. */
#ifndef LAUNCH_SERVE_FIELDS_H
#define LAUNCH_SERVE_FIELDS_H

#include "launch/serve/service.h"

enum { FIELDS_TOPS = 20 }; /* most likeliest tokens beside each */

/* What a request asks for besides its prompt. */
typedef struct TextFields {
    GenerateOptions generate; /* stop and sample.bias lie below, or where fields_give put them */
    StringList stop; /* owned */
    TokenBias *bias; /* [generate.sample.bias_count], owned */
    int64_t n; /* texts of each prompt */
    int64_t tops; /* likeliest tokens beside each; -1: no logarithms of probabilities are asked for */
    bool asked; /* for a number of tokens, not for the rest of the context */
    bool stream, usage; /* usage: of a stream, in its last piece */
    bool echo; /* the prompt stands before its text */
    bool ids; /* return_token_ids */
    bool special; /* special tokens stand around a prompt */
} TextFields;

/* V: words of the model. False with the refusal set, which names the field; released either way by fields_release. */
bool fields_take(TextFields *fields, Service *service, const json_t *body, bool chat, Refusal *refusal);
void fields_release(TextFields *fields);

#endif
