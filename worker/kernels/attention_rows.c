/* attention_rows - query rows against keys and values that are kept in pages: scores, softmax, weighted sum. A row's
 * numbers are made by one thread, in the order of the tokens. */
#include "worker/kernels/kernels.h"
#include "worker/kernels/rows.h"
#include "worker/kernels/vmath.h"

#include <math.h>
#include <omp.h>

/* s[0,n) becomes its softmax without the division; returns what to divide by. */
static float softmax(float *s, int64_t n)
{
    float max = -INFINITY, sum = 0.0f;
#pragma omp simd reduction(max : max)
    for (int64_t j = 0; j < n; j++)
        max = s[j] > max ? s[j] : max;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        s[j] = vm_exp(s[j] - max);
        sum += s[j];
    }
    return sum;
}

/* Where the keys (or values) of token j lie, and how many follow it in its page, up to `end`. */
static const float *run_of(const AttentionRow *row, int64_t at, int64_t tokens, int64_t KD, int64_t j, int64_t end,
                           int64_t *count)
{
    const int64_t in_page = j % tokens, left = tokens - in_page;
    *count = end - j < left ? end - j : left;
    return row->pages[j / tokens] + at + in_page * KD;
}

/* Scores of keys [first, first + n) of query i: what is added to them, then the cap. */
static void bend(float *s, const AttentionShape *shape, int64_t h, int64_t i, int64_t first, int64_t n)
{
    const float *added = shape->added != NULL ? attention_added(shape, h, i) + first : NULL;
    for (int64_t j = 0; added != NULL && j < n; j++)
        s[j] += added[j];
    for (int64_t j = 0; shape->cap > 0.0f && j < n; j++)
        s[j] = shape->cap * vm_tanh(s[j] / shape->cap);
}

/* out[D] of head h: keys and values of its group begin `across` floats into a row of a page. */
static void attend(float *out, const float *q, const AttentionRow *row, const AttentionPages *pages,
                   const AttentionShape *shape, int64_t h, float *scores)
{
    const int64_t D = shape->D, KD = shape->K * D, across = h / (shape->H / shape->K) * D, end = row->seen;
    const int64_t first = shape->window > 0 && end > shape->window ? end - shape->window : 0;
    int64_t count;
    for (int64_t j = first; j < end; j += count) {
        const float *k = run_of(row, pages->keys, pages->tokens, KD, j, end, &count) + across;
        for (int64_t i = 0; i < count; i++)
            scores[j - first + i] = row_dot(q, k + i * KD, D) * shape->scale;
    }
    bend(scores, shape, h, end - 1, first, end - first);
    const float scale = 1.0f / softmax(scores, end - first);
    for (int64_t d = 0; d < D; d++)
        out[d] = 0.0f;
    for (int64_t j = first; j < end; j += count) {
        const float *v = run_of(row, pages->values, pages->tokens, KD, j, end, &count) + across;
        for (int64_t i = 0; i < count; i++) {
            const float p = scores[j - first + i] * scale;
#pragma omp simd
            for (int64_t d = 0; d < D; d++)
                out[d] += p * v[i * KD + d];
        }
    }
}

void attention_rows(float *out, const float *q, const AttentionRow *rows, int64_t N, const AttentionPages *pages,
                    const AttentionShape *shape, float *scores, int64_t ldscores)
{
    const int64_t H = shape->H, D = shape->D;
    int64_t seen = 0;
    for (int64_t n = 0; n < N; n++)
        seen += rows[n].seen;
#pragma omp parallel for schedule(dynamic) num_threads(shape->threads) if (seen * H * D > PARALLEL_ELEMENTS)
    for (int64_t t = 0; t < N * H; t++) {
        const int64_t n = t / H, h = t % H;
        attend(out + n * shape->ldout + h * D, q + n * shape->ldqkv + attention_q_at(shape, h), &rows[n], pages, shape,
               h, scores + omp_get_thread_num() * ldscores);
    }
}
