#include "worker/model/decode.h"

#include "worker/kernels/kernels.h"
#include "worker/model/model_parts.h"

#include <stdlib.h>
#include <string.h>

struct Decoder {
    const ModelArch *arch;
    DecodeOptions options;
    Model *model;
    int64_t KD; /* kv heads * head size: a row of keys, or of values */
    float *keys; /* [layers, lanes, longest, KD], turned by their places */
    float *values; /* the same */
    float *scores; /* [H, longest] */
    int64_t *length; /* [lanes] tokens that a lane has read */
    int64_t *ones; /* [lanes + 1]: 0, 1, 2, ... */
};

static bool check(const ModelArch *arch, Err *err)
{
    if (arch->task == TASK_CAUSAL_LM && arch->causal && arch->pre_norm)
        return true;
    return err_set(err, ERR_INPUT, "model_type '%s' with task_type '%s' does not write texts", arch->family->model_type,
                   config_task_name(arch->task));
}

static bool take_memory(Decoder *d, Err *err)
{
    const DecodeOptions *o = &d->options;
    const size_t cache = (size_t)(d->arch->layers * o->lanes * o->longest * d->KD) * sizeof(float);
    d->keys = mem_alloc(cache, err);
    d->values = mem_alloc(cache, err);
    d->scores = mem_alloc((size_t)(d->arch->H * o->longest) * sizeof(float), err);
    if (!d->keys || !d->values || !d->scores)
        return err_hint(err, "lower data.max_length or the number of texts at a time");
    d->length = xcalloc((size_t)o->lanes, sizeof *d->length);
    d->ones = xcalloc((size_t)o->lanes + 1, sizeof *d->ones);
    for (int64_t i = 0; i <= o->lanes; i++)
        d->ones[i] = i;
    return true;
}

Decoder *decode_open(const ModelArch *arch, const SlotTable *table, const Weights *weights,
                     const DecodeOptions *options, Err *err)
{
    if (!check(arch, err))
        return NULL;
    Decoder *d = xcalloc(1, sizeof *d);
    *d = (Decoder){ .arch = arch, .options = *options, .KD = arch->K * arch->D };
    const ModelOptions o = {
        .most_tokens = options->most_tokens > options->lanes ? options->most_tokens : options->lanes,
        .most_sequences = options->lanes,
        .longest = options->longest,
        .threads = options->threads,
        .decodes = true,
    };
    if (!take_memory(d, err) || !(d->model = model_open(arch, table, weights, &o, err))) {
        decode_close(d);
        return NULL;
    }
    return d;
}

void decode_close(Decoder *d)
{
    if (!d)
        return;
    model_close(d->model);
    free(d->keys);
    free(d->values);
    free(d->scores);
    free(d->length);
    free(d->ones);
    free(d);
}

/* ---- a feed ------------------------------------------------------------------------------ */

static int64_t cache_at(const Decoder *d, int64_t layer, int64_t lane)
{
    return (layer * d->options.lanes + lane) * d->options.longest * d->KD;
}

/* Keys and values of the fed rows go behind those that their lanes have. */
static void remember(Decoder *d, const DecodeFeed *feed, int64_t layer, const float *qkv)
{
    const Block *block = &d->model->blocks[layer];
    const size_t bytes = (size_t)d->KD * sizeof(float);
    for (int64_t i = 0; i < feed->count; i++) {
        int64_t at = cache_at(d, layer, feed->lane[i]) + d->length[feed->lane[i]] * d->KD;
        for (int64_t n = feed->start[i]; n < feed->start[i + 1]; n++, at += d->KD) {
            memcpy(d->keys + at, qkv + n * block->QKV + block->E, bytes);
            memcpy(d->values + at, qkv + n * block->QKV + block->E + d->KD, bytes);
        }
    }
}

/* Rotary positions of rows that do not begin at a lane's first place. */
static void turn(Decoder *d, const DecodeFeed *feed, const Block *block, float *qkv)
{
    Rope *rope = &d->model->pass.rope;
    const int64_t start[] = { 0, 1 };
    const Rows one = { .B = 1, .N = 1, .longest = 1, .start = start };
    for (int64_t i = 0; rope->arch && i < feed->count; i++) {
        const int64_t before = d->length[feed->lane[i]] - feed->start[i];
        for (int64_t n = feed->start[i]; n < feed->start[i + 1]; n++) {
            const float *cosine, *sine;
            rope_row(rope, before + n, before + feed->start[i + 1], &cosine, &sine);
            kernels->rope_apply(qkv + n * block->QKV, block->QKV, d->arch->H + d->arch->K, d->arch->D, &one, cosine,
                                sine, false);
        }
    }
}

/* att[N,E] of rows that see what their lanes remember. */
static void attend(Decoder *d, const DecodeFeed *feed, const Block *block, float *att, const float *qkv)
{
    for (int64_t i = 0; i < feed->count; i++) {
        const int64_t lane = feed->lane[i], at = cache_at(d, block->layer, lane);
        for (int64_t n = feed->start[i]; n < feed->start[i + 1]; n++)
            kernels->attention_row(att + n * block->E, qkv + n * block->QKV, d->keys + at, d->values + at,
                                   d->length[lane] + n - feed->start[i] + 1, &block->attention, d->scores,
                                   d->options.longest);
    }
}

