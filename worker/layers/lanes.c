#include "worker/layers/lanes.h"

#include "worker/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

bool lanes_init(Lanes *lanes, const ModelArch *arch, int64_t count, int64_t longest, Err *err)
{
    *lanes = (Lanes){ .count = count, .longest = longest, .KD = arch->K * arch->D };
    const size_t cache = (size_t)(arch->layers * count * longest * lanes->KD) * sizeof(float);
    lanes->keys = mem_alloc(cache, err);
    lanes->values = mem_alloc(cache, err);
    lanes->scores = mem_alloc((size_t)(arch->H * longest) * sizeof(float), err);
    lanes->length = xcalloc((size_t)count, sizeof *lanes->length);
    return lanes->keys && lanes->values && lanes->scores;
}

void lanes_release(Lanes *lanes)
{
    free(lanes->keys);
    free(lanes->values);
    free(lanes->scores);
    free(lanes->length);
    *lanes = (Lanes){ 0 };
}

bool lanes_go_on(const Lanes *lanes)
{
    return !lanes->first;
}

static int64_t cache_at(const Lanes *lanes, int64_t layer, int64_t lane)
{
    return (layer * lanes->count + lane) * lanes->longest * lanes->KD;
}

void lanes_remember(Lanes *lanes, int64_t layer, const float *qkv, const AttentionShape *shape, const Pass *pass)
{
    const int64_t E = shape->H * shape->D, KD = lanes->KD, *start = pass->rows.start;
    const size_t bytes = (size_t)KD * sizeof(float);
    for (int64_t b = 0; b < pass->rows.B; b++) {
        const int64_t lane = lanes->lane[b];
        int64_t at = cache_at(lanes, layer, lane) + lanes->length[lane] * KD;
        for (int64_t n = start[b]; n < start[b + 1]; n++, at += KD) {
            memcpy(lanes->keys + at, qkv + n * shape->ldqkv + E, bytes);
            memcpy(lanes->values + at, qkv + n * shape->ldqkv + E + KD, bytes);
        }
    }
}

/* Rotary positions of rows that do not begin at a lane's first place. */
static void turn(const Lanes *lanes, float *qkv, const AttentionShape *shape, Pass *pass)
{
    Rope *rope = &pass->rope;
    const int64_t single[] = { 0, 1 }, *start = pass->rows.start;
    const Rows one = { .B = 1, .N = 1, .longest = 1, .start = single };
    for (int64_t b = 0; rope->arch && b < pass->rows.B; b++) {
        const int64_t before = lanes->length[lanes->lane[b]] - start[b];
        for (int64_t n = start[b]; n < start[b + 1]; n++) {
            const float *cosine, *sine;
            rope_row(rope, before + n, before + start[b + 1], &cosine, &sine);
            kernels->rope_apply(qkv + n * shape->ldqkv, shape->ldqkv, shape->H + shape->K, shape->D, &one, cosine, sine,
                                false);
        }
    }
}

void lanes_attend(Lanes *lanes, int64_t layer, float *att, float *qkv, const AttentionShape *shape, Pass *pass)
{
    const int64_t *start = pass->rows.start;
    turn(lanes, qkv, shape, pass);
    lanes_remember(lanes, layer, qkv, shape, pass);
    for (int64_t b = 0; b < pass->rows.B; b++) {
        const int64_t lane = lanes->lane[b], at = cache_at(lanes, layer, lane);
        for (int64_t n = start[b]; n < start[b + 1]; n++)
            kernels->attention_row(att + n * shape->ldout, qkv + n * shape->ldqkv, lanes->keys + at, lanes->values + at,
                                   lanes->length[lane] + n - start[b] + 1, shape, lanes->scores, lanes->longest);
    }
}
