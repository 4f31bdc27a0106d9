/* magnitude - DoRA: the output z = x (W + scale B A)^T of a module becomes
 *
 *   y = c z,   c_i = m_i / n_i,   n_i = |(W + scale B A)_i|
 *
 * with the length m of each row learnt by itself. n is a constant of the gradient (Liu 2024, section 4.3; PEFT,
 * tuners/lora/dora.py), and the same for all micro-batches of a version: it is made anew when A or B are others than
 * before. Of a table, whose rows are picked, lengths are those of the columns.
 *
 * Owner: a linear or a table. Threads: the caller's one. */
#ifndef WORKER_LAYERS_MAGNITUDE_H
#define WORKER_LAYERS_MAGNITUDE_H

#include "worker/layers/layout.h"
#include "worker/layers/module.h"

/* Of the outputs of one module, or (linear.h) of several side by side. */
typedef struct Magnitude {
    float *c; /* m / n; 1 where a module has none */
    float *inverse; /* 1 / n */
    float *rows; /* some rows of W at a time */
    float *turned; /* of a table: B^T [R, in] */
    double *squares; /* of a table: [in] */
} Magnitude;

/* out: outputs of all modules together. */
void magnitude_layout(Magnitude *magnitude, Layout *layout, int64_t out, int64_t in);
void magnitude_layout_table(Magnitude *magnitude, Layout *layout, const ModuleView *module);

/* c of one module with these values, its outputs from `at` on. *seen: of which A and B n is, 0 at first. */
void magnitude_bind(Magnitude *magnitude, uint64_t *seen, int64_t at, const ModuleView *module, const float *values);
void magnitude_bind_table(Magnitude *magnitude, uint64_t *seen, const ModuleView *module, const float *values);

#endif
