/* text - growing strings, and a few questions about short ones.
 *
 * Owner: whoever holds the Text. Threads: any, one at a time a Text. */
#ifndef COMMON_BASE_TEXT_H
#define COMMON_BASE_TEXT_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Always ends in '\0' once something was added; zeroed is empty and valid. */
typedef struct Text {
    char *data; /* owned; NULL when nothing was ever added */
    size_t size, capacity;
} Text;

void text_add(Text *text, const char *bytes, size_t n);
void text_adds(Text *text, const char *string);
void text_addf(Text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_clear(Text *text);
void text_release(Text *text);

/* The string, never NULL; the caller owns it and *text is empty again. */
char *text_take(Text *text);

/* A few of many names: "'a', 'b', 'c' and 12 more". *count of them were added so far. */
void text_sample(Text *text, int *count, const char *name);
const char *text_sampled(Text *text, int count); /* ends it; lent until text is released */

bool text_starts(const char *string, const char *prefix);
bool text_ends(const char *string, const char *suffix);
bool text_ends_any(const char *string, const char *suffix); /* in capitals or not: ROWS.CSV is a .csv */

/* Slips of the pen (a letter too many, too few, another, two swapped) that lead from a to b. */
int text_distance(const char *a, const char *b);

/* How many of them a person may make in a word of this length: one in three letters, three at most. */
int text_slips(const char *word);

/* The nearest of names[0, n), or NULL when none is near enough to be meant. */
const char *text_nearest(const char *word, const char *const *names, size_t n);

bool text_is_ascii(const char *bytes, size_t n);

/* Offset of the first byte that is not valid UTF-8, or n. */
size_t text_utf8_valid(const char *bytes, size_t n);

/* Bytes of "16GB", "900MB", "1.5TB"; 0: it is no such text. */
int64_t text_bytes(const char *text);

#endif
