#include "worker/layers/rope.h"

#include "common/base/maths.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Whether sequences of `length` tokens turn by the angles of the shortest. */
static bool turns_as_short(const Rope *rope, int64_t length, double *work)
{
    const int64_t half = rope->R / 2;
    const double scale = arch_rope(rope->arch, rope->set, 1, work);
    return arch_rope(rope->arch, rope->set, length, work + half) == scale &&
           memcmp(work, work + half, (size_t)half * sizeof *work) == 0;
}

/* The longest sequence, up to `longest`, that does so; all shorter ones do, too. */
static int64_t longest_short(const Rope *rope, int64_t longest)
{
    double *work = xmalloc((size_t)(rope->R + 1) * sizeof *work);
    int64_t low = 1, high = longest + 1; /* low does, high does not or is beyond */
    if (longest > 1 && turns_as_short(rope, longest, work))
        low = longest;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (turns_as_short(rope, middle, work))
            low = middle;
        else
            high = middle;
    }
    free(work);
    return low;
}

void rope_layout(Rope *rope, Layout *layout, const ModelArch *arch, int set, int64_t longest)
{
    *rope = (Rope){ 0 };
    if (!arch->rope)
        return;
    const int64_t half = arch_rotated(arch) / 2;
    rope->arch = arch;
    rope->set = set;
    rope->of_batch = arch_rope_of_batch(arch);
    rope->neighbours = arch->rope_neighbours;
    rope->D = arch->D;
    rope->R = 2 * half;
    rope->longest = longest;
    rope->same = longest_short(rope, longest);
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
    const int64_t half = rope->R / 2;
    const double scale = arch_rope(rope->arch, rope->set, length, rope->inverse);
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

/* Of a batch whose longest is longer than any that comes here, as many rows as there is room for. */
static void make_own(Rope *rope, int64_t length)
{
    if (rope->own_length == length)
        return;
    fill(rope, rope->own_cosine, rope->own_sine, length, length < rope->longest ? length : rope->longest);
    rope->own_length = length;
}

RopeHeads rope_heads(const Rope *rope, const AttentionShape *shape)
{
    const int64_t of_group = shape->H / shape->K + 1; /* its q's and its k */
    return (RopeHeads){ .groups = shape->grouped ? shape->K : 1,
                        .count = shape->grouped ? of_group : shape->H + shape->K,
                        .step = (of_group + 1) * shape->D,
                        .D = shape->D,
                        .R = rope->R,
                        .neighbours = rope->neighbours };
}

/* Rows that all turn as a sequence of `length` tokens does. */
static void turn_as(Rope *rope, float *qkv, const AttentionShape *shape, const Rows *rows, int64_t length, bool back)
{
    const RopeHeads heads = rope_heads(rope, shape);
    const bool own = has_own(rope, length);
    if (own)
        make_own(rope, length);
    kernels->rope_apply(qkv, shape->ldqkv, &heads, rows, own ? rope->own_cosine : rope->cosine,
                        own ? rope->own_sine : rope->sine, back);
}

void rope_turn(Rope *rope, float *qkv, const AttentionShape *shape, const Rows *rows, int64_t batch, bool back)
{
    if (!rope->arch)
        return;
    const int64_t length = rope->of_batch && batch > rows->longest ? batch : rows->longest;
    if (rope->of_batch || !has_own(rope, length)) {
        turn_as(rope, qkv, shape, rows, length, back);
        return;
    }
    for (int64_t b = 0; b < rows->B; b++) {
        const int64_t T = rows->start[b + 1] - rows->start[b], start[] = { 0, T };
        const Rows one = { .B = 1, .N = T, .longest = T, .start = start };
        turn_as(rope, qkv + rows->start[b] * shape->ldqkv, shape, &one, T, back);
    }
}

void rope_row(Rope *rope, int64_t t, int64_t length, const float **cosine, const float **sine)
{
    const int64_t half = rope->R / 2;
    const bool own = has_own(rope, length);
    REQUIRE(t < rope->longest && length <= rope->longest);
    if (own)
        make_own(rope, length);
    *cosine = (own ? rope->own_cosine : rope->cosine) + t * half;
    *sine = (own ? rope->own_sine : rope->sine) + t * half;
}
