/* block - one transformer block, forward and backward, from a description:
 *
 *   a = attention(x Wqkv)          s1 = r + dropout(a Wo)       y  = norm1(s1)
 *   g = act(y Wup)                 s2 = r' + dropout(g Wdown)   x' = norm2(s2)
 *
 * A gated block has g = act(y Wgate) * (y Wup). Every family is this chain; what
 * differs is the residual. Where norms come behind the sublayers (post-norm), r is
 * x and r' is y, so the stream between blocks is x alone. Where they come before
 * (pre-norm), r is s2 of the block before and r' is s1: then norm1 is the one that
 * the files call the feed-forward's, norm2 is the first one of the next block (or
 * the final one), and the first norm of all belongs to the embedding. The stream
 * between blocks is then x and pass->r.
 *
 * The last block is a "tail": behind keys and values only the rows that the head
 * reads go on.
 *
 * A Block is weights and what they need; a call's BlockKeep is what backward needs of
 * a forward, the least that cannot be made again cheaply: normalised rows, q|k|v,
 * attention's output, the input of the activation. Where nothing trained lies below,
 * not even that; see BlockNeeds. So any number of micro-batches may be between
 * forward and backward, each with a keep of its own; without one nothing is kept.
 *
 * Owner: the model, of blocks and of the keeps it lays out. Threads: the caller's one. */
#ifndef WORKER_LAYERS_BLOCK_H
#define WORKER_LAYERS_BLOCK_H

#include "worker/layers/embedding.h"
#include "worker/layers/linear.h"
#include "worker/layers/norm.h"

/* Where a gradient is needed, because something at or below that place is trained. */
typedef struct BlockNeeds {
    bool x; /* the block's input */
    bool qkv; /* q, k, v */
    bool sum1; /* what norm1 normalises */
    bool y; /* norm1's output */
    bool pre; /* the activation's input */
    bool sum2; /* what norm2 normalises */
    bool out; /* the block's output */
} BlockNeeds;

typedef struct Block {
    int64_t layer, C, F;
    int64_t E; /* heads * head size */
    int64_t QKV; /* width of a row q|k|v */
    AttentionShape attention;
    int act;
    bool pre_norm, gated, tail;
    double hidden_dropout, attention_dropout;
    Linear qkv; /* q, k, v, as three parts or as one module; where q is apart: k, v */
    Linear q; /* in a tail whose q is a module: of the read rows only. Else without parts */
    Linear attn_out, ff_up, ff_down; /* ff_up: gate, up when gated */
    Norm norm1, norm2;
    BlockNeeds needs;
} Block;

/* What backward needs of a forward; NULL: of that nothing. */
typedef struct BlockKeep {
    LinearKeep in, q, attn_out, ff_up, ff_down; /* in: of qkv */
    NormKeep norm1, norm2;
    float *qkv; /* [N, QKV] */
    float *att; /* [M, E], M: rows behind the attention */
    float *lse; /* [H, N] */
    float *pre; /* [M, F], gated: [M, 2F]; backward puts its gradient there then */
} BlockKeep;

/* From where a block's input is made again: what the block before kept, else the embedding. */
typedef struct BlockInput {
    const Norm *norm; /* NULL: the embedding's output */
    const NormKeep *kept;
    const Embedding *embedding;
    const EmbeddingKeep *embedding_kept;
} BlockInput;

/* Fills in needs, once linears and norms are set; below: something under it is trained. */
void block_plan(Block *block, bool below);

void block_layout(Block *block, Layout *layout);

/* above: the next block needs this one's output again (block_needs_input). */
void block_keep_layout(BlockKeep *keep, const Block *block, Layout *layout, const PassSizes *sizes, bool above);
void block_bind(Block *block, const float *values);

/* pass->x: input [N,C] -> output [N,C]; tail: [M,C]. So does pass->r, when pre_norm. keep NULL: no
 * backward follows. With pass->lanes rows go on behind those that their lanes have read. */
void block_forward(const Block *block, BlockKeep *keep, Pass *pass);

/* pass->x (and pass->r): gradient of the output -> of the input, if that is needed. */
void block_backward(const Block *block, BlockKeep *keep, const BlockInput *input, Pass *pass);

/* Its own gradients need its input, made again from what lies before it. */
bool block_needs_input(const Block *block);

/* Backward needs its activations' input. */
bool block_keeps_pre(const Block *block);

#endif
