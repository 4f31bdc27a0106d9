/* correlation - of two rows of numbers, as scipy has it (pearsonr, spearmanr); 0 where one of them does not vary.
 *
 * Pure. Threads: any. */
#ifndef COMMON_METRICS_CORRELATION_H
#define COMMON_METRICS_CORRELATION_H

#include <stdint.h>

double correlation_pearson(const double *x, const double *y, int64_t n);

/* Of their ranks; equal values share the mean of theirs. */
double correlation_spearman(const double *x, const double *y, int64_t n);

#endif
