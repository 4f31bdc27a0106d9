/* pass - what one call of the model is about: its rows, its values, its random
 * numbers, and the buffers that all layers work in.
 *
 * Buffers hold nothing between layers but what block.h says of `x` and `r`; what
 * backward needs lies in the keep that a layer's caller passes beside it.
 *
 * Owner: the model. Threads: the caller's one. */
#ifndef WORKER_LAYERS_PASS_H
#define WORKER_LAYERS_PASS_H

#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"
#include "worker/layers/layout.h"
#include "worker/layers/rope.h"

/* Every place that draws random numbers; what stands outside the blocks counts as the layer
 * behind the last. Adding sites at the end leaves old runs' masks as they were. */
typedef enum {
    SITE_EMBED,
    SITE_ATTENTION,
    SITE_ATTN_OUT,
    SITE_FF,
    SITE_HEAD,
    SITE_LORA_Q,
    SITE_LORA_K,
    SITE_LORA_V,
    SITE_LORA_ATTN_OUT,
    SITE_LORA_FF_UP,
    SITE_LORA_FF_DOWN,
    SITE_LORA_POOLER,
    SITE_LORA_HEAD,
    SITE_LORA_FF_GATE,
    SITE_LORA_PATCH,
    SITE_POOLER,
    SITE_NOISE,
    SITE_FF_INSIDE,
    SITE_LORA_EMBED,
    SITE_DISTANCES,
    SITE_LORA_DISTANCE_K,
    SITE_LORA_DISTANCE_Q,
    SITE_CONV,
    SITE_LORA_CONV,
    SITE_CROSS,
    SITE_CROSS_OUT,
    SITE_LORA_CROSS_Q,
    SITE_LORA_CROSS_K,
    SITE_LORA_CROSS_V,
    SITE_LORA_CROSS_OUT,
    SITE_FINAL,
    SITE_COUNT
} Site;

/* The stream of a site in a layer, no other's: the lower word has 16 sites a layer, the upper word counts
 * sixteens of sites. */
static inline uint64_t site_stream(int64_t layer, Site site)
{
    return (uint64_t)site / 16 << 32 | (uint32_t)(layer * 16 + (int64_t)site % 16);
}

enum { ADDED_SETS = 2 };

typedef struct PassSizes {
    int64_t most_tokens, most_sequences, longest;
    int64_t most_read; /* rows that the head reads */
    int64_t C, H; /* width, heads */
    int64_t across; /* max(C, heads * head size) */
    int64_t wide; /* widest row of the blocks: max(q|k|v, F) */
    int64_t pre; /* width of gate | up where a block keeps none, 0: nowhere */
    int64_t most_R; /* of any product, parts together */
    int64_t dropped_in; /* widest input of a LoRA with dropout, 0: none */
    int64_t da; /* most floats of A's that share a product, 0: none */
    int64_t unpacked; /* room of products with packed weights (frozen.h), 0: there are none */
    int64_t labels; /* outputs of the head, 0: the vocabulary's */
    bool stream; /* the residual is not the blocks' input (pre-norm) */
    bool side; /* sublayers stand side by side */
    bool again; /* blocks are computed again before their backward */
    bool places; /* there is a table of positions */
    size_t attention; /* bytes of attention's scratch */
} PassSizes;

