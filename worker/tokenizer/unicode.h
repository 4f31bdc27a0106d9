/* unicode - characters as Rust's `tokenizers` sees them.
 *
 * Token ids must not depend on which Unicode a machine's libraries know, so what
 * decides them is fixed in tables measured from tokenizers 0.23.3: its crates
 * are of different ages (punctuation and Mn of Unicode 8, normal forms of
 * Unicode 9, words and numbers of Unicode 16). utf8proc supplies decompositions
 * and combining classes, which never change once a character has them.
 *
 * Owner: whoever holds the list or the ranges. Threads: any. */
#ifndef WORKER_TOKENIZER_UNICODE_H
#define WORKER_TOKENIZER_UNICODE_H

#include "common/base/text.h"
#include "worker/tokenizer/unicode_tables.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A code point of a text that is being rewritten. `change` is 1 for one that was put in
 * (it stands for what the one before does), 0 for one that replaces the next of the
 * source, -n if n more of the source go with that. */
typedef struct CodePoint {
    int32_t c, change;
} CodePoint;

/* A growing list of code points; zeroed is empty. */
typedef struct CodePoints {
    CodePoint *data; /* [count], owned */
    size_t count, room;
} CodePoints;

void codepoints_add(CodePoints *list, int32_t c, int32_t change);
void codepoints_release(CodePoints *list);

/* The code point at text[*at], *at moves behind it. text is valid UTF-8. */
static inline int32_t unicode_next(const char *text, size_t *at)
{
    const unsigned char *s = (const unsigned char *)text + *at;
    if (s[0] < 0x80) {
        *at += 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *at += 2;
        return (s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    }
    if (s[0] < 0xF0) {
        *at += 3;
        return (s[0] & 0x0F) << 12 | (s[1] & 0x3F) << 6 | (s[2] & 0x3F);
    }
    *at += 4;
    return (s[0] & 0x07) << 18 | (s[1] & 0x3F) << 12 | (s[2] & 0x3F) << 6 | (s[3] & 0x3F);
}

/* Where the character before text[at] starts; at > 0. */
size_t unicode_before(const char *text, size_t at);

/* out[0, 4) as UTF-8; the bytes used. */
size_t unicode_encode(char *out, int32_t c);
void unicode_add(Text *text, int32_t c);

bool unicode_is_space(int32_t c); /* White_Space */
bool unicode_is_other(int32_t c); /* Cc, Cf, Co */
bool unicode_is_punctuation(int32_t c); /* P*, and ASCII's symbols */
bool unicode_is_nonspacing(int32_t c); /* Mn */
bool unicode_is_mark(int32_t c); /* M* */
bool unicode_is_numeric(int32_t c); /* N* */
bool unicode_is_word(int32_t c); /* \w of a regular expression */
bool unicode_is_cjk(int32_t c); /* what BERT puts spaces around as Chinese */
bool unicode_is_regex_letter(int32_t c); /* \p{L} of a tokenizer's regular expression */
bool unicode_is_regex_number(int32_t c); /* \p{N} of one */

/* The ranges of a set, those of one that is told by its differences too; free() them. */
UnicodeRange *unicode_ranges(const UnicodeSet *set, size_t *count);

/* Whether a cluster of characters (what a reader takes for one) ends before c; *state is
 * 0 at the start of each. */
bool unicode_cluster_ends(int32_t before, int32_t c, int32_t *state);

/* Full lower case of one character, out[0, 2); how many. Never contextual. */
size_t unicode_lower(int32_t out[2], int32_t c);

/* Adds the full (canonical or compatibility) decomposition of c. */
void unicode_decompose(CodePoints *out, int32_t c, bool compat);

/* Canonical ordering of list[from, count). */
void unicode_reorder(CodePoints *list, size_t from);

/* Canonical composition of a decomposed and ordered list. */
void unicode_compose(CodePoints *list);

/* Whether a text of such characters alone is its own NFC: none of them decomposes,
 * moves or joins what is before it. False for some of which that is true. */
bool unicode_is_plain_nfc(int32_t c);

#endif
