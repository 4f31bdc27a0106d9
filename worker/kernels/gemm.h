/* gemm - every matrix product of the worker. Row-major, dense rows: the last
 * argument of a matrix is its row stride where one is given, else its width.
 * Products of at least one empty dimension are fine.
 *
 * A product is split into tiles that its sizes alone decide, each computed by one
 * thread (blas.h); threads say no more than who takes which tile. So the result is a
 * function of the operands, the sizes and the arithmetic, not of the number of threads.
 *
 * Threads: called from one thread at a time; uses gemm_set_threads(n) cores. */
#ifndef WORKER_KERNELS_GEMM_H
#define WORKER_KERNELS_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* Cores of the products, and of the OpenMP loops of kernels.h. */
void gemm_set_threads(int n);

/* Whether BLAS gives the same bits for tiles and for what they are tiles of (worker/arithmetic finds out): then
 * one thread computes them at once, which is faster. Off at the start. */
void gemm_join_tiles(bool join);

/* Tiles begin at multiples of this, and have at least so many multiply-adds: products that are so
 * small that BLAS has other ways for them are never parts of larger ones. */
enum { GEMM_TILE_STEP = 64, GEMM_TILE_WORK = 1 << 23 };

/* y[N,O] = alpha * x[N,I] . w[O,I]^T + beta * y     (row strides ldy, ldx, ldw) */
void gemm_nt(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t N, int64_t O,
             int64_t I, float alpha, float beta);

/* y[N,I] = alpha * x[N,O] . w[O,I] + beta * y */
void gemm_nn(float *y, int64_t ldy, const float *x, int64_t ldx, const float *w, int64_t ldw, int64_t N, int64_t I,
             int64_t O, float alpha, float beta);

/* y[O,I] = alpha * a[N,O]^T . b[N,I] + beta * y */
void gemm_tn(float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t O, int64_t I,
             int64_t N, float alpha, float beta);

#endif
