#include "worker/layers/magnitude.h"

#include "common/base/digest.h"
#include "worker/kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { ROWS = 16 }; /* that are unpacked at a time */

void magnitude_layout(Magnitude *magnitude, Layout *layout, int64_t out, int64_t in)
{
    magnitude->c = layout_floats(layout, out);
    magnitude->inverse = layout_floats(layout, out);
    magnitude->rows = layout_floats(layout, ROWS * in);
}

void magnitude_layout_table(Magnitude *magnitude, Layout *layout, const ModuleView *module)
{
    magnitude_layout(magnitude, layout, module->in, module->in);
    magnitude->turned = layout_floats(layout, module->R * module->in);
    magnitude->squares = layout_take(layout, (size_t)module->in * sizeof(double));
}

/* False: A and B are those that n was made of. */
static bool are_others(uint64_t *seen, const ModuleView *m, const float *values, int64_t a_count, int64_t b_count)
{
    uint64_t now = digest_fast(values + m->a_at, (size_t)a_count * sizeof *values);
    now = digest_fast_more(now, values + m->b_at, (size_t)b_count * sizeof *values) | 1;
    const bool others = now != *seen;
    *seen = now;
    return others;
}

/* inverse = 1 / n. A row of zeros has no direction, and stays one. */
static void invert(float *inverse, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        inverse[i] = inverse[i] > 0 ? 1.0f / inverse[i] : 0.0f;
}

static void find_c(Magnitude *magnitude, int64_t at, int64_t n, const float *m)
{
    for (int64_t i = 0; i < n; i++)
        magnitude->c[at + i] = m[i] * magnitude->inverse[at + i];
}

/* magnitude->rows = rows [o, o + count) of the frozen weight. */
static void unpack(Magnitude *magnitude, const ModuleView *m, int64_t o, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        frozen_row(magnitude->rows + i * m->in, &m->weight, o + i);
}

void magnitude_bind(Magnitude *magnitude, uint64_t *seen, int64_t at, const ModuleView *m, const float *values)
{
    const float *b = values + m->b_at;
    if (are_others(seen, m, values, m->R * m->in, m->out * m->R)) {
        for (int64_t o = 0; o < m->out; o += ROWS) {
            const int64_t count = m->out - o < ROWS ? m->out - o : ROWS;
            unpack(magnitude, m, o, count);
            kernels->adapted_row_norms(magnitude->inverse + at + o, magnitude->rows, values + m->a_at, b + o * m->R,
                                       m->scale, count, m->in, m->R);
        }
        invert(magnitude->inverse + at, m->out);
    }
    find_c(magnitude, at, m->out, values + m->magnitude_at);
}

void magnitude_bind_table(Magnitude *magnitude, uint64_t *seen, const ModuleView *m, const float *values)
{
    const int64_t C = m->in, R = m->R, V = m->out;
    const float *b = values + m->b_at; /* [C, R] */
    if (are_others(seen, m, values, R * V, C * R)) {
        for (int64_t r = 0; r < R; r++)
            for (int64_t d = 0; d < C; d++)
                magnitude->turned[r * C + d] = b[d * R + r];
        memset(magnitude->squares, 0, (size_t)C * sizeof *magnitude->squares);
        for (int64_t v = 0; v < V; v += ROWS) {
            const int64_t count = V - v < ROWS ? V - v : ROWS;
            unpack(magnitude, m, v, count);
            kernels->adapted_column_squares(magnitude->squares, magnitude->rows, values + m->a_at + v, V,
                                            magnitude->turned, m->scale, count, C, R);
        }
        for (int64_t d = 0; d < C; d++)
            magnitude->inverse[d] = (float)sqrt(magnitude->squares[d]);
        invert(magnitude->inverse, C);
    }
    find_c(magnitude, 0, C, values + m->magnitude_at);
}
