/* regex - Oniguruma's regular expressions, as tokenizers are written with, by PCRE2.
 *
 * What the two read differently is spelled out in the other's way: classes that have
 * grown since PCRE2's Unicode, \h, \s and \w. What cannot be (sets within sets,
 * intersections, repeats of repeats) is refused.
 *
 * Owner: the Pattern. Threads: const after compiling. */
#ifndef WORKER_TOKENIZER_REGEX_H
#define WORKER_TOKENIZER_REGEX_H

#include "common/base/err.h"
#include "worker/tokenizer/scratch.h"

struct pcre2_real_code_8;

/* NULL with *err set: not an expression, or one that is not supported. regex_free it. */
MUST_USE struct pcre2_real_code_8 *regex_compile(const char *expression, Err *err);
void regex_free(struct pcre2_real_code_8 *code);

/* Adds the matches in text[0, n) and what lies between. */
void regex_find(const struct pcre2_real_code_8 *code, const char *text, size_t n, Segments *out);

#endif
