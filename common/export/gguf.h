/* gguf - a file of llama.cpp's, version 3: keys, tensors, and nothing of what they mean. Numbers are made as they are
 * written, a tensor at a time.
 * Source of the format: ggml, docs/gguf.md; of the encodings: ggml-quants.c.
 *
 * Owner: whoever fills it. Threads: one. */
#ifndef COMMON_EXPORT_GGUF_H
#define COMMON_EXPORT_GGUF_H

#include "common/base/err.h"
#include "common/base/text.h"

#include <stdint.h>

typedef enum { GGUF_F32, GGUF_F16, GGUF_BF16, GGUF_Q8_0 } GgufType;

/* By its name: f32, f16, bf16, q8_0. */
MUST_USE bool gguf_type(const char *name, GgufType *type, Err *err);
int gguf_file_type(GgufType type); /* general.file_type */

typedef struct GgufTensor {
    char *name; /* owned */
    GgufType type;
    int dims;
    int64_t dim[4]; /* row-major, as everywhere here; the file has them the other way round */
    int64_t count; /* of numbers */
    int64_t of; /* the maker's own number for it */
} GgufTensor;

/* Zeroed is empty. */
typedef struct Gguf {
    Text keys; /* encoded */
    int64_t key_count;
    GgufTensor *tensors; /* in the file's order */
    int count;
} Gguf;

void gguf_release(Gguf *g);

void gguf_put_u32(Gguf *g, const char *key, int64_t value);
void gguf_put_f32(Gguf *g, const char *key, double value);
void gguf_put_bool(Gguf *g, const char *key, bool value);
void gguf_put_string(Gguf *g, const char *key, const char *value);
void gguf_put_strings(Gguf *g, const char *key, const char *const *values, int64_t count);
void gguf_put_i32s(Gguf *g, const char *key, const int32_t *values, int64_t count);
void gguf_put_f32s(Gguf *g, const char *key, const float *values, int64_t count);

/* Takes name. What has one dimension is F32 whatever is asked for; rows that are no multiple of 32 are F16 instead of
 * Q8_0. */
void gguf_add(Gguf *g, char *name, GgufType type, int dims, const int64_t *dim, int64_t of);

/* Makes the numbers of a tensor: out[tensor->count], row-major. */
typedef bool (*GgufMake)(void *self, const GgufTensor *tensor, float *out, Err *err);

/* The file, whole or not at all. F16 that overflows is an error, as is a number that is not finite. */
MUST_USE bool gguf_write(const char *path, const Gguf *g, GgufMake make, void *self, Err *err);

#endif
