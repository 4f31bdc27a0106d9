/* unicode_tables - sorted ranges of code points, measured from tokenizers 0.23.3
 * by tests/interop/tokenizers.py --tables. */
#ifndef WORKER_TOKENIZER_UNICODE_TABLES_H
#define WORKER_TOKENIZER_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct UnicodeRange {
    int32_t first, last;
} UnicodeRange;

typedef struct UnicodeSet {
    const UnicodeRange *ranges; /* [count], static */
    size_t count;
} UnicodeSet;

extern const UnicodeSet unicode_other;
extern const UnicodeSet unicode_punctuation;
extern const UnicodeSet unicode_nonspacing;
extern const UnicodeSet unicode_mark;
extern const UnicodeSet unicode_numeric;
extern const UnicodeSet unicode_word;
extern const UnicodeSet unicode_ordered; /* canonical combining class is not 0 */

#endif
