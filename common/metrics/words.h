/* words - texts cut at white space into words, and words as numbers: equal words of all texts that
 * were numbered together have the same one.
 *
 * Owner: whoever holds the Words. Threads: any, one at a time a Words. */
#ifndef COMMON_METRICS_WORDS_H
#define COMMON_METRICS_WORDS_H

#include <stddef.h>
#include <stdint.h>

typedef struct Words {
    const char **text; /* [count], owned; borrowed from what was split */
    size_t *size;
    int32_t *ids; /* [count] after words_number */
    int64_t count, room;
} Words;

/* Bytes of the white space (Python's str.isspace) at text[0, n), 0: it is none. */
size_t words_space(const char *text, size_t n);

/* text[0, n) is borrowed until words_release; zeroed *words is empty. */
void words_split(Words *words, const char *text, size_t n);
void words_release(Words *words);

/* Numbers the words of lists[0, count) from 0. */
void words_number(Words *lists, int64_t count);

#endif
