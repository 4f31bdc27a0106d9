/* weights - the frozen tensors of a model in one block of memory that
 * the ranks of a node may share: each loads its part, all read the whole.
 *
 * Layout: modules in arch order, each [out, in] (Conv1D of the files is transposed);
 * q, k and v of a layer lie one behind the other so that they are one matrix
 * [(H + 2K) D, C] and one bias for the compute code, gate and up of a gated MLP as
 * well ([2F, C]). A tied head has the word table's place. Of a stage of the model (stage.h) only what it
 * holds is in it: a tied head's stage has the table to itself.
 * Modules that are trained whole (modules_to_save) are in it too (unused).
 * What a matrix is stored as is its span's kind: by train.precision bf16 (rounded to the nearest, ties to even), int8
 * or nf4 (common/tensor/quant.h), where word tables and output words are bf16. Biases, norms, tables of positions, what
 * is trained whole and new heads are floats.
 *
 * Owner: whoever planned them; the block of memory is the caller's. Threads: const after loading.
 * Collective: weights_load is called by every rank that shares the block, between barriers of the caller's. */
#ifndef WORKER_MODEL_WEIGHTS_H
#define WORKER_MODEL_WEIGHTS_H

#include "common/slots/slots.h"
#include "common/tensor/safetensors.h"
#include "worker/layers/frozen.h"
#include "worker/model/stage.h"

typedef struct WeightSpan {
    FrozenKind kind; /* of the weight */
    int64_t weight, bias; /* offsets in bytes; -1: none, or another stage's */
    int64_t scales, codes; /* the same, of a kind that has them (frozen.h) */
} WeightSpan;

typedef struct Weights {
    const ModelArch *arch; /* borrowed */
    const Stage *stage; /* borrowed; NULL: all */
    WeightSpan *modules; /* [module_count], owned */
    float *dynamic; /* [256] numbers that codes of scales stand for, owned */
    int64_t bytes;
    void *data; /* [bytes], borrowed: set by the caller before weights_load */
    int64_t read; /* bytes of the files' tensors that were looked at */
} Weights;

/* Lays out, all as floats; data is NULL. False when the files are not what config.json says (common/model/base). */
MUST_USE bool weights_plan(Weights *weights, const ModelArch *arch, const SafeTensors *files, Err *err);

/* What a stage (NULL: of one) holds beside the trained values: where every weight is trained, nothing, and what
 * weights_frozen and weights_bias give is NULL. */
MUST_USE bool weights_plan_beside(Weights *weights, const SlotTable *table, const Stage *stage,
                                  const SafeTensors *files, Precision precision, Err *err);

/* Of a module's weight with its scales, in a layout by this precision. */
int64_t weights_module_bytes(const Module *module, bool trained, Precision precision);

/* Loads share `part` of `parts` (by bytes) into data: of a matrix that is packed, a few rows are floats at a time. A new
 * head that is absent is zero. ERR_TRAINING where a tensor holds NaN or infinity. */
MUST_USE bool weights_load(Weights *weights, const SafeTensors *files, int part, int parts, Err *err);

/* Of the stage's tensors every parts-th from `part` on: over all parts and stages these add up to safetensors_digest. A
 * tensor is the first module's that reads it, one that none does the first stage's. */
uint64_t weights_digest(Weights *weights, const SafeTensors *files, int part, int parts);
void weights_release(Weights *weights); /* not data */

/* The module's weight [out,in], a norm's [out,1]. */
Frozen weights_frozen(const Weights *weights, int module);

/* Its floats, where it is FROZEN_F32. */
const float *weights_weight(const Weights *weights, int module);

/* The same while it is loaded: [out,in], to be changed. */
float *weights_room(const Weights *weights, int module);

const float *weights_bias(const Weights *weights, int module); /* NULL: none */

#endif
