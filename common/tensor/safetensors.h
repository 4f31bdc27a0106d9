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

/* Of tensor i: name, dtype, shape, bytes. */
uint64_t safetensors_digest_at(const SafeTensors *st, int64_t i);

/* The sum of those of all tensors, mod 2^64, so that several may share the work (what HELLO compares base models by). */
uint64_t safetensors_digest(const SafeTensors *st);

/* XXH3 of all files' bytes, in name order: what models were compared by up to protocol 5. */
uint64_t safetensors_digest_of_files(const SafeTensors *st);

/* out[0,n) = elements [begin, begin+n) as float. F32, F16, BF16, F64. False with
 * *err for another dtype: names tensor, file and dtype. */
MUST_USE bool tensor_to_f32(float *out, const TensorView *t, int64_t begin, int64_t n, Err *err);

/* file <- x[0, n) in another dtype, each number rounded once, to nearest, ties to even. *lost, if given, grows by the
 * sum of (rounded - x)^2. False with *err: an F16 would overflow, the disk is full, or the dtype is none of F32, F16,
 * BF16. */
MUST_USE bool tensor_write_f32(FILE *file, Dtype dtype, const float *x, int64_t n, double *lost, Err *err);
uint16_t tensor_f16(float x); /* rounded to nearest, ties to even; beyond 65504: infinite */
uint16_t tensor_bf16(float x);
int64_t dtype_bytes(Dtype dtype); /* of an element; 0: DTYPE_OTHER */

/* One tensor to write: row-major. */
typedef struct TensorOut {
    const char *name;
    int dims;
    int64_t dim[TENSOR_DIMS];
    const float *data; /* lent until the call returns; of safetensors_stream: not used */
    Dtype dtype; /* in the file; of safetensors_write: DTYPE_F32 */
} TensorOut;

/* Sorted by name, metadata {"format":"pt"}, header padded to 8, written to a
 * temporary name, synced, renamed (as the safetensors library lays files out:
 * the same tensors give the same bytes). */
MUST_USE bool safetensors_write(const char *path, const TensorOut *tensors, int64_t count, Err *err);

/* The same, of tensors whose numbers are made as they are written: `write` puts all of tensors[index] into the file,
 * and is called once for each, in the file's order (by dtype, then by name). */
typedef bool (*TensorWrite)(void *self, int64_t index, FILE *file, Err *err);
MUST_USE bool safetensors_stream(const char *path, const TensorOut *tensors, int64_t count, TensorWrite write,
                                 void *self, Err *err);

#endif
