/* DESIGN: tiles.
 *
 * Splitting a product costs: each tile packs its rows of both factors anew. With PACK multiply-adds'
 * time for packing one number, r rows of tiles and q columns of them, a product of M x N takes
 *
 *     1 + PACK (r / M + q / N)
 *
 * times what its arithmetic takes. Tiles are halved along the cheaper side, as often as the whole
 * costs little more than it did unsplit. A first halving may cost somewhat more: it is worth most.
 * Where tiles can be joined without changing a bit, one thread pays nothing. */
#include "worker/kernels/gemm.h"

#include "common/base/err.h"
#include "worker/kernels/blas.h"
#include "worker/kernels/kernels.h"

#include <omp.h>

static const double pack = 12; /* measured with the cores of AVX2, whose tiles cannot be joined */
static const double first_cost = 0.03, cost = 0.02;
enum { MOST_TILES = 64 };

static bool joined;

void gemm_join_tiles(bool join)
{
    joined = join;
}

void gemm_set_threads(int n)
{
    REQUIRE(n >= 1);
    omp_set_num_threads(n);
}

typedef struct Product {
    bool turn_a, turn_b;
    int64_t M, N, K;
    float alpha, beta;
    const float *a, *b;
    int64_t lda, ldb;
    float *c;
    int64_t ldc;
} Product;

/* Sizes of a tile: the last of a row or column of tiles may be smaller. */
typedef struct Tiling {
    int64_t rows, columns;
} Tiling;

static int64_t tile_size(int64_t size, int64_t tiles)
{
    const int64_t each = (size + tiles - 1) / tiles;
    return tiles == 1 ? size : (each + GEMM_TILE_STEP - 1) / GEMM_TILE_STEP * GEMM_TILE_STEP;
}

static Tiling tiling_of(int64_t M, int64_t N, int64_t K)
{
    const double row = pack / (double)M, column = pack / (double)N, whole = 1 + row + column;
    const double work = (double)M * (double)N * (double)K;
    int64_t r = 1, q = 1;
    double more = 0;
    while (r * q < MOST_TILES && work / (double)(2 * r * q) >= GEMM_TILE_WORK) {
        const double halve_rows = (double)r * row, halve_columns = (double)q * column;
        more += halve_rows < halve_columns ? halve_rows : halve_columns;
        if (more > (r * q == 1 ? first_cost : cost) * whole)
            break;
        if (halve_rows < halve_columns)
            r *= 2;
        else
            q *= 2;
    }
    return (Tiling){ tile_size(M, r), tile_size(N, q) };
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows [m, m + rows), columns [n, n + columns). */
static void one_tile(const Product *p, int64_t m, int64_t n, Tiling tiling)
{
    const float *a = p->a + (p->turn_a ? m : m * p->lda);
    const float *b = p->b + (p->turn_b ? n * p->ldb : n);
    blas_sgemm(p->turn_a, p->turn_b, least(tiling.rows, p->M - m), least(tiling.columns, p->N - n), p->K, p->alpha, a,
               p->lda, b, p->ldb, p->beta, p->c + m * p->ldc + n, p->ldc);
}

/* c = beta * c: what a product over nothing leaves. beta 0 overwrites NaN too. */
static void scale_only(const Product *p)
{
    for (int64_t m = 0; m < p->M; m++)
        for (int64_t n = 0; n < p->N; n++)
            p->c[m * p->ldc + n] = p->beta == 0.0f ? 0.0f : p->beta * p->c[m * p->ldc + n];
}

static void compute(const Product *p)
{
    if (p->M == 0 || p->N == 0 || p->K == 0) {
        scale_only(p);
        return;
    }
    const bool at_once = joined && omp_get_max_threads() == 1;
    const Tiling tiling = at_once ? (Tiling){ p->M, p->N } : tiling_of(p->M, p->N, p->K);
    const int64_t across = (p->N + tiling.columns - 1) / tiling.columns;
    const int64_t tiles = across * ((p->M + tiling.rows - 1) / tiling.rows);
#pragma omp parallel for schedule(dynamic) if (tiles > 1)
    for (int64_t t = 0; t < tiles; t++)
        one_tile(p, t / across * tiling.rows, t % across * tiling.columns, tiling);
}

void gemm_nt(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw,
             int64_t N, int64_t O, int64_t I, float alpha, float beta)
{
    if (N == 1 && O > 0 && I > 0)
        kernels->gemv(y, x, w, ldw, O, I, alpha, beta);
    else
        compute(&(Product){ false, true, N, O, I, alpha, beta, x, w, ldx, ldw, y, ldy });
}

void gemm_nn(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw,
             int64_t N, int64_t I, int64_t O, float alpha, float beta)
{
    compute(&(Product){ false, false, N, I, O, alpha, beta, x, w, ldx, ldw, y, ldy });
}

void gemm_tn(float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb,
             int64_t O, int64_t I, int64_t N, float alpha, float beta)
{
    compute(&(Product){ true, false, O, I, N, alpha, beta, a, b, lda, ldb, y, ldy });
}
