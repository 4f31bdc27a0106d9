/* model - a frozen base, its LoRA, one micro-batch: forward, loss, backward.
 *
 * The sequences of a micro-batch lie end to end, [tokens, width]: there is no
 * padding. Only what reaches the loss is computed: nothing below the first
 * adapted module is differentiated, no input is kept for an unadapted linear,
 * in the last block only the rows that the head reads go on after keys and values,
 * and only tokens with a goal meet the vocabulary. All memory is taken at
 * model_open; a call allocates nothing.
 *
 * Owner: worker/train, eval, launch. Threads: one caller; kernels use OpenMP.
 * Collective: no (weights are handed in ready). */
#ifndef WORKER_MODEL_MODEL_H
#define WORKER_MODEL_MODEL_H

#include "common/metrics/embed_loss.h"
#include "common/model/arch.h"
#include "common/slots/slots.h"
#include "worker/layers/batch_loss.h"
#include "worker/model/batch.h"
#include "worker/model/stage.h"
#include "worker/model/weights.h"

typedef struct ModelOptions {
    int64_t most_tokens, most_sequences, longest; /* of any micro-batch to come */
    bool training; /* room for backward */
    bool checkpointing; /* blocks are computed again when their backward comes (again.h): the same bits, less memory */
    int threads;
    bool untyped; /* token types are not looked at: all are 0 (task_passes_types) */
    double lora_dropout;
    uint64_t seed; /* of dropout */
    LossOptions loss;
    double noise; /* train.neftune_noise_alpha; 0: none */
    int64_t most_R, most_labels; /* of adapters that come beside its own (adapter.h); 0: none */
    const Stage *stage; /* what of it is computed, borrowed; NULL: all. values and gradients are then the stage's */
    int flights; /* training: micro-batches between forward and backward at a time; 0: one */
} ModelOptions;

typedef struct Model Model;

/* Borrows arch, table and weights. */
MUST_USE Model *model_open(const ModelArch *arch, const SlotTable *table, const Weights *weights,
                           const ModelOptions *options, Err *err);
void model_close(Model *model);

/* Of a call: that of its options. */
int64_t model_most_tokens(const Model *model);

/* Floats of values and gradients. */
int64_t model_slot_size(const Model *model);

/* weights[labels] of the classes in losses to come, as LossOptions has them; lent while the model is open. */
void model_weigh_classes(Model *model, const double *weights);

/* Bytes of arenas that model_open takes for these options. weights: planned; NULL: all of it is floats. */
int64_t model_bytes(const ModelArch *arch, const SlotTable *table, const Weights *weights, const ModelOptions *options);

/* ---- the whole: forward and backward in one call --------------------------------------------------- */

/* grad[0, table->size) (written) = gradient of the SUM of the losses at values[0, table->size),
 * dropout on, as of `step`. Numbers that are not finite are the caller's to find. */
BatchLoss model_train(Model *model, const Batch *batch, const float *values, float *grad, int64_t step);

/* logits, dropout off: [B, labels] for SEQ_CLS and IMAGE_CLS; [N, labels] for TOKEN_CLS; [N, V] for
 * CAUSAL_LM, where NULL is the usual case: only labelled rows meet the vocabulary then, in blocks; [B, C] embeddings
 * for FEATURE_EXTRACTION, without a loss.
 * values NULL: the base without LoRA (a new head is then zero). Loss as in training when goals are
 * given. */
BatchLoss model_predict(Model *model, const Batch *batch, const float *values, float *logits);

/* ---- stages: forward now, backward later ------------------------------------------------------------ */

/* Floats that go over the boundary for a token: into the stage (0: the first), out of it (0: the last). The stream of
 * the blocks, [N,C]; behind it, where the next block's own gradients want it, the same rows as backward makes them
 * again (norm.h), so that a stage of its own gives the bits of the whole. */
int64_t model_width_in(const Model *model);
int64_t model_width_out(const Model *model);

/* The gradient [N,C] comes back over the boundary: into the stage from the next one, out of it to the one before. */
bool model_is_pulled(const Model *model);
bool model_pulls(const Model *model);

/* The values of the calls to come (lent until the next bind), by whoever calls the two below. */
void model_bind(Model *model, const float *values);

/* Dropout on, as of `step`; what backward needs is kept in flight [0, options.flights). out[N, model_width_out]
 * (written) NULL: the last stage, whose backward has to be the next call. FEATURE_EXTRACTION: out[B, C] are the
 * embeddings, before they are normalised. */
void model_forward(Model *model, int flight, const Batch *batch, int64_t step, float *out);

/* Of that flight's batch: grad[stage->size] (written); dout[N,C]: the gradient at out, NULL: there is none or it is the
 * last stage, which gives the loss (FEATURE_EXTRACTION: at the embeddings; the loss is the caller's); dx[N,C] (written): that at batch->rows, NULL: not wanted. */
BatchLoss model_backward(Model *model, int flight, const Batch *batch, int64_t step, const float *dout, float *grad,
                         float *dx);

/* FEATURE_EXTRACTION: the losses of a step's rows and the gradient at their embeddings (common/metrics/embed_loss.h,
 * which says what is written where). */
void model_embed_loss(double *each, float *de, const EmbedBatch *batch, const EmbedConfig *how, float *room);

/* Dropout off, nothing is kept: what model_predict does not say of a stage that is not the last. */
void model_give_on(Model *model, const Batch *batch, const float *values, float *out);

#endif
