/* DESIGN: tiles.
 *
 * Splitting a product costs: each tile packs its rows of both factors anew. With PACK multiply-adds'
 * time for packing one number, r rows of tiles and q columns of them, a product of M x N takes
 *
 *     1 + PACK (r / M + q / N)
 *
 * times what its arithmetic takes. Tiles are halved along the cheaper side, as often as the whole
 * costs little more than it did unsplit. A first halving may cost somewhat more: it is worth most.
 * Where tiles can be joined without changing a bit, halving ends as soon as each thread has as many as the
 * others: one thread pays nothing, two pay for one cut. */
#include "worker/kernels/gemm.h"

#include "common/base/err.h"
#include "common/base/profile.h"
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

/* How many tiles lie along the rows and the columns of a product. */
typedef struct Tiling {
    int64_t rows, columns;
} Tiling;

/* Where the i-th of `tiles` begins; i = tiles: where the last ends. None is smaller than size / tiles by a step. */
static int64_t edge(int64_t size, int64_t tiles, int64_t i)
{
    return i == tiles ? size : size * i / tiles / GEMM_TILE_STEP * GEMM_TILE_STEP;
}

static double smallest(int64_t size, int64_t tiles)
{
    const int64_t least = size / tiles - (tiles > 1 ? GEMM_TILE_STEP : 0);
    return least > 0 ? (double)least : 0;
}

static Tiling tiling_of(int64_t M, int64_t N, int64_t K, int threads)
{
    const double row = pack / (double)M, column = pack / (double)N, whole = 1 + row + column;
    Tiling tiling = { 1, 1 };
    double more = 0;
    while (tiling.rows * tiling.columns < MOST_TILES && !(joined && tiling.rows * tiling.columns % threads == 0)) {
        const double halve_rows = (double)tiling.rows * row, halve_columns = (double)tiling.columns * column;
        const bool by_rows = halve_rows < halve_columns;
        const Tiling next = { tiling.rows * (by_rows ? 2 : 1), tiling.columns * (by_rows ? 1 : 2) };
        more += by_rows ? halve_rows : halve_columns;
        const double most = tiling.rows * tiling.columns == 1 ? first_cost : cost;
        const double work = smallest(M, next.rows) * smallest(N, next.columns) * (double)K;
        if (more > most * whole || work < GEMM_TILE_WORK)
            break;
        tiling = next;
    }
    return tiling;
}

/* The tile in the i-th row and j-th column of tiles. */
static void one_tile(const Product *p, Tiling tiling, int64_t i, int64_t j)
{
    const int64_t m = edge(p->M, tiling.rows, i), rows = edge(p->M, tiling.rows, i + 1) - m;
    const int64_t n = edge(p->N, tiling.columns, j), columns = edge(p->N, tiling.columns, j + 1) - n;
    const float *a = p->a + (p->turn_a ? m : m * p->lda);
    const float *b = p->b + (p->turn_b ? n * p->ldb : n);
    blas_sgemm(p->turn_a, p->turn_b, rows, columns, p->K, p->alpha, a, p->lda, b, p->ldb, p->beta,
               p->c + m * p->ldc + n, p->ldc);
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
    const Tiling tiling = tiling_of(p->M, p->N, p->K, omp_get_max_threads());
    const int64_t tiles = tiling.rows * tiling.columns;
#pragma omp parallel for schedule(dynamic) if (tiles > 1)
    for (int64_t t = 0; t < tiles; t++)
        one_tile(p, tiling, t / tiling.columns, t % tiling.columns);
}

/* The same under the name that a profile has for it; [rows, columns]: of the factor that is a weight or its gradient. */
static void compute_named(const Product *p, const char *name, int64_t rows, int64_t columns)
{
    const double begin = profile_begin(), m = (double)p->M, n = (double)p->N, k = (double)p->K;
    compute(p);
    profile_end(begin, name, rows, columns, 2 * m * n * k, sizeof(float) * (m * k + n * k + m * n));
}

void gemm_nt(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t N, int64_t O,
             int64_t I, float alpha, float beta)
{
    if (N == 1 && O > 0 && I > 0)
        kernels->row_products(y, ldy, x, ldx, w, ldw, 1, O, I, alpha, beta);
    else
        compute_named(&(Product){ false, true, N, O, I, alpha, beta, x, w, ldx, ldw, y, ldy }, "x W^T", O, I);
}

void gemm_nn(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t N, int64_t I,
             int64_t O, float alpha, float beta)
{
    compute_named(&(Product){ false, false, N, I, O, alpha, beta, x, w, ldx, ldw, y, ldy }, "y W", O, I);
}

void gemm_tn(float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t O, int64_t I,
             int64_t N, float alpha, float beta)
{
    compute_named(&(Product){ true, false, O, I, N, alpha, beta, a, b, lda, ldb, y, ldy }, "y^T x", O, I);
}
