/* safetensors - the tensors of a model or adapter file, mapped read-only, and a
 * writer. Format: u64 header length, JSON header, data; the header is checked
 * whole before any of it is believed (offsets tile the data exactly, sizes match
 * shapes, no overflow, at most 100,000,000 bytes of header).
 *
 * Source of the format: huggingface/safetensors, README "Format".
 *
 * Owner: whoever opened it. Threads: any number may read. */
#ifndef COMMON_TENSOR_SAFETENSORS_H
#define COMMON_TENSOR_SAFETENSORS_H

#include "common/base/err.h"
#include "common/base/text.h"

#include <stdint.h>

#define TENSOR_DIMS 8

typedef enum { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_F64, DTYPE_I64, DTYPE_I32, DTYPE_OTHER } Dtype;

/* A view into the mapping: valid until safetensors_close. */
typedef struct TensorView {
    const char *name;
    Dtype dtype;
    const char *dtype_name; /* as the file writes it: "BF16" */
    int dims;
    int64_t dim[TENSOR_DIMS];
    int64_t count; /* product of dim; 1 for a scalar */
    int64_t bytes; /* of data */
    const void *data; /* may be unaligned */
    const char *file; /* path of the file it stands in, for errors */
} TensorView;

bool tensor_has_shape(const TensorView *t, int dims, const int64_t *dim);
void shape_write(Text *out, int dims, const int64_t *dim); /* "[2, 3]" */

typedef struct SafeTensors SafeTensors;

/* One file. */
MUST_USE SafeTensors *safetensors_open(const char *path, Err *err);

/* FOLDER/model.safetensors, or all shards of FOLDER/model.safetensors.index.json
 * (each weight_map entry is checked against the shard it names). */
MUST_USE SafeTensors *safetensors_open_model(const char *folder, Err *err);
bool safetensors_has_model(const char *folder); /* one of the two is there */
void safetensors_close(SafeTensors *st);

int64_t safetensors_count(const SafeTensors *st);
const TensorView *safetensors_at(const SafeTensors *st, int64_t i); /* sorted by name */
const TensorView *safetensors_find(const SafeTensors *st, const char *name); /* NULL: none */

/* Value of "__metadata__"'s key in the first file, or NULL. */
const char *safetensors_metadata(const SafeTensors *st, const char *key);

/* XXH3 of all files' bytes, in name order (what HELLO compares base models by). */
uint64_t safetensors_digest(const SafeTensors *st);

/* out[0,n) = elements [begin, begin+n) as float. F32, F16, BF16, F64. False with
 * *err for another dtype: names tensor, file and dtype. */
MUST_USE bool tensor_to_f32(float *out, const TensorView *t, int64_t begin, int64_t n, Err *err);

/* One tensor to write: f32, row-major, lent until the call returns. */
typedef struct TensorOut {
    const char *name;
    int dims;
    int64_t dim[TENSOR_DIMS];
    const float *data;
} TensorOut;

/* Sorted by name, metadata {"format":"pt"}, header padded to 8, written to a
 * temporary name, synced, renamed (as the safetensors library lays files out:
 * the same tensors give the same bytes). */
MUST_USE bool safetensors_write(const char *path, const TensorOut *tensors, int64_t count, Err *err);

#endif
