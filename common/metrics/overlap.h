/* overlap - what a text and its references have in common: BLEU's counts and ROUGE-L.
 *
 * BLEU as sacrebleu's default: tokenizer 13a, case kept, n-grams to 4, smoothing exp, corpus level
 * (counts are summed over texts, then bleu_score). ROUGE-L as rouge_score's "rougeL" fmeasure: its
 * default tokenizer (lower case, runs of a-z and 0-9), no stemmer; the best of several references.
 *
 * Threads: any. */
#ifndef COMMON_METRICS_OVERLAP_H
#define COMMON_METRICS_OVERLAP_H

#include <stdint.h>

enum { BLEU_ORDER = 4 };

/* All whole numbers; those of several texts are added. */
typedef struct BleuCounts {
    double words, reference_words; /* of the text; of the reference nearest in length */
    double matched[BLEU_ORDER], total[BLEU_ORDER];
} BleuCounts;

/* references[count >= 1] */
BleuCounts bleu_count(const char *text, const char *const *references, int64_t count);

/* 0..100 */
double bleu_score(const BleuCounts *counts);

/* 0..1 */
double rouge_l(const char *text, const char *const *references, int64_t count);

#endif
