#include "worker/layers/rope.h"

#include "common/base/maths.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether sequences of `length` tokens turn by the angles of the shortest. */
static bool turns_as_short(const ModelArch *arch, int64_t length, double *work)
{
    const int64_t half = arch->D / 2;
    const double scale = arch_rope(arch, 1, work);
    return arch_rope(arch, length, work + half) == scale && memcmp(work, work + half, (size_t)half * sizeof *work) == 0;
}

/* The longest sequence, up to `longest`, that does so; all shorter ones do, too. */
static int64_t longest_short(const ModelArch *arch, int64_t longest)
{
    double *work = xmalloc((size_t)(arch->D + 1) * sizeof *work);
    int64_t low = 1, high = longest + 1; /* low does, high does not or is beyond */
    if (longest > 1 && turns_as_short(arch, longest, work))
        low = longest;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (turns_as_short(arch, middle, work))
            low = middle;
        else
            high = middle;
    }
    free(work);
    return low;
}

void rope_layout(Rope *rope, Layout *layout, const ModelArch *arch, int64_t longest)
{
    *rope = (Rope){ 0 };
    if (!arch->rope)
        return;
    const int64_t half = arch->D / 2;
    rope->arch = arch;
    rope->D = arch->D;
    rope->longest = longest;
    rope->same = longest_short(arch, longest);
    rope->stretches = rope->same < longest;
    rope->cosine = layout_floats(layout, longest * half);
    rope->sine = layout_floats(layout, longest * half);
    rope->own_cosine = layout_floats_if(layout, rope->stretches, longest * half);
    rope->own_sine = layout_floats_if(layout, rope->stretches, longest * half);
    rope->inverse = layout_take(layout, (size_t)half * sizeof(double));
}

/* The tables of sequences of `length` tokens, for their first `rows` places. */
static void fill(const Rope *rope, float *cosine, float *sine, int64_t length, int64_t rows)
{
    const int64_t half = rope->D / 2;
    const double scale = arch_rope(rope->arch, length, rope->inverse);
    for (int64_t t = 0; t < rows; t++) {
        for (int64_t j = 0; j < half; j++) {
            const double angle = (double)((float)t * (float)rope->inverse[j]);
            cosine[t * half + j] = (float)(maths_cos(angle) * scale);
            sine[t * half + j] = (float)(maths_sin(angle) * scale);
        }
    }
}

void rope_fill(Rope *rope)
{
    if (!rope->arch)
        return;
    fill(rope, rope->cosine, rope->sine, rope->same, rope->same);
}

static bool has_own(const Rope *rope, int64_t length)
{
    return rope->stretches && length > rope->same;
}

static void make_own(Rope *rope, int64_t length)
{
    if (rope->own_length == length)
        return;
    fill(rope, rope->own_cosine, rope->own_sine, length, length);
    rope->own_length = length;
}

void rope_turn(Rope *rope, float *x, int64_t ld, int64_t heads, const Rows *rows, bool back)
{
    if (!rope->arch)
        return;
    if (!rope->stretches || rows->longest <= rope->same) {
        kernels->rope_apply(x, ld, heads, rope->D, rows, rope->cosine, rope->sine, back);
        return;
    }
    for (int64_t b = 0; b < rows->B; b++) {
        const int64_t T = rows->start[b + 1] - rows->start[b], start[] = { 0, T };
        const Rows one = { .B = 1, .N = T, .longest = T, .start = start };
        const bool own = has_own(rope, T);
        if (own)
            make_own(rope, T);
        kernels->rope_apply(x + rows->start[b] * ld, ld, heads, rope->D, &one, own ? rope->own_cosine : rope->cosine,
                            own ? rope->own_sine : rope->sine, back);
    }
}

void rope_row(Rope *rope, int64_t t, int64_t length, const float **cosine, const float **sine)
{
    const int64_t half = rope->D / 2;
    const bool own = has_own(rope, length);
    REQUIRE(t < rope->longest && length <= rope->longest);
    if (own)
        make_own(rope, length);
    *cosine = (own ? rope->own_cosine : rope->cosine) + t * half;
    *sine = (own ? rope->own_sine : rope->sine) + t * half;
}
