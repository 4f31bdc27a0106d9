/* maths - exponential, logarithm and circle functions whose bits are the same on every machine: what enters a value of
 * a run uses these, and never libm's. Libm's differ in their last bits between releases, and glibc's between CPUs with
 * and without FMA. Here is nothing but additions, multiplications, divisions and roots in double, which IEEE 754 fixes
 * to the last bit (and what is no kernel is compiled without fused ones).
 *
 * Errors are below one unit in the last place, but where a line below says otherwise. Threads: any. */
#ifndef COMMON_BASE_MATHS_H
#define COMMON_BASE_MATHS_H

#include <stdint.h>

double maths_exp(double x);
double maths_log(double x); /* of 0: -inf; below: NaN */
double maths_log1p(double x); /* log(1 + x), for x > -1/2; below 2 units */

/* |x| <= 2^27, else NaN. Near their zeros the error is below 1e-24 in absolute terms. */
double maths_sin(double x);
double maths_cos(double x);

/* x^y for x >= 0, else NaN; below 1 unit where the power lies between 2^-20 and 2^20, 2^-48 of it elsewhere. */
double maths_pow(double x, double y);

/* Index of the first of x[0, n) that is NaN or infinite; n: none is. */
int64_t maths_not_finite(const float *x, int64_t n);

/* p[n] <- the shares of exp(logits[n]), n > 0; they add up to 1. */
void maths_softmax(double *p, const float *logits, int64_t n);

#endif
