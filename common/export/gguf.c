#include "common/export/gguf.h"

#include "common/base/file.h"
#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/tensor/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 32, BLOCK = 32, BLOCK_BYTES = 34, NAME_MOST = 63 };

/* Of values of keys. */
enum { KEY_U32 = 4, KEY_I32 = 5, KEY_F32 = 6, KEY_BOOL = 7, KEY_STRING = 8, KEY_ARRAY = 9 };

static const struct {
    const char *name;
    uint32_t ggml; /* the tensor's type */
    int file; /* general.file_type */
} types[] = { [GGUF_F32] = { "f32", 0, 0 },
              [GGUF_F16] = { "f16", 1, 1 },
              [GGUF_BF16] = { "bf16", 30, 32 },
              [GGUF_Q8_0] = { "q8_0", 8, 7 } };

bool gguf_type(const char *name, GgufType *type, Err *err)
{
    for (size_t i = 0; i < LENGTH(types); i++)
        if (strcmp(types[i].name, name) == 0) {
            *type = (GgufType)i;
            return true;
        }
    err_set(err, ERR_INPUT, "'%s' is no type of a GGUF file here", name);
    return err_hint(err, "f32, f16, bf16 or q8_0");
}

int gguf_file_type(GgufType type)
{
    return types[type].file;
}

void gguf_release(Gguf *g)
{
    for (int i = 0; i < g->count; i++)
        free(g->tensors[i].name);
    free(g->tensors);
    text_release(&g->keys);
    *g = (Gguf){ 0 };
}

/* ---- keys: numbers are little-endian, as they lie in memory ------------------------------------- */

static void put(Text *out, const void *bytes, size_t size)
{
    text_add(out, bytes, size);
}

static void put_text(Text *out, const char *text)
{
    const uint64_t size = strlen(text);
    put(out, &size, sizeof size);
    put(out, text, size);
}

static void begin(Gguf *g, const char *key, uint32_t type)
{
    put_text(&g->keys, key);
    put(&g->keys, &type, sizeof type);
    g->key_count++;
}

static void begin_array(Gguf *g, const char *key, uint32_t type, int64_t count)
{
    begin(g, key, KEY_ARRAY);
    put(&g->keys, &type, sizeof type);
    put(&g->keys, &count, sizeof count);
}

void gguf_put_u32(Gguf *g, const char *key, int64_t value)
{
    REQUIRE(value >= 0 && value <= UINT32_MAX);
    begin(g, key, KEY_U32);
    put(&g->keys, &(uint32_t){ (uint32_t)value }, sizeof(uint32_t));
}

void gguf_put_f32(Gguf *g, const char *key, double value)
{
    begin(g, key, KEY_F32);
    put(&g->keys, &(float){ (float)value }, sizeof(float));
}

void gguf_put_bool(Gguf *g, const char *key, bool value)
{
    begin(g, key, KEY_BOOL);
    put(&g->keys, value ? "\1" : "\0", 1);
}

void gguf_put_string(Gguf *g, const char *key, const char *value)
{
    begin(g, key, KEY_STRING);
    put_text(&g->keys, value);
}

void gguf_put_strings(Gguf *g, const char *key, const char *const *values, int64_t count)
{
    begin_array(g, key, KEY_STRING, count);
    for (int64_t i = 0; i < count; i++)
        put_text(&g->keys, values[i]);
}

void gguf_put_i32s(Gguf *g, const char *key, const int32_t *values, int64_t count)
{
    begin_array(g, key, KEY_I32, count);
    put(&g->keys, values, (size_t)count * sizeof *values);
}

void gguf_put_f32s(Gguf *g, const char *key, const float *values, int64_t count)
{
    begin_array(g, key, KEY_F32, count);
    put(&g->keys, values, (size_t)count * sizeof *values);
}

/* ---- tensors ----------------------------------------------------------------------- */

void gguf_add(Gguf *g, char *name, GgufType type, int dims, const int64_t *dim, int64_t of)
{
    g->tensors = xrealloc(g->tensors, ((size_t)g->count + 1) * sizeof *g->tensors);
    GgufTensor *t = &g->tensors[g->count++];
    *t = (GgufTensor){ .name = name, .type = type, .dims = dims, .count = 1, .of = of };
    for (int d = 0; d < dims; d++) {
        t->dim[d] = dim[d];
        t->count *= dim[d];
    }
    if (dims < 2)
        t->type = GGUF_F32;
    else if (type == GGUF_Q8_0 && dim[dims - 1] % BLOCK != 0)
        t->type = GGUF_F16;
}

