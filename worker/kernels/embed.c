#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"

#include <stddef.h>

void embed_forward(float *y, const int32_t *ids, const int32_t *types, const float *word,
                   const float *position, const float *type, const Rows *rows, int64_t C,
                   int64_t position_offset)
{
#pragma omp parallel for if (rows->N * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < rows->N; n++) {
        const int64_t t = n - rows->start[rows_example(rows, n)];
        float *y_n = y + n * C;
        const float *word_n = word + ids[n] * C;
        const float *position_n = position + (t + position_offset) * C;
        const float *type_n = type != NULL ? type + (types != NULL ? types[n] : 0) * C : NULL;
        if (type_n == NULL) {
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                y_n[c] = word_n[c] + position_n[c];
            continue;
        }
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y_n[c] = (word_n[c] + type_n[c]) + position_n[c]; /* Transformers' order */
    }
}
