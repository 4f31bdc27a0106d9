/* block - one transformer block, forward and backward, from a description:
 *
 *   a = attention(x Wqkv)             y = norm1(x + dropout(a Wo))
 *   g = act(y Wup)                    x' = norm2(y + dropout(g Wdown))
 *
 * The last block is a "tail": behind keys and values only the first row of each
 * sequence goes on, because the head reads no other.
 *
 * What is kept for backward is the least that cannot be made again cheaply:
 * normalised rows, q|k|v, attention's output, the input of the activation. Where
 * nothing trained lies below, not even that; see BlockNeeds.
 *
 * The two norms are entered through join() of block.c (behind the addition); a
 * family that normalises before its sublayers differs there and in where the
 * linears take their input from (input_of_*), nowhere else.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_BLOCK_H
#define WORKER_LAYERS_BLOCK_H

#include "worker/layers/embedding.h"
#include "worker/layers/layernorm.h"
#include "worker/layers/linear.h"

/* Where a gradient is needed, because something at or below that place is trained. */
typedef struct BlockNeeds {
    bool x;       /* the block's input */
    bool qkv;     /* q, k, v */
    bool sum1;    /* what norm1 normalises */
    bool y;       /* norm1's output */
    bool pre;     /* the activation's input */
    bool sum2;    /* what norm2 normalises */
    bool out;     /* the block's output */
} BlockNeeds;

typedef struct Block {
    int64_t layer, C, F;
    AttentionShape attention;
    int act;
    double hidden_dropout, attention_dropout;
    bool tail;
    Linear qkv;  /* q, k, v; in a tail: k, v */
    Linear q;    /* in a tail only */
    Linear attn_out, ff_up, ff_down;
    LayerNorm attn_norm, ff_norm;
    const struct Block *before;  /* whose output is the input; NULL: the embedding's */
    const Embedding *embedding;
    BlockNeeds needs;
    float *kept_qkv;  /* [N, 3C] */
    float *kept_att;  /* [N, C]; tail: [B, C] */
    float *kept_lse;  /* [H, N] */
    float *kept_pre;  /* [M, F], M: rows behind the attention */
} Block;

/* Fills in needs, once linears and norms are set; below: something under it is trained. */
void block_plan(Block *block, bool below);

/* above: the next block needs this one's output again (block_needs_input). */
void block_layout(Block *block, Layout *layout, const PassSizes *sizes, bool training, bool above);
void block_bind(Block *block, const float *values);

/* pass->x: input [N,C] -> output [N,C]; tail: [B,C]. */
void block_forward(Block *block, Pass *pass);

/* pass->x: gradient of the output -> of the input, if that is needed. */
void block_backward(Block *block, Pass *pass);

/* Its own gradients need its input, made again from what lies before it. */
bool block_needs_input(const Block *block);

#endif