/* pass->x -> pass->y: q, k, v and what they attend to. */
static void attention_half(Decoder *d, const DecodeFeed *feed, Block *block)
{
    Pass *pass = &d->model->pass;
    float *qkv = pass->g;
    linear_forward(&block->qkv, qkv, block->QKV, pass->x, &pass->rows, pass);
    linear_add_bias(&block->qkv, qkv, block->QKV, pass->rows.N);
    if (feed->first)
        rope_turn(&pass->rope, qkv, block->QKV, d->arch->H + d->arch->K, &pass->rows, false);
    else
        turn(d, feed, block, qkv);
    remember(d, feed, block->layer, qkv);
    if (feed->first)
        kernels->attention_forward(pass->y, pass->lse, qkv, &pass->rows, &block->attention, (Dropout){ 0 },
                                   pass->attention);
    else
        attend(d, feed, block, pass->y, qkv);
    linear_forward(&block->attn_out, pass->o, block->C, pass->y, &pass->rows, pass);
    const NormInput sum = { .x = pass->o, .bias = linear_bias(&block->attn_out), .residual = pass->r, .sum = pass->r };
    norm_apply(&block->norm1, pass->y, &sum, &pass->rows, pass);
}

/* pass->y -> pass->x */
static void ff_half(Decoder *d, Block *block)
{
    Pass *pass = &d->model->pass;
    const int64_t N = pass->rows.N, F = block->F;
    const float *bias = linear_bias(&block->ff_up);
    float *pre = block->gated ? pass->pre : pass->g;
    linear_forward(&block->ff_up, pre, block->gated ? 2 * F : F, pass->y, &pass->rows, pass);
    if (block->gated)
        kernels->gated_act_forward(pass->g, pre, pre, bias, N, F, block->act);
    else
        kernels->bias_act_forward(pass->g, NULL, pre, bias, N, F, block->act);
    linear_forward(&block->ff_down, pass->o, block->C, pass->g, &pass->rows, pass);
    const NormInput sum = { .x = pass->o, .bias = linear_bias(&block->ff_down), .residual = pass->r, .sum = pass->r };
    norm_apply(&block->norm2, pass->x, &sum, &pass->rows, pass);
}

/* logits[count,V] of each lane's last row. */
static void speak(Decoder *d, const DecodeFeed *feed, float *logits)
{
    Pass *pass = &d->model->pass;
    VocabHead *head = &d->model->vocab_head;
    const int64_t C = d->arch->C, V = head->linear.out;
    for (int64_t i = 0; i < feed->count; i++)
        memcpy(pass->row_a + i * C, pass->x + (feed->start[i + 1] - 1) * C, (size_t)C * sizeof(float));
    for (int64_t i = 0; i < feed->count; i += head->piece) {
        const int64_t n = feed->count - i < head->piece ? feed->count - i : head->piece;
        const Rows rows = { .B = n, .N = n, .longest = 1, .start = d->ones };
        linear_forward(&head->linear, logits + i * V, V, pass->row_a + i * C, &rows, pass);
        linear_add_bias(&head->linear, logits + i * V, V, n);
    }
}

static int64_t begin(Decoder *d, const DecodeFeed *feed)
{
    int64_t longest = 0;
    for (int64_t i = 0; i < feed->count; i++) {
        int64_t *length = &d->length[feed->lane[i]];
        const int64_t n = feed->start[i + 1] - feed->start[i];
        *length = feed->first ? 0 : *length;
        REQUIRE(n > 0 && feed->lane[i] < d->options.lanes && *length + n <= d->options.longest);
        longest = n > longest ? n : longest;
        int32_t *places = d->model->pass.places;
        for (int64_t t = 0; places && t < n; t++)
            places[feed->start[i] + t] = (int32_t)(d->arch->position_offset + *length + t);
    }
    return longest;
}

void decode_feed(Decoder *d, const DecodeFeed *feed, const float *values, float *logits)
{
    Pass *pass = &d->model->pass;
    REQUIRE(feed->count > 0 && feed->count <= d->options.lanes && feed->start[0] == 0);
    REQUIRE(feed->start[feed->count] <= d->model->options.most_tokens);
    pass->rows =
        (Rows){ .B = feed->count, .N = feed->start[feed->count], .longest = begin(d, feed), .start = feed->start };
    pass->grad = NULL;
    pass->drop = false;
    model_bind(d->model, values);
    embedding_forward(&d->model->embedding, &(EmbeddingInput){ .ids = feed->ids }, pass);
    for (int64_t l = 0; l < d->arch->layers; l++) {
        attention_half(d, feed, &d->model->blocks[l]);
        ff_half(d, &d->model->blocks[l]);
    }
    speak(d, feed, logits);
    for (int64_t i = 0; i < feed->count; i++)
        d->length[feed->lane[i]] += feed->start[i + 1] - feed->start[i];
}
