#include "worker/kernels/tile.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef float Lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* One tile of c: rows x vectors sums stay in registers while k runs. Both counts
 * are constants wherever this is inlined, so the inner loops are unrolled away. */
ALWAYS_INLINE void tile(float *c, int64_t ldc, TileLeft a, const float *b, int64_t ldb, int64_t K,
                        bool add, const int rows, const int vectors)
{
    Lanes sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[r][v] = add ? *(const Lanes *)(c + r * ldc + v * LANES) : (Lanes){ 0 };
    }
    for (int64_t k = 0; k < K; k++) {
        const float *a_k = a.at + k * a.step;
        Lanes b_k[TILE_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            b_k[v] = *(const Lanes *)(b + k * ldb + v * LANES);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const float a_rk = a_k[r * a.row];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[r][v] += a_rk * b_k[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            *(Lanes *)(c + r * ldc + v * LANES) = sum[r][v];
    }
}

/* The rows [0,M) of one column strip: full tiles, then what is left over. */
ALWAYS_INLINE void strip(float *c, int64_t ldc, TileLeft a, const float *b, int64_t ldb, int64_t M,
                         int64_t K, bool add, const int vectors)
{
    int64_t m = 0;
    for (; m + TILE_ROWS <= M; m += TILE_ROWS) {
        tile(c, ldc, a, b, ldb, K, add, TILE_ROWS, vectors);
        c += TILE_ROWS * ldc;
        a.at += TILE_ROWS * a.row;
    }
    if (M - m >= 4) {
        tile(c, ldc, a, b, ldb, K, add, 4, vectors);
        c += 4 * ldc;
        a.at += 4 * a.row;
        m += 4;
    }
    if (M - m == 3)
        tile(c, ldc, a, b, ldb, K, add, 3, vectors);
    else if (M - m == 2)
        tile(c, ldc, a, b, ldb, K, add, 2, vectors);
    else if (M - m == 1)
        tile(c, ldc, a, b, ldb, K, add, 1, vectors);
}

void tile_product(float *c, int64_t ldc, TileLeft a, const float *b, int64_t ldb, int64_t M,
                  int64_t N, int64_t K, bool add)
{
    int64_t n = 0;
    for (; n + TILE_VECTORS * LANES <= N; n += TILE_VECTORS * LANES)
        strip(c + n, ldc, a, b + n, ldb, M, K, add, TILE_VECTORS);
    for (; n < N; n += LANES)
        strip(c + n, ldc, a, b + n, ldb, M, K, add, 1);
}
