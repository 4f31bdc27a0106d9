#include "worker/layers/lanes.h"

#include "worker/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

static int64_t pages_of(int64_t tokens)
{
    return (tokens + LANES_PAGE - 1) / LANES_PAGE;
}

bool lanes_init(Lanes *lanes, const ModelArch *arch, const LanesOptions *o, Err *err)
{
    const int64_t each = pages_of(o->longest), all = o->count * each;
    const int64_t pages = o->tokens > 0 && pages_of(o->tokens) < all ? pages_of(o->tokens) : all;
    *lanes = (Lanes){ .count = o->count, .longest = o->longest, .KD = arch->K * arch->D, .threads = o->threads };
    lanes->first = o->first;
    const int64_t page = o->blocks * 2 * LANES_PAGE * lanes->KD;
    lanes->lanes = xcalloc((size_t)o->count, sizeof *lanes->lanes);
    lanes->spares = xmalloc((size_t)pages * sizeof *lanes->spares);
    lanes->rows = xmalloc((size_t)o->most_rows * sizeof *lanes->rows);
    for (int64_t i = 0; i < o->count; i++)
        lanes->lanes[i].pages = xcalloc((size_t)each, sizeof *lanes->lanes[i].pages);
    lanes->room = mem_alloc((size_t)(pages * page) * sizeof(float), err);
    lanes->scores = mem_alloc((size_t)(o->threads * o->longest) * sizeof(float), err);
    if (!lanes->room || !lanes->scores)
        return false;
    for (lanes->pages = 0; lanes->pages < pages; lanes->pages++)
        lanes->spares[lanes->spare++] = lanes->room + lanes->pages * page;
    return true;
}

void lanes_release(Lanes *lanes)
{
    for (int64_t i = 0; i < lanes->count; i++)
        free(lanes->lanes[i].pages);
    free(lanes->lanes);
    free(lanes->spares);
    free(lanes->rows);
    free(lanes->room);
    free(lanes->scores);
    *lanes = (Lanes){ 0 };
}

int64_t lanes_join(Lanes *lanes, int64_t most)
{
    const int64_t pages = pages_of(most);
    REQUIRE(most <= lanes->longest);
    for (int64_t i = 0; i < lanes->count; i++) {
        Lane *lane = &lanes->lanes[i];
        if (lane->taken)
            continue;
        if (lanes->promised + pages > lanes->pages)
            return -1;
        lanes->promised += pages;
        lane->taken = true;
        lane->promised = pages;
        lane->length = 0;
        return i;
    }
    return -1;
}

void lanes_leave(Lanes *lanes, int64_t at)
{
    Lane *lane = &lanes->lanes[at];
    REQUIRE(lane->taken);
    while (lane->held > 0)
        lanes->spares[lanes->spare++] = lane->pages[--lane->held];
    lanes->promised -= lane->promised;
    lane->taken = false;
}

/* Until there is room for so many tokens. */
static void take_pages(Lanes *lanes, Lane *lane, int64_t tokens)
{
    REQUIRE(lane->taken && pages_of(tokens) <= lane->promised);
    while (lane->held < pages_of(tokens))
        lane->pages[lane->held++] = lanes->spares[--lanes->spare];
}

void lanes_begin(Lanes *lanes, const Rows *rows, const int64_t *lane, const int64_t *whole)
{
    lanes->lane = lane;
    lanes->whole = whole;
    for (int64_t b = 0; b < rows->B; b++) {
        Lane *of = &lanes->lanes[lane[b]];
        const int64_t n = rows->start[b + 1] - rows->start[b];
        take_pages(lanes, of, of->length + n);
        for (int64_t t = 0; t < n; t++)
            lanes->rows[rows->start[b] + t] = (AttentionRow){ of->pages, of->length + t + 1 };
    }
}

void lanes_end(Lanes *lanes, const Rows *rows)
{
    for (int64_t b = 0; b < rows->B; b++)
        lanes->lanes[lanes->lane[b]].length += rows->start[b + 1] - rows->start[b];
}

/* Rotary positions of rows that do not begin at a lane's first place. Where angles depend on a text's length, it is
 * that of the prompt, however it is cut. */
