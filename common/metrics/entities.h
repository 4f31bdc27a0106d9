/* entities - named entities of tag sequences, as seqeval.metrics counts them by default (those of
 * conlleval: B-, I-, E-, S- and O in any order; an I- behind O or another type begins an entity).
 *
 * A tag is one letter and a type: "B-PER" and "BPER" are B of PER, "B" alone is B of "_". A tag of
 * another letter ("LABEL_1": L of "ABEL_1") begins an entity where its type is not that of the tag
 * before it.
 *
 * Each sentence stands alone, as in get_entities(sentence).
 *
 * Threads: any. */
#ifndef COMMON_METRICS_ENTITIES_H
#define COMMON_METRICS_ENTITIES_H

#include <stdint.h>

typedef struct EntityCounts {
    int64_t both, guessed, wanted; /* the same (type, begin, end) in both; of each */
} EntityCounts;

/* goal[n], guess[n]: index into names. */
EntityCounts entities_count(const char *const *names, const int32_t *goal, const int32_t *guess, int64_t n);

#endif
