#include "worker/kernels/tile.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef float Lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

/* The compilers spell the shuffle of two vectors differently. */
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int32_t LaneIndices __attribute__((vector_size(LANES * sizeof(int32_t))));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (LaneIndices){ __VA_ARGS__ })
#endif

/* What interleaves the first halves of two vectors, and the second halves. */
#ifdef __AVX512F__
#define FIRST_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif defined(__AVX__)
#define FIRST_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#else
#define FIRST_HALVES 0, 4, 1, 5
#define SECOND_HALVES 2, 6, 3, 7
#endif

/* One tile of c: rows x vectors sums stay in registers while k runs. Both counts
 * are constants wherever this is inlined, so the inner loops are unrolled away. */
ALWAYS_INLINE void tile(float *c, int64_t ldc, TileLeft a, const float *b, int64_t ldb, int64_t K, bool add,
                        const int rows, const int vectors)
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
ALWAYS_INLINE void strip(float *c, int64_t ldc, TileLeft a, const float *b, int64_t ldb, int64_t M, int64_t K, bool add,
                         const int vectors)
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

/* The columns of b, of rows that lie ldb apart, in panels that lie `panel` apart. */
ALWAYS_INLINE void strips(float *c, int64_t ldc, TileLeft a, const float *b, int64_t ldb, int64_t panel, int64_t M,
                          int64_t N, int64_t K, bool add)
{
    int64_t n = 0;
    for (; n + PANEL <= N; n += PANEL, b += panel)
        strip(c + n, ldc, a, b, ldb, M, K, add, TILE_VECTORS);
    for (; n < N; n += LANES, b += LANES)
        strip(c + n, ldc, a, b, ldb, M, K, add, 1);
}

void tile_product(float *c, int64_t ldc, TileLeft a, const float *b, int64_t ldb, int64_t M, int64_t N, int64_t K,
                  bool add)
{
    strips(c, ldc, a, b, ldb, PANEL, M, N, K, add);
}

void tile_panel_product(float *c, int64_t ldc, TileLeft a, TilePanels b, int64_t M, int64_t N, int64_t K, bool add)
{
    strips(c, ldc, a, b.at, PANEL, b.panel, M, N, K, add);
}

/* dst[LANES,stride] = src[rows,ld]^T of LANES columns, rows <= LANES, the others zero.
 *
 * Number an element by the bits of (row, column). Interleaving row i with row
 * i + LANES/2 rotates that number left by one bit; as many rotations as a row
 * number has bits exchange row and column. */
static void transpose_block(float *dst, int64_t stride, const float *src, int64_t ld, int64_t rows)
{
    Lanes row[LANES], next[LANES];
    for (int i = 0; i < LANES; i++)
        row[i] = i < rows ? *(const Lanes *)(src + i * ld) : (Lanes){ 0 };
#pragma GCC unroll 4
    for (int bit = 1; bit < LANES; bit *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = SHUFFLE(row[i], row[i + LANES / 2], FIRST_HALVES);
            next[2 * i + 1] = SHUFFLE(row[i], row[i + LANES / 2], SECOND_HALVES);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            row[i] = next[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        *(Lanes *)(dst + i * stride) = row[i];
}

void tile_transpose(float *dst, int64_t stride, const float *src, int64_t ld, int64_t T, int64_t D)
{
    for (int64_t t = 0; t < T; t += LANES) {
        const int64_t rows = T - t < LANES ? T - t : LANES;
        for (int64_t i = 0; i < rows; i++)
            fetch_row(src + (t + LANES + i) * ld, D);
        int64_t d = 0;
        for (; d + LANES <= D; d += LANES)
            transpose_block(dst + d * stride + t, stride, src + t * ld + d, ld, rows);
        for (; d < D; d++) {
            for (int64_t l = 0; l < LANES; l++)
                dst[d * stride + t + l] = l < rows ? src[(t + l) * ld + d] : 0.0f;
        }
    }
}

void tile_panels(float *dst, const float *src, int64_t ld, int64_t T, int64_t D)
{
    const int64_t whole = D / LANES * LANES;
    for (int64_t t = 0; t < T; t++, src += ld, dst += PANEL) {
        fetch_row(src + ROWS_AHEAD * ld, D);
        int64_t d = 0;
        for (; d < whole; d += LANES)
            *(Lanes *)(dst + d / PANEL * T * PANEL + d % PANEL) = *(const Lanes *)(src + d);
        for (; d < panels_up(D); d++)
            dst[d / PANEL * T * PANEL + d % PANEL] = d < D ? src[d] : 0.0f;
    }
}

void tile_panels_transposed(float *dst, const float *src, int64_t ld, int64_t T, int64_t D)
{
    for (int64_t t = 0; t < T; t += PANEL, dst += D * PANEL) {
        if (T - t <= PANEL - LANES)
            memset(dst, 0, (size_t)(D * PANEL) * sizeof *dst);
        tile_transpose(dst, PANEL, src + t * ld, ld, T - t < PANEL ? T - t : PANEL, D);
    }
}
