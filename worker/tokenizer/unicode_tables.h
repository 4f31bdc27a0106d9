/* unicode_tables - sorted ranges of code points, measured from tokenizers 0.23.3
 * by tests/interop/tokenizers.py --tables, --categories and --compositions.
 *
 * Threads: const. */
#ifndef WORKER_TOKENIZER_UNICODE_TABLES_H
#define WORKER_TOKENIZER_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct UnicodeRange {
    int32_t first, last;
} UnicodeRange;

typedef struct UnicodeSet {
    const UnicodeRange *ranges; /* [count], static, in ascending order */
    size_t count;
    const struct UnicodeSet *unlike; /* not NULL: the ranges are where this set differs from that one */
} UnicodeSet;

extern const UnicodeSet unicode_other;
extern const UnicodeSet unicode_punctuation;
extern const UnicodeSet unicode_nonspacing;
extern const UnicodeSet unicode_mark;
extern const UnicodeSet unicode_numeric;
extern const UnicodeSet unicode_word;
extern const UnicodeSet unicode_ordered; /* canonical combining class is not 0 */
extern const UnicodeSet unicode_joining; /* is in one cluster with a letter before it */

/* What Oniguruma, of Unicode 16, takes for \p{L}, \p{N} and \w: --categories. */
extern const UnicodeSet unicode_regex_letter;
extern const UnicodeSet unicode_regex_number;
extern const UnicodeSet unicode_regex_word;

/* Characters whose general category is not that of Unicode 14, PCRE2's. */
typedef struct UnicodeCategory {
    int32_t first, last;
    char name[3];
} UnicodeCategory;

extern const UnicodeCategory unicode_newer[];
extern const size_t unicode_newer_count;

/* NFC makes one of the two; sorted: --compositions. */
typedef struct UnicodePair {
    int32_t first, second, joined;
} UnicodePair;

extern const UnicodePair unicode_pairs[];
extern const size_t unicode_pair_count;

#endif
