#include "worker/layers/pool.h"

#include "worker/kernels/gemm.h"

#include <string.h>

void pool_forward(float *e, int64_t C, const Pass *pass)
{
    for (int64_t b = 0; b < pass->rows.B; b++) {
        const int64_t first = pass->reads.start[b], end = pass->reads.start[b + 1];
        float *e_b = e + b * C;
        memset(e_b, 0, (size_t)C * sizeof *e_b);
        for (int64_t m = first; m < end; m++)
            for (int64_t c = 0; c < C; c++)
                e_b[c] += pass->x[m * C + c];
        pass_scale(e_b, e_b, 1.0f / (float)(end - first), C);
    }
}

void pool_backward(const float *de, int64_t C, Pass *pass)
{
    for (int64_t b = 0; b < pass->rows.B; b++) {
        const int64_t first = pass->reads.start[b], end = pass->reads.start[b + 1];
        for (int64_t m = first; m < end; m++)
            pass_scale(pass->x + m * C, de + b * C, 1.0f / (float)(end - first), C);
    }
}

void pool_loss(double *each, float *de, const EmbedBatch *batch, const EmbedConfig *how, float *room)
{
    static const EmbedProducts products = { gemm_nt, gemm_nn, gemm_tn };
    embed_loss(each, de, batch, how, &products, room);
}
