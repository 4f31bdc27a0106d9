/* onnx_layers - the layers of a model as nodes of ONNX: plain operators, which onnxruntime fuses itself.
 *
 * Only common/export includes this. Threads: one. */
#ifndef COMMON_EXPORT_ONNX_LAYERS_H
#define COMMON_EXPORT_ONNX_LAYERS_H

#include "common/export/onnx.h"
#include "common/model/saved.h"

typedef struct Layers {
    Onnx *g;
    const SavedModel *saved;
    const ModelArch *arch;
} Layers;

/* The value of a module's weight, or bias, as it lies in files; of an untied or tied pair the one that is there. */
const char *layers_weight(const Layers *l, const Module *m, bool bias);

/* x[.., in] -> [.., out]: one place for products of weights. NULL modules are not there. */
const char *layers_linear(const Layers *l, const char *x, const Module *m);

/* x[N, in] -> [N, out] by one Gemm, as heads are. */
const char *layers_dense(const Layers *l, const char *x, const Module *m);

const char *layers_norm(const Layers *l, const char *x, const Module *m); /* LayerNorm or RMSNorm */
const char *layers_act(const Layers *l, const char *x, Activation act);
const char *layers_heads(const Layers *l, const char *x, int64_t heads); /* [B,T,heads D] -> [B,heads,T,D] */

/* q[B,H,T,D], k, v[B,K,S,D], bias broadcast to [B,H,T,S] or NULL -> [B,T,H D]. scale: of the scores. */
const char *layers_attend(const Layers *l, const char *q, const char *k, const char *v, const char *bias, double scale);

const char *layers_axis(const Layers *l, const char *x, int64_t axis); /* its size, a number */
const char *layers_range(const Layers *l, const char *end); /* 0 .. end - 1 */
const char *layers_rows(const Layers *l, const char *table, const char *ids); /* picked */

/* What attention adds to scores, [B,1,T,S]: MIN where a key may not be seen. window 0: none. */
const char *layers_padding_bias(const Layers *l);
const char *layers_causal_bias(const Layers *l, int64_t window);

/* 1 where the token is not `pad`, as whole numbers. */
const char *layers_no_padding(const Layers *l, int64_t pad);

#endif
