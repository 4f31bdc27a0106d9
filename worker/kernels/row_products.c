/* row_products - products whose rows do not know of each other: each number is one sum of the same order, however
 * many rows come together. With one row memory sets the pace, as each matrix is read once; with more, a tile of
 * rows times outputs stays in registers, and a block of the matrix in the cache.
 *
 * The order: a vector's lanes go along the row, are folded in halves, and what is behind the last whole vector is
 * added one by one. */
#include "worker/kernels/gemm.h"
#include "worker/kernels/rows.h"
#include "worker/kernels/tile.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef float Lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* Sums that fit the register file beside what they are made of. */
#ifdef __AVX512F__
enum { ROWS = 4, OUTS = 6 };
#else
enum { ROWS = 4, OUTS = 3 };
#endif
enum { BLOCK_FLOATS = 1 << 15, BLOCK_ROWS = 64 }; /* of the matrix, of x: what a task goes through */

ALWAYS_INLINE float fold(Lanes lanes)
{
    float at[LANES];
    *(Lanes *)at = lanes;
#pragma GCC unroll 4
    for (int half = LANES / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < half; i++)
            at[i] += at[i + half];
    }
    return at[0];
}

typedef struct RowFactors {
    float *y;
    const float *x, *w;
    int64_t ldy, ldx, ldw, I;
    float alpha, beta;
} RowFactors;

/* Rows [n, n + rows) of the outputs [o, o + outs). Both counts are constants wherever this is inlined. */
ALWAYS_INLINE void few(const RowFactors *f, int64_t n, int64_t o, const int rows, const int outs)
{
    const float *x = f->x + n * f->ldx, *w = f->w + o * f->ldw;
    Lanes sum[ROWS][OUTS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int c = 0; c < outs; c++)
            sum[r][c] = (Lanes){ 0 };
    }
    int64_t i = 0;
    for (; i + LANES <= f->I; i += LANES) {
        Lanes w_i[OUTS];
#pragma GCC unroll 8
        for (int c = 0; c < outs; c++)
            w_i[c] = *(const Lanes *)(w + c * f->ldw + i);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const Lanes x_i = *(const Lanes *)(x + r * f->ldx + i);
#pragma GCC unroll 8
            for (int c = 0; c < outs; c++)
                sum[r][c] += x_i * w_i[c];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int c = 0; c < outs; c++) {
            float total = fold(sum[r][c]);
            for (int64_t k = i; k < f->I; k++)
                total += x[r * f->ldx + k] * w[c * f->ldw + k];
            float *y = f->y + (n + r) * f->ldy + o + c;
            *y = f->beta == 0.0f ? f->alpha * total : f->alpha * total + f->beta * *y;
        }
    }
}

ALWAYS_INLINE void across(const RowFactors *f, int64_t n, int64_t o, int64_t end, const int rows)
{
    for (; o + OUTS <= end; o += OUTS)
        few(f, n, o, rows, OUTS);
    for (; o < end; o++)
        few(f, n, o, rows, 1);
}

static void block(const RowFactors *f, int64_t n, int64_t n_end, int64_t o, int64_t o_end)
{
    for (; n + ROWS <= n_end; n += ROWS)
        across(f, n, o, o_end, ROWS);
    if (n_end - n == 3)
        across(f, n, o, o_end, 3);
    else if (n_end - n == 2)
        across(f, n, o, o_end, 2);
    else if (n_end - n == 1)
        across(f, n, o, o_end, 1);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void row_products(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t N, int64_t O,
                  int64_t I, float alpha, float beta)
{
    const RowFactors f = { y, x, w, ldy, ldx, ldw, I, alpha, beta };
    const int64_t fit = BLOCK_FLOATS / (I > 0 ? I : 1) / OUTS * OUTS, outs = fit > OUTS ? fit : OUTS;
    const int64_t across_blocks = (O + outs - 1) / outs, down = (N + BLOCK_ROWS - 1) / BLOCK_ROWS;
#pragma omp parallel for if (N * O * I > PARALLEL_ELEMENTS)
    for (int64_t t = 0; t < across_blocks * down; t++) {
        const int64_t o = t / down * outs, n = t % down * BLOCK_ROWS;
        block(&f, n, least(n + BLOCK_ROWS, N), o, least(o + outs, O));
    }
}
