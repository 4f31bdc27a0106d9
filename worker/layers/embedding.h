/* embedding - word + position + token type, normalised, dropped out.
 *
 * Tables may be trained whole; a LoRA on one is not offered (model_open says so).
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_EMBEDDING_H
#define WORKER_LAYERS_EMBEDDING_H

#include "worker/layers/layernorm.h"

typedef struct Embedding {
    ModuleView word, position, type;
    LayerNorm norm;
    int64_t layer;  /* the number that its random stream goes by */
    int64_t pad_id; /* of the word table: its row gets no gradient */
    double dropout;
} Embedding;

/* needed: somebody needs the gradient at, or later again, its output. */
void embedding_layout(Embedding *embedding, Layout *layout, int64_t most_tokens, bool needed);

/* pass->x[N,C] from ids[N] and types[N] (NULL: all 0). */
void embedding_forward(Embedding *embedding, const int32_t *ids, const int32_t *types, Pass *pass);

/* From the gradient in pass->x, which it overwrites. */
void embedding_backward(Embedding *embedding, const int32_t *ids, const int32_t *types,
                        Pass *pass);

/* y[N,C] = what forward gave. */
void embedding_restore(const Embedding *embedding, float *y, Pass *pass);

bool embedding_is_trained(const Embedding *embedding);

#endif