typedef struct Pass {
    Rows rows; /* all tokens */
    Rows reads; /* those the head reads, one behind the other: of sequence b the tokens
                   [read_first[b], read_end[b]) */
    const int64_t *example; /* [B] */
    const float *values; /* NULL: the base alone */
    float *grad; /* NULL: no gradient is wanted */
    uint64_t seed;
    int64_t step;
    bool drop; /* dropout is on */
    bool apart; /* a row's numbers are those that it has alone, to the bit */
    const struct RowSegment
        *segments; /* adapters of sequences, where several stand over one base (segments.h); borrowed */
    int64_t segment_count; /* 0: the layers' own values are all there is */
    Rope ropes[ROPE_SETS];
    int64_t batch_longest; /* the longest sequence of the batch that the rows are of; 0: it is among them */
    const float *added[ADDED_SETS]; /* [H, added_width] what heads add to the scores of each key, or by_distance of each
                                       key and query (AttentionShape), of the stack that reads and that which writes, where
                                       there are two; NULL: nothing */
    int64_t added_width;
    bool by_distance;
    float *dadded; /* [H, added_width] its gradient, summed over layers; NULL: not wanted */
    Rows memory_rows; /* of the stack that reads, where there are two */
    const float *memory; /* [memory_rows.N, C] what it gave */
    float *dmemory; /* the same: the gradient there, added up by those that read it */
    const int64_t *real; /* [B] tokens of each sequence that are no padding; NULL: all */
    int64_t longest; /* of any sequence to come */

    bool normed; /* x is the norm of r that the next sublayer reads through, already */
    float *x, *y, *o; /* [most_tokens, across] */
    float *r; /* the same: the residual stream of a pre-norm model */
    float *side; /* the same: its gradient, while bodies that stand side by side add to it */
    float *aside; /* the same: where the gradient waits while a block is computed again */
    float *g; /* [most_tokens, wide] */
    float *pre; /* [most_tokens, pre] */
    float *row_a, *row_b; /* [most_read, across] */
    float *lse; /* [heads, most_tokens] where a block keeps none */
    float *lora; /* [most_tokens, most_R] */
    int64_t lora_room; /* floats of it */
    float *dropped; /* [most_tokens, dropped_in] */
    float *da; /* the gradient of A's that share a product */
    float *unpacked; /* rows of the frozen weight that is multiplied with */
    float *logits; /* [most_read, labels]: what the head gives */
    int32_t *classes; /* [most_read] */
    struct Lanes *lanes; /* where sequences go on behind earlier calls (lanes.h), borrowed; NULL: they stand alone */
    RngKey *keys; /* [most_sequences] */
    int64_t *read_start; /* [most_sequences + 1] */
    int64_t *read_first, *read_end; /* [most_sequences] */
    int32_t *places; /* [most_tokens] rows of the position table */
    void *attention;
} Pass;

/* Two of its buffers change places. */
void pass_exchange(float **a, float **b);

void pass_layout(Pass *pass, Layout *layout, const PassSizes *sizes);

/* gemm_nt; with pass->apart row_products. */
static inline __typeof__(gemm_nt) *pass_product(const Pass *pass)
{
    return pass->apart ? kernels->row_products : gemm_nt;
}

/* Sets `reads` from read_first and read_end of pass->rows. */
void pass_read(Pass *pass);

/* The site's dropout for this call. Its keys are good until the next call of this. */
Dropout pass_dropout(Pass *pass, int64_t layer, Site site, double p);

/* x[rows,C] with the site's mask, where dropout is on; the same on a gradient is its backward. */
void pass_drop(Pass *pass, float *x, const Rows *rows, int64_t C, int64_t layer, Site site, double p);

/* x[pass->rows.N, C]: rows of padding become 0. */
void pass_clear_padding(const Pass *pass, float *x, int64_t C);

/* y[n] = factor * x[n]; y may be x */
void pass_scale(float *y, const float *x, float factor, int64_t n);

/* x[M,C] (written) = the read rows of full[N,C] (row stride ld); the reverse copies them
 * back, or adds them; spread writes zeros into the other rows, too. */
void pass_gather(const Pass *pass, float *x, const float *full, int64_t ld, int64_t C);
void pass_scatter(const Pass *pass, float *full, int64_t ld, const float *x, int64_t C);
void pass_scatter_add(const Pass *pass, float *full, int64_t ld, const float *x, int64_t C);
void pass_spread(const Pass *pass, float *full, const float *x, int64_t C);

#endif
