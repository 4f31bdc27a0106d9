/* pass - what one call of the model is about: its rows, its values, its random
 * numbers, and the buffers that all layers work in.
 *
 * Buffers hold nothing between layers but what block.h says of `x`; what backward
 * needs lies in the layers themselves.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_PASS_H
#define WORKER_LAYERS_PASS_H

#include "worker/kernels/kernels.h"
#include "worker/layers/layout.h"

/* Every place that draws random numbers. The stream of a site in a layer is
 * layer * SITE_STREAMS + site; what stands outside the blocks counts as the layer
 * behind the last. Adding sites at the end leaves old runs' masks as they were. */
typedef enum {
    SITE_EMBED, SITE_ATTENTION, SITE_ATTN_OUT, SITE_FF, SITE_HEAD,
    SITE_LORA_Q, SITE_LORA_K, SITE_LORA_V, SITE_LORA_ATTN_OUT,
    SITE_LORA_FF_UP, SITE_LORA_FF_DOWN, SITE_LORA_POOLER, SITE_LORA_HEAD,
    SITE_COUNT
} Site;
enum { SITE_STREAMS = 16 };

typedef struct PassSizes {
    int64_t most_tokens, most_sequences, longest;
    int64_t C, H;         /* width, heads */
    int64_t wide;         /* widest row of the blocks: max(3C, F) */
    int64_t most_R;       /* of any product, parts together */
    int64_t dropped_in;   /* widest input of a LoRA with dropout, 0: none */
    size_t attention;     /* bytes of attention's scratch */
} PassSizes;

typedef struct Pass {
    Rows rows;   /* all tokens */
    Rows firsts; /* the first token of each sequence, one behind the other */
    const int64_t *example; /* [B] */
    const float *values;    /* NULL: the base alone */
    float *grad;            /* NULL: no backward follows */
    uint64_t seed;
    int64_t step;
    bool drop; /* dropout is on */

    float *x, *y, *o;       /* [most_tokens, C] */
    float *g;               /* [most_tokens, wide] */
    float *row_a, *row_b;   /* [most_sequences, C] */
    float *lse;             /* [heads, most_tokens] where a block keeps none */
    float *lora;            /* [most_tokens, most_R] */
    float *dropped;         /* [most_tokens, dropped_in] */
    RngKey *keys;           /* [most_sequences] */
    int64_t *first_start;   /* [most_sequences + 1]: 0, 1, 2, ... */
    void *attention;
} Pass;

void pass_layout(Pass *pass, Layout *layout, const PassSizes *sizes);

/* The site's dropout for this call. Its keys are good until the next call of this. */
Dropout pass_dropout(Pass *pass, int64_t layer, Site site, double p);

/* x[B,C] (written) = first rows of each sequence of full[N,C]; the reverse copies
 * them back, into rows of stride ld. */
void pass_gather(const Pass *pass, float *x, const float *full, int64_t ld, int64_t C);
void pass_scatter(const Pass *pass, float *full, int64_t ld, const float *x, int64_t C);
void pass_scatter_add(const Pass *pass, float *full, int64_t ld, const float *x, int64_t C);

#endif
