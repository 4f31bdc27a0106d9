/* aligned - a text that remembers which bytes of the original each of its bytes
 * stands for, as tokenizers' NormalizedString does: offsets of tokens come of it.
 *
 * As long as every character is one of the same size at the same place (most texts
 * through most normalizers) nothing is kept but where the text begins; the spans are
 * written out when the first character moves.
 *
 * Owner: the Scratch. Threads: one. */
#ifndef WORKER_TOKENIZER_ALIGNED_H
#define WORKER_TOKENIZER_ALIGNED_H

#include "common/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes [begin, end) of the original. */
typedef struct Span {
    uint32_t begin, end;
} Span;

/* Zeroed is empty. */
typedef struct Aligned {
    const char *data; /* [size], own.data or lent */
    size_t size;
    Text own;
    Span *spans; /* [size] when mapped, owned */
    size_t room;
    bool mapped;
    size_t base; /* not mapped: data[0] is original[base] */
} Aligned;

void aligned_release(Aligned *aligned);

/* Becomes original[base, base + n), lent. */
void aligned_lend(Aligned *aligned, const char *text, size_t n, size_t base);

/* Becomes in[from, from + n), lent as `in` is. `spans` are lent too: never write to it. */
Aligned aligned_part(const Aligned *in, size_t from, size_t n);

/* Empty, to be written by what follows. */
void aligned_clear(Aligned *out);

/* Adds in[from, from + n), whole characters. */
void aligned_copy(Aligned *out, const Aligned *in, size_t from, size_t n);

/* As aligned_copy, with other characters of the same sizes. */
void aligned_write(Aligned *out, const Aligned *in, size_t from, size_t n, const char *bytes);

/* Adds one character that stands for what in[at] does; at == in->size: the character before. */
void aligned_put(Aligned *out, const Aligned *in, size_t at, const char *character, size_t n);

/* Adds characters that all stand for `span`. */
void aligned_put_span(Aligned *out, Span span, const char *character, size_t n);

/* What data[at, at + n) stands for: from the first byte's begin to the last one's end. */
Span aligned_span(const Aligned *aligned, size_t at, size_t n);

#endif
