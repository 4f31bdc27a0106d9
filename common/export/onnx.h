/* onnx - a graph of ONNX: nodes, constants, and weights whose numbers are made as the file is written. Operators of
 * opset 17, IR 8. The messages of onnx.proto3 are few and written here by hand (tag, length, bytes), so that one tensor
 * at a time is in memory.
 *
 * Owner: whoever fills it; names that it returns are its own, until onnx_release. Threads: one. */
#ifndef COMMON_EXPORT_ONNX_H
#define COMMON_EXPORT_ONNX_H

#include "common/base/err.h"
#include "common/base/text.h"

#include <stdint.h>

typedef enum { ONNX_FLOAT = 1, ONNX_INT64 = 7, ONNX_BOOL = 9 } OnnxType;

typedef struct OnnxTensor {
    char *name; /* owned */
    OnnxType type;
    int dims;
    int64_t dim[4];
    int64_t count;
    char *data; /* of a constant; owned; NULL: made */
    int64_t of; /* the maker's own number for it */
    bool turned; /* the maker's [rows, columns] is written as [columns, rows] */
    int64_t offset; /* in the file of weights, while that is written */
} OnnxTensor;

/* Zeroed is empty. */
typedef struct Onnx {
    Text nodes, inputs, outputs; /* encoded fields of the graph */
    Text attributes; /* of the node to come */
    OnnxTensor *tensors;
    int tensor_count;
    char **names; /* of values, owned */
    int name_count;
} Onnx;

/* Inputs of a node: {"x", NULL}. */
typedef const char *OnnxInputs[8];

void onnx_release(Onnx *g);

/* Attributes of the next node. */
void onnx_int(Onnx *g, const char *name, int64_t value);
void onnx_float(Onnx *g, const char *name, double value);
void onnx_ints(Onnx *g, const char *name, const int64_t *values, int count);

/* A node; its output is `name`, NULL: one of its own. */
const char *onnx_node(Onnx *g, const char *op, OnnxInputs inputs, const char *name);
/* One with several outputs. */
void onnx_node_many(Onnx *g, const char *op, OnnxInputs inputs, const char **outputs, int count);
const char *onnx_op1(Onnx *g, const char *op, const char *a);
const char *onnx_op2(Onnx *g, const char *op, const char *a, const char *b);

/* Constants: numbers alone have no dimension. The same one is there once. */
const char *onnx_f32(Onnx *g, double value);
const char *onnx_i64(Onnx *g, int64_t value);
const char *onnx_i64s(Onnx *g, const int64_t *values, int count);
const char *onnx_f32s(Onnx *g, const char *name, const float *values, int64_t count);

/* A weight, once under its name. */
const char *onnx_weight(Onnx *g, const char *name, int dims, const int64_t *dim, int64_t of, bool turned);

/* Of the graph: dim < 0 is the name params[-dim - 1]. */
void onnx_value(Onnx *g, bool output, const char *name, OnnxType type, int dims, const int64_t *dim,
                const char *const *params);

/* Makes out[tensor->count], row-major, not yet turned. */
typedef bool (*OnnxMake)(void *self, const OnnxTensor *tensor, float *out, Err *err);

/* FOLDER/model.onnx; with weights of more than external_above bytes they lie in FOLDER/model.onnx_data. */
MUST_USE bool onnx_write(const char *folder, Onnx *g, int64_t external_above, OnnxMake make, void *self, Err *err);

#endif
