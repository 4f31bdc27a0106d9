/* npy - a NumPy file of float32 rows, as numpy.load reads it: format 1.0, C order.
 *
 * It is written under a temporary name, and there when it is whole.
 *
 * Owner: whoever began it commits or abandons it. Threads: one. */
#ifndef LAUNCH_NPY_H
#define LAUNCH_NPY_H

#include "common/base/err.h"

#include <stdint.h>
#include <stdio.h>

typedef struct Npy {
    FILE *file; /* NULL: none is begun */
    const char *path; /* borrowed */
    int64_t rows, C;
} Npy;

MUST_USE bool npy_begin(Npy *npy, const char *path, int64_t C, Err *err);
MUST_USE bool npy_add(Npy *npy, const float *row, Err *err);
MUST_USE bool npy_commit(Npy *npy, Err *err);
void npy_abandon(Npy *npy);

#endif
