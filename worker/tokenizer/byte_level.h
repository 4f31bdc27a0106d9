/* byte_level - GPT-2's alphabet: a printable character for each byte, so that a
 * vocabulary of texts holds any bytes.
 *
 * Threads: any. */
#ifndef WORKER_TOKENIZER_BYTE_LEVEL_H
#define WORKER_TOKENIZER_BYTE_LEVEL_H

#include "common/base/text.h"
#include "worker/tokenizer/aligned.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BYTE_LEVEL_SPACE = 0x120 }; /* what stands for ' ' */

int32_t byte_level_char(unsigned char byte);
int byte_level_byte(int32_t c); /* -1: stands for none */

/* Adds the characters of in[from, from + n)'s bytes. */
void byte_level_write(const Aligned *in, size_t from, size_t n, Aligned *out);

/* Adds the bytes that the characters stand for; false, with nothing added: one has none. */
bool byte_level_decode(const char *text, size_t n, Text *out);

#endif
