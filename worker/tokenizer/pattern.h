/* pattern - what Split and Replace look for: a string, or a regular expression as
 * Oniguruma reads it.
 *
 * Those of GPT-2, Llama 3 and Qwen2 have scanners of their own; others are PCRE2's,
 * compiled once, with classes of Unicode 16 where PCRE2's are older.
 *
 * Owner: whoever read it. Threads: const after reading. */
#ifndef WORKER_TOKENIZER_PATTERN_H
#define WORKER_TOKENIZER_PATTERN_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "worker/tokenizer/scratch.h"

/* The end of the word that begins at text[at]; at < n. */
typedef size_t (*Scanner)(const char *text, size_t at, size_t n);

/* Zeroed is empty. */
typedef struct Pattern {
    Text string; /* what is looked for, or the expression as written */
    Scanner scan; /* a known expression, whose matches leave nothing out */
    struct pcre2_real_code_8 *code; /* any other; owned */
} Pattern;

/* {"String": ".."} or {"Regex": ".."}; `what` names the part that has it. */
MUST_USE bool pattern_read(Pattern *pattern, const json_t *spec, const char *what, Err *err);
MUST_USE bool pattern_regex(Pattern *pattern, const char *expression, bool scanners, Err *err);
void pattern_release(Pattern *pattern);

/* Adds the matches in text[0, n) and what lies between to `out`, from left to right. */
void pattern_find(const Pattern *pattern, const char *text, size_t n, Segments *out);

/* What becomes of matches when a text is split at them. */
typedef enum {
    SPLIT_REMOVED,
    SPLIT_ISOLATED, /* each a piece */
    SPLIT_CONTIGUOUS, /* each run of them a piece */
    SPLIT_MERGED_WITH_PREVIOUS, /* ends the piece before */
    SPLIT_MERGED_WITH_NEXT /* begins the piece behind */
} SplitBehavior;

/* "Removed", "MergedWithNext", ... of `what`. */
MUST_USE bool split_behavior_read(SplitBehavior *behavior, const json_t *settings, const char *what, Err *err);

/* Adds the pieces that the segments make, `at` being where they are counted from. */
void split_segments(const Segments *segments, SplitBehavior behavior, size_t at, Pieces *out);

/* The scanner for an expression, if it is one of the known. */
Scanner scanner_of(const char *expression);
size_t scan_gpt2(const char *text, size_t at, size_t n);

#endif
