/* squad - how near a given answer is to the wanted ones: exact match and F1, as SQuAD's own evaluation has them.
 *
 * Texts are compared in a normal form: lower case, without ASCII punctuation, without the words a, an, the (whose edges
 * are found when the punctuation is gone), one space between words. Source: evaluate, metrics/squad and squad_v2.
 *
 * Pure. Threads: any. */
#ifndef WORKER_EVAL_SQUAD_H
#define WORKER_EVAL_SQUAD_H

#include "common/base/text.h"

#include <stdint.h>

/* Adds the normal form of text[0, n), valid UTF-8. */
void squad_normal(Text *out, const char *text, size_t n);

typedef struct SquadScore {
    double exact, f1; /* 0 to 1 */
} SquadScore;

/* A text, lent. */
typedef struct SquadText {
    const char *data;
    size_t size;
} SquadText;

/* The best of `given` beside each of wanted[0, count). impossible: questions may have no answer (squad_v2): the answer
 * to those, with count 0, is the empty text; wanted ones of which nothing is left do not count. Else count >= 1. */
SquadScore squad_score(SquadText given, const SquadText *wanted, int64_t count, bool impossible);

#endif
