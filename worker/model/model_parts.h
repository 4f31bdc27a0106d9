/* model_parts - what a Model is made of, for the files that run its layers: model.c (whole sequences)
 * and decode.c (token by token). Nobody else includes this. */
#ifndef WORKER_MODEL_MODEL_PARTS_H
#define WORKER_MODEL_MODEL_PARTS_H

#include "worker/layers/block.h"
#include "worker/layers/embedding.h"
#include "worker/layers/head.h"
#include "worker/layers/vocab_head.h"
#include "worker/model/model.h"

struct Model {
    const ModelArch *arch;
    const SlotTable *table;
    ModelOptions options;
    Embedding embedding;
    Block *blocks; /* [arch->layers] */
    bool speaks; /* its outputs are the vocabulary */
    Head head;
    VocabHead vocab_head; /* instead of head, where it speaks */
    Pass pass;
    Arena arena;
};

/* Takes the values of the next call (lent until the next bind). */
void model_bind(Model *model, const float *values);

#endif