static void turn(const Lanes *lanes, float *qkv, const AttentionShape *shape, Rope *rope, const Pass *pass)
{
    const RopeHeads heads = rope_heads(rope, shape);
    const int64_t single[] = { 0, 1 }, *start = pass->rows.start;
    const Rows one = { .B = 1, .N = 1, .longest = 1, .start = single };
    for (int64_t b = 0; rope->arch && b < pass->rows.B; b++) {
        const int64_t before = lanes->lanes[lanes->lane[b]].length - start[b], end = before + start[b + 1];
        for (int64_t n = start[b]; n < start[b + 1]; n++) {
            const float *cosine, *sine;
            rope_row(rope, before + n, lanes->whole ? lanes->whole[b] : end, &cosine, &sine);
            kernels->rope_apply(qkv + n * shape->ldqkv, shape->ldqkv, &heads, &one, cosine, sine, false);
        }
    }
}

/* Puts the rows' keys and values behind those of their lanes. */
static void remember(Lanes *lanes, const AttentionPages *at, const float *qkv, const AttentionShape *shape,
                     const Pass *pass)
{
    const int64_t D = shape->D, KD = lanes->KD;
    const size_t bytes = (size_t)D * sizeof(float);
    for (int64_t n = 0; n < pass->rows.N; n++) {
        const int64_t place = lanes->rows[n].seen - 1;
        const float *row = qkv + n * shape->ldqkv;
        float *page = lanes->rows[n].pages[place / LANES_PAGE] + place % LANES_PAGE * KD;
        for (int64_t k = 0; k < shape->K; k++) {
            memcpy(page + at->keys + k * D, row + attention_k_at(shape, k), bytes);
            memcpy(page + at->values + k * D, row + attention_v_at(shape, k), bytes);
        }
    }
}

/* Where a block's keys and values begin in a page. */
static AttentionPages pages_at(const Lanes *lanes, int64_t layer)
{
    const int64_t half = LANES_PAGE * lanes->KD, at = layer - lanes->first;
    return (AttentionPages){ LANES_PAGE, 2 * at * half, (2 * at + 1) * half };
}

void lanes_attend(Lanes *lanes, int64_t layer, float *att, float *qkv, const AttentionShape *shape, Rope *rope,
                  Pass *pass)
{
    const AttentionPages pages = pages_at(lanes, layer);
    AttentionShape with_room = *shape;
    with_room.threads = lanes->threads;
    if (rope)
        turn(lanes, qkv, shape, rope, pass);
    remember(lanes, &pages, qkv, shape, pass);
    kernels->attention_rows(att, qkv, lanes->rows, pass->rows.N, &pages, &with_room, lanes->scores, lanes->longest);
}

/* ---- sources ---- */

void lanes_keep_source(Lanes *sources, int64_t at, int64_t layer, const float *kv, const AttentionShape *shape,
                       int64_t count)
{
    Lane *lane = &sources->lanes[at];
    const AttentionPages pages = pages_at(sources, layer);
    const int64_t KD = sources->KD;
    const size_t bytes = (size_t)KD * sizeof(float);
    take_pages(sources, lane, count);
    for (int64_t n = 0; n < count; n++) {
        float *page = lane->pages[n / LANES_PAGE] + n % LANES_PAGE * KD;
        memcpy(page + pages.keys, kv + n * shape->ldkv, bytes);
        memcpy(page + pages.values, kv + n * shape->ldkv + KD, bytes);
    }
    lane->length = count;
}

void lanes_attend_sources(Lanes *lanes, int64_t layer, float *att, const float *q, const AttentionShape *shape,
                          const Rows *rows)
{
    Lanes *sources = lanes->sources;
    const AttentionPages pages = pages_at(sources, layer);
    AttentionShape with_room = *shape;
    with_room.threads = lanes->threads;
    for (int64_t b = 0; b < rows->B; b++) {
        const Lane *lane = &sources->lanes[lanes->lane[b]];
        for (int64_t n = rows->start[b]; n < rows->start[b + 1]; n++)
            sources->rows[n] = (AttentionRow){ lane->pages, lane->length };
    }
    kernels->attention_rows(att, q, sources->rows, rows->N, &pages, &with_room, sources->scores, sources->longest);
}
