/* metrics - evaluation as sums that add, so that it can be spread over workers and is exact.
 *
 * A chunk of the validation set gives one row of doubles, `metrics_width` of them; rows are added
 * in chunk order and turned into figures at the end.
 *
 *   all        [0] examples  [1] sum of losses
 *   classes    confusion[L*L] (goal, guess)
 *   multi      exact matches, then L times (true pos, false pos, false neg)
 *   regression pairs (guess, goal) of the chunk: rows are joined, not added
 *
 * Definitions: scikit-learn's (f1, precision and recall binary for 2 labels, macro for more,
 * 0 where undefined; matthews as matthews_corrcoef), scipy's pearson and spearman. */
#ifndef COMMON_METRICS_METRICS_H
#define COMMON_METRICS_METRICS_H

#include "common/config/config.h"

#include <stdint.h>

typedef struct Metrics {
    ProblemType problem;
    int64_t labels;
    double *sums;    /* owned */
    int64_t size, room; /* doubles in sums */
} Metrics;

void metrics_init(Metrics *m, ProblemType problem, int64_t labels);
void metrics_release(Metrics *m);
void metrics_clear(Metrics *m);

/* Adds B examples: logits[B, labels], goal as in worker/model's Batch, loss their sum. */
void metrics_add(Metrics *m, const float *logits, const float *goal, int64_t B, double loss);

/* Adds what another Metrics of the same kind summed; false when the size does not fit. */
bool metrics_merge(Metrics *m, const double *sums, int64_t size);

/* Most doubles that a chunk of `examples` can take. */
int64_t metrics_width(ProblemType problem, int64_t labels, int64_t examples);

typedef struct Figure {
    const char *name; /* "loss", "accuracy", ... */
    double value;
} Figure;
enum { METRICS_FIGURES = 8 };

/* figures[0, return value). */
int metrics_figures(const Metrics *m, Figure figures[METRICS_FIGURES]);

#endif
