/* model_parts - what a Model is made of, for the files that run its layers: model.c (whole sequences)
 * and decode.c (token by token). Nobody else includes this.
 *
 * Owner: the Model. Threads: its caller's one. */
#ifndef WORKER_MODEL_MODEL_PARTS_H
#define WORKER_MODEL_MODEL_PARTS_H

#include "worker/layers/block.h"
#include "worker/layers/conv.h"
#include "worker/layers/embedding.h"
#include "worker/layers/head.h"
#include "worker/layers/vocab_head.h"
#include "worker/model/model.h"

/* What backward needs of a forward: of one micro-batch that is on its way. There may be any number. */
typedef struct Keep {
    Arena arena;
    EmbeddingKeep embedding;
    EmbeddingKeep source; /* these three of the stack that reads, where there are two */
    NormKeep source_final;
    float *memory; /* [most_tokens, C] */
    BlockKeep *blocks; /* [arch->layers], those of the stage laid out */
    float **inputs; /* [arch->layers] of blocks that are computed again: the stream before them; NULL: of those that
                       are not */
    ConvKeep conv;
    NormKeep final;
    HeadKeep head;
} Keep;

/* What a call begins from. */
typedef struct ModelInput {
    EmbeddingInput embedding;
    const float *rows; /* of a stage behind the first: what the stage before gave on (Batch) */
} ModelInput;

/* The sources, or the targets, of a batch. */
typedef struct StackPart {
    int64_t *start; /* [most_sequences + 1] */
    int32_t *ids, *goal; /* [most_tokens] */
    Batch batch; /* of these */
} StackPart;

/* The stack that reads (encoder.h), where there are two. */
typedef struct Encoder {
    int64_t layers; /* the model's first blocks are its; 0: there is one stack */
    Embedding embedding;
    bool ends; /* its last sum has a norm of its own */
    Norm final;
    bool below; /* a gradient is needed at what it gives */
    StackPart read, written;
    float *memory; /* [most_tokens, C] where no keep has it */
    float *dmemory; /* the same; NULL: not needed */
} Encoder;

struct Model {
    const ModelArch *arch;
    const SlotTable *table;
    const Weights *weights;
    ModelOptions options;
    int64_t first, end; /* blocks that it computes; the others are there for what they need of these */
    bool opens, closes; /* it has the embedding, the head */
    bool below_first, below_end; /* a gradient is needed at what the first of them reads, at what the last gives on */
    Encoder encoder;
    Embedding embedding;
    Block *blocks; /* [arch->layers] */
    Conv conv; /* behind the first of them */
    Distances distances; /* of all of them */
    bool ends; /* the last sum has a norm of its own */
    Norm final;
    bool apart; /* sums and norms between blocks are not one kernel: the same bits */
    bool below; /* something under the head is trained */
    bool speaks; /* its outputs are the vocabulary */
    bool embeds; /* its outputs are embeddings, and there is no head */
    Head head;
    VocabHead vocab_head; /* instead of head, where it speaks */
    Pass *pass; /* its own; of a model beside another, the other's */
    Pass room;
    float *added[ADDED_SETS]; /* what heads add to scores (pass.h); NULL: nothing */
    ModuleView score_table; /* [buckets, H], where that is of distances */
    int32_t *score_rows; /* [2 longest - 1] its row for each; NULL: there is none */
    PassSizes sizes; /* what its calls need of a pass */
    Keep *keeps; /* [options.flights], of micro-batches between forward and backward; NULL: it does not train */
    Arena arena;
};

/* A model of another adapter over the same base: layers of its own, which compute in the base model's buffers, if
 * those have room for its sizes. Borrows all that it is given. NULL with *err set: no memory. */
MUST_USE Model *model_beside(Model *base, const ModelArch *arch, const SlotTable *table, Err *err);

/* Takes memory for one more micro-batch of a model that trains; false with *err set when there is none. */
MUST_USE bool keep_init(Keep *keep, const Model *model, Err *err);
void keep_release(Keep *keep);

/* Bytes that keep_init takes, once the model's sizes are known. */
size_t keep_bytes(const Model *model);

/* Takes a micro-batch: its rows, what the head reads of it (`all`: every token), and the values. A backward
 * that does not follow its forward at once begins anew. */
void model_begin(Model *model, const Batch *batch, const float *values, bool all);

int64_t model_longest(const Batch *batch); /* of its sequences */

/* The parts of taking a batch: its rows, and their rows of the position table. */
void model_take_rows(Model *model, const Batch *batch);
void model_find_places(Model *model, const Batch *batch);

/* What a block's last sum meets, and what is kept of it. */
BlockCall model_block_call(const Model *model, Keep *keep, int64_t layer);

/* The next block goes on from what this one gives. */
static inline bool model_goes_on(const Model *model, int64_t layer)
{
    return layer + 1 < model->arch->layers && layer + 1 != model->encoder.layers;
}

/* Where a slot begins in values and gradients: those of the stage; of another stage's slot only that there is one (not
 * below 0). -1: there is no such slot. */
int64_t model_slot_offset(const Model *model, int slot);

/* From the input to the hidden rows in pass->x. keep NULL: no backward follows. */
void model_up(Model *model, Keep *keep, const ModelInput *input);

/* First of the blocks that its own batch goes through: of two stacks, those that write. */
int64_t model_first_block(const Model *model);

/* What goes over the boundary behind the stage, of the call that model_up made: out[N, model_width_out], without a keep
 * [N,C]. */
void model_give(Model *model, Keep *keep, float *out);

/* From the gradient of the hidden rows, in pass->x, to all of pass->grad. */
void model_down(Model *model, Keep *keep, const ModelInput *input);

#endif
