#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"

#include <stddef.h>
#include <string.h>

void embed_forward(float *y, const int32_t *ids, const int32_t *types, const float *word, const float *position,
                   const int32_t *places, const float *type, int64_t N, int64_t C)
{
#pragma omp parallel for if (N * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < N; n++) {
        float *y_n = y + n * C;
        const float *position_n = position != NULL ? position + places[n] * C : NULL;
        const float *type_n = type != NULL ? type + (types != NULL ? types[n] : 0) * C : NULL;
        if (word != NULL)
            memcpy(y_n, word + ids[n] * C, (size_t)C * sizeof *y_n);
        if (type_n != NULL) { /* before the position: Transformers' order */
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                y_n[c] += type_n[c];
        }
        if (position_n != NULL) {
#pragma omp simd
            for (int64_t c = 0; c < C; c++)
                y_n[c] += position_n[c];
        }
    }
}

void patches_gather(float *out, const float *pixels, int64_t B, int64_t channels, int64_t size, int64_t patch)
{
    const int64_t side = size / patch, width = channels * patch * patch;
#pragma omp parallel for if (B * side * side * width >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < B * side * side; n++) {
        const int64_t b = n / (side * side), row = n / side % side, column = n % side;
        const float *corner = pixels + b * channels * size * size + row * patch * size + column * patch;
        float *out_n = out + n * width;
        for (int64_t c = 0; c < channels; c++) {
            for (int64_t y = 0; y < patch; y++)
                memcpy(out_n + (c * patch + y) * patch, corner + (c * size + y) * size, (size_t)patch * sizeof *out_n);
        }
    }
}

/* y = x + position + bias (NULL: none) */
static void patch_row(float *y, const float *x, const float *position, const float *bias, int64_t C)
{
#pragma omp simd
    for (int64_t c = 0; c < C; c++)
        y[c] = (bias != NULL ? x[c] + bias[c] : x[c]) + position[c];
}

void patches_embed(float *y, const float *x, const float *bias, const float *first, const float *position, int64_t B,
                   int64_t P, int64_t C)
{
#pragma omp parallel for if (B * P * C >= PARALLEL_ELEMENTS)
    for (int64_t n = 0; n < B * (P + 1); n++) {
        const int64_t b = n / (P + 1), t = n % (P + 1);
        if (t == 0)
            patch_row(y + n * C, first, position, NULL, C);
        else
            patch_row(y + n * C, x + (b * P + t - 1) * C, position + t * C, bias, C);
    }
}
