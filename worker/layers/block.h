/* block - a transformer block: a list of sublayers that one loop runs, up and down.
 *
 *   NORM_BEFORE   s = r + dropout(body(norm(r)))          the stream between sublayers is the sum
 *   NORM_BEHIND   x = norm(x + dropout(body(x)))          it is the norm's output
 *   side by side  s = r + dropout(body1(norm1(r))) + dropout(body2(norm2(r)))      (NORM_BEFORE)
 *
 * NORM_BEFORE with a width of 0: the body reads the stream as it is. What a body gives may pass a norm of its own
 * (`after`) and a factor before it is added.
 *
 * A sublayer is a body (attention_body.h, cross_body.h, mlp.h), its norm, and where that stands. Every
 * family is a list of these. Where norms stand before, the stream is in pass->r, and
 * the sum and the norm of whoever comes next are one kernel: that is a choice of the
 * caller's at the end of a block (BlockCall.next), and gives the same bits as two
 * kernels would. Where norms stand behind, the stream is in pass->x.
 *
 * Whether a call is a `tail` is its property, not the block's: then behind keys and
 * values only the rows that the head reads go on.
 *
 * A Block is weights and what they need; a call's BlockKeep is what backward needs of a
 * forward. So any number of micro-batches may be between forward and backward, each with
 * a keep of its own; without one nothing is kept, and a block may be computed again from
 * its input when its backward comes.
 *
 * Owner: the model, of blocks and of the keeps it lays out. Threads: the caller's one. */
#ifndef WORKER_LAYERS_BLOCK_H
#define WORKER_LAYERS_BLOCK_H

#include "worker/layers/attention_body.h"
#include "worker/layers/cross_body.h"
#include "worker/layers/mlp.h"

enum { BLOCK_SUBLAYERS = 3 };

typedef enum { BODY_ATTENTION, BODY_MLP, BODY_CROSS } BodyKind;
typedef enum { NORM_BEFORE, NORM_BEHIND } NormPlace;

typedef struct Sublayer {
    BodyKind kind;
    union {
        Attention attention;
        Mlp mlp;
        Cross cross;
    };
    NormPlace place;
    Norm norm;
    Norm after; /* of what the body gives; width 0: none */
    float factor; /* what it is multiplied by behind that */
    Site site; /* of the dropout behind the body */
    double dropout;
    bool needs_in; /* a gradient at what the body reads */
    bool needs_body; /* at what the body gives */
    bool needs_sum; /* at the sum */
    bool needs_out; /* at the stream behind */
} Sublayer;

typedef struct Block {
    int64_t layer, C;
    int count;
    bool side_by_side; /* all read the stream that comes into the block; a norm of several is a norm of each */
    Sublayer sublayers[BLOCK_SUBLAYERS];
} Block;

/* What backward needs of a forward. */
typedef struct SublayerKeep {
    union {
        AttentionKeep attention;
        MlpKeep mlp;
        CrossKeep cross;
    };
    NormKeep norm, after;
} SublayerKeep;

typedef struct BlockKeep {
    SublayerKeep sublayers[BLOCK_SUBLAYERS];
} BlockKeep;

/* What a call brings besides the pass. */
typedef struct BlockCall {
    BlockKeep *keep; /* forward: NULL: no backward follows */
    bool tail;
    bool again; /* forward: its stream behind is known: only what is kept is wanted */
    const Norm *next; /* NORM_BEFORE, forward: the norm that the last sum meets; NULL: the sum goes on alone */
    NormKeep *next_keep; /* NULL: nothing is kept of it */
    Inlet input; /* NORM_BEHIND, backward: from where the block's input is made again */
} BlockCall;

/* Once its sublayers are set; below: something under it is trained. True: a gradient at its output is needed. */
bool block_plan(Block *block, bool below);

/* Its own gradients need its input, made again from what lies below it. */
bool block_needs_input(const Block *block);

void block_layout(Block *block, Layout *layout);

/* above: the next block needs this one's output again (block_needs_input). */
void block_keep_layout(BlockKeep *keep, const Block *block, Layout *layout, const PassSizes *sizes, bool tail,
                       bool above);
void block_bind(Block *block, const float *values);

/* Raises what the pass has to have room for; drops: LoRA's input may be dropped. */
void block_measure(const Block *block, bool drops, int threads, PassSizes *sizes);

/* The stream [N,C] -> the stream [N,C]; tail: [M,C]. With pass->lanes rows go on behind those that their lanes
 * have read. */
void block_forward(const Block *block, const BlockCall *call, Pass *pass);

/* The gradient at the stream behind it -> at the one before it, if that is needed. */
void block_backward(const Block *block, const BlockCall *call, Pass *pass);

/* A gradient goes through it, or comes to an end in it. */
bool block_is_needed(const Block *block);

/* Rows of its last norm are kept, for its own gradient or for the next block (above). */
bool block_keeps_outlet(const Block *block, bool above);

/* The norm of its last sublayer that its output has passed; NULL: it is a sum. */
Inlet block_outlet(const Block *block, const BlockKeep *keep);

/* The norm that its first sublayer reads through; NULL: none. */
const Norm *block_first_norm(const Block *block);

#endif