static int64_t bytes_of(const GgufTensor *t)
{
    switch (t->type) {
    case GGUF_F32:
        return 4 * t->count;
    case GGUF_Q8_0:
        return t->count / BLOCK * BLOCK_BYTES;
    default:
        return 2 * t->count;
    }
}

static int64_t aligned(int64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* A block: an f16 scale d = max|x| / 127, then x / d rounded, halves away from zero. */
static void encode_block(char *out, const float *x)
{
    float most = 0;
    for (int i = 0; i < BLOCK; i++)
        most = fmaxf(most, fabsf(x[i]));
    const float d = most / 127, inverse = d > 0 ? 1 / d : 0;
    const uint16_t scale = tensor_f16(d);
    memcpy(out, &scale, sizeof scale);
    for (int i = 0; i < BLOCK; i++)
        out[2 + i] = (char)(int8_t)roundf(x[i] * inverse);
}

static bool write_q8(FILE *file, const float *x, int64_t n, Err *err)
{
    char block[BLOCK_BYTES];
    for (int64_t i = 0; i < n; i += BLOCK) {
        encode_block(block, x + i);
        if (fwrite(block, 1, sizeof block, file) != sizeof block)
            return err_errno(err, "cannot write");
    }
    return true;
}

static bool write_tensor(FILE *file, const GgufTensor *t, const float *x, Err *err)
{
    static const Dtype dtypes[] = { [GGUF_F32] = DTYPE_F32, [GGUF_F16] = DTYPE_F16, [GGUF_BF16] = DTYPE_BF16 };
    static const char zeros[ALIGN] = { 0 };
    if (maths_not_finite(x, t->count) < t->count)
        return err_set(err, ERR_INPUT, "it holds values that are not finite");
    if (t->type == GGUF_Q8_0 ? !write_q8(file, x, t->count, err)
                             : !tensor_write_f32(file, dtypes[t->type], x, t->count, NULL, err))
        return false;
    const size_t padding = (size_t)(aligned(bytes_of(t)) - bytes_of(t));
    return fwrite(zeros, 1, padding, file) == padding || err_errno(err, "cannot write");
}

/* All before the data. */
static void write_head(Text *head, const Gguf *g)
{
    const uint32_t version = 3;
    const uint64_t counts[] = { (uint64_t)g->count, (uint64_t)g->key_count };
    uint64_t at = 0;
    put(head, "GGUF", 4);
    put(head, &version, sizeof version);
    put(head, counts, sizeof counts);
    put(head, g->keys.data, g->keys.size);
    for (int i = 0; i < g->count; i++) {
        const GgufTensor *t = &g->tensors[i];
        const uint32_t dims = (uint32_t)t->dims;
        REQUIRE(strlen(t->name) <= NAME_MOST);
        put_text(head, t->name);
        put(head, &dims, sizeof dims);
        for (int d = t->dims - 1; d >= 0; d--)
            put(head, &t->dim[d], sizeof t->dim[d]);
        put(head, &types[t->type].ggml, sizeof types[t->type].ggml);
        put(head, &at, sizeof at);
        at += (uint64_t)aligned(bytes_of(t));
    }
    while (head->size % ALIGN != 0)
        put(head, "", 1);
}

static bool write_tensors(FILE *file, const Gguf *g, GgufMake make, void *self, Err *err)
{
    int64_t most = 1;
    for (int i = 0; i < g->count; i++)
        most = g->tensors[i].count > most ? g->tensors[i].count : most;
    float *room = mem_alloc((size_t)most * sizeof *room, err);
    bool ok = room != NULL;
    for (int i = 0; ok && i < g->count; i++)
        ok = (make(self, &g->tensors[i], room, err) && write_tensor(file, &g->tensors[i], room, err)) ||
             err_at(err, "%s", g->tensors[i].name);
    free(room);
    return ok;
}

bool gguf_write(const char *path, const Gguf *g, GgufMake make, void *self, Err *err)
{
    Text head = { 0 };
    write_head(&head, g);
    FILE *file = file_begin(path, err);
    bool ok = file && (fwrite(head.data, 1, head.size, file) == head.size || err_errno(err, "cannot write")) &&
              write_tensors(file, g, make, self, err);
    text_release(&head);
    if (ok)
        return file_commit(file, path, err);
    if (file) {
        err_at(err, "%s", path);
        file_abandon(file, path);
    }
    return false;
}
