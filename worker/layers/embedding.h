/* embedding - from a batch to the first rows: word + position + token type, or the
 * patches of images behind a row that belongs to none; then its norm, where it has one. Tables may be of another width
 * than the model: then a linear stands before the norm, or behind it and the dropout.
 *
 * Tables may have a LoRA, y = E[x] + scale (A^T[x]) B^T without dropout, that times a magnitude (magnitude.h), or be
 * trained whole (PEFT, tuners/lora/layer.py: Embedding). The row of padding has no
 * gradient, nor has its column of A (torch's padding_idx).
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_EMBEDDING_H
#define WORKER_LAYERS_EMBEDDING_H

#include "worker/layers/linear.h"
#include "worker/layers/norm.h"

/* A table of the embeddings; out 0: there is none. */
typedef struct Table {
    ModuleView module;
    int64_t padding_row; /* has no gradient; -1: none */
    Magnitude magnitude;
    uint64_t seen; /* what it was made of */
    const float *c; /* bound: [in] of the magnitude, or NULL */
    int32_t *token_of; /* [rows] which of those trained by themselves a row is, -1: none; NULL: there are none */
} Table;

typedef struct Embedding {
    Table word, position, type;
    Linear patches; /* without parts for texts */
    ModuleView first; /* the row before the patches */
    int64_t image_size, patch, channels;
    int64_t *patch_start; /* [most_sequences + 1]: rows of patches alone */
    int64_t C; /* of the tables */
    Linear project; /* to the model's width; without parts: it is C */
    bool project_first; /* before the norm */
    Norm norm; /* width 0: none, and the sum is the stream, in pass->r */
    bool streams; /* the norm's output is the stream of sums, in pass->r too */
    int64_t layer; /* the number that its random stream goes by */
    double dropout;
    float scale; /* of the words' rows */
    bool scale_behind; /* behind the noise, not before it */
    double noise; /* NEFTune's alpha: in training words' rows get U(-m, m), m = alpha / sqrt(T C); 0: none */
} Embedding;

/* What backward needs of a table's rows. */
typedef struct TableKeep {
    float *u; /* [N, R] of its LoRA: A^T[x], for dB; NULL: none */
    float *z; /* [N, C] what the magnitude multiplies; backward overwrites it; NULL: no magnitude */
} TableKeep;

/* What backward needs of a forward. */
typedef struct EmbeddingKeep {
    NormKeep norm;
    LinearKeep patches, project;
    float *sum; /* [N, C] what is projected before the norm; NULL: nobody needs it */
    float *rows; /* [N, out] what is projected behind it */
    TableKeep word, position, type;
} EmbeddingKeep;

/* What it reads of a batch. */
typedef struct EmbeddingInput {
    const int32_t *ids, *types; /* [N]; types NULL: all 0 */
    const float *pixels; /* [B, channels, size, size] for images */
} EmbeddingInput;

void embedding_layout(Embedding *embedding, Layout *layout, const PassSizes *sizes);

/* needed: somebody needs the gradient at its norm, or later again its output. */
void embedding_keep_layout(EmbeddingKeep *keep, const Embedding *embedding, Layout *layout, const PassSizes *sizes,
                           bool needed);
void embedding_bind(Embedding *embedding, const float *values);

/* The stream: pass->x[N,out] behind a norm that begins no sums, else pass->r; positions are in pass->places. keep NULL: no backward
 * follows. */
void embedding_forward(const Embedding *embedding, EmbeddingKeep *keep, const EmbeddingInput *input, Pass *pass);

/* From the gradient at the stream, which it overwrites. */
void embedding_backward(const Embedding *embedding, const EmbeddingKeep *keep, const EmbeddingInput *input, Pass *pass);

/* From where its output is made again. */
Inlet embedding_outlet(const Embedding *embedding, const EmbeddingKeep *keep);

bool embedding_is_trained(const Embedding *embedding);

/* The widest product of its LoRAs. */
int64_t embedding_most_R(const Embedding *embedding);

#endif
