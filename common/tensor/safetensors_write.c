/* Lays a file out as the safetensors library does: the tensors stand by dtype, the widest first, then by name; the
 * header is compact JSON with the metadata first, padded with spaces to a multiple of 8. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/tensor/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* What can be written; a higher rank stands first. */
static const struct {
    const char *name;
    int rank;
} written[] = { [DTYPE_F32] = { "F32", 2 }, [DTYPE_F16] = { "F16", 0 }, [DTYPE_BF16] = { "BF16", 1 } };

static int in_order(const void *a, const void *b)
{
    const TensorOut *x = *(const TensorOut *const *)a, *y = *(const TensorOut *const *)b;
    const int by_dtype = written[y->dtype].rank - written[x->dtype].rank;
    return by_dtype != 0 ? by_dtype : strcmp(x->name, y->name);
}

static int64_t elements(const TensorOut *t)
{
    int64_t n = 1;
    for (int d = 0; d < t->dims; d++)
        n *= t->dim[d];
    return n;
}

/* A JSON string with the escapes that serde_json chooses. */
static void add_quoted(Text *out, const char *name)
{
    static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    text_add(out, "\"", 1);
    for (const char *c = name; *c; c++) {
        const char *known = strchr(named, *c);
        if (known)
            text_addf(out, "\\%c", letters[known - named]);
        else if ((unsigned char)*c < 0x20)
            text_addf(out, "\\u%04x", (unsigned)*c);
        else
            text_add(out, c, 1);
    }
    text_add(out, "\"", 1);
}

static void add_entry(Text *header, const TensorOut *t, int64_t *at)
{
    REQUIRE(text_utf8_valid(t->name, strlen(t->name)) == strlen(t->name));
    text_add(header, ",", 1);
    add_quoted(header, t->name);
    text_addf(header, ":{\"dtype\":\"%s\",\"shape\":[", written[t->dtype].name);
    for (int d = 0; d < t->dims; d++)
        text_addf(header, "%s%lld", d ? "," : "", (long long)t->dim[d]);
    const int64_t end = *at + dtype_bytes(t->dtype) * elements(t);
    text_addf(header, "],\"data_offsets\":[%lld,%lld]}", (long long)*at, (long long)end);
    *at = end;
}

static void write_header(Text *header, const TensorOut *const *order, int64_t count)
{
    text_adds(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++)
        add_entry(header, order[i], &at);
    text_adds(header, "}");
    while (header->size % 8 != 0)
        text_adds(header, " ");
}

bool safetensors_stream(const char *path, const TensorOut *tensors, int64_t count, TensorWrite write, void *self,
                        Err *err)
{
    const TensorOut **order = xcalloc((size_t)count + 1, sizeof *order);
    for (int64_t i = 0; i < count; i++) {
        REQUIRE(tensors[i].dtype < LENGTH(written) && written[tensors[i].dtype].name);
        order[i] = &tensors[i];
    }
    qsort(order, (size_t)count, sizeof *order, in_order);
    Text header = { 0 };
    write_header(&header, order, count);
    FILE *file = file_begin(path, err);
    bool ok = file != NULL;
    if (ok) {
        const uint64_t n = header.size;
        ok = fwrite(&n, sizeof n, 1, file) == 1 && fwrite(header.data, 1, header.size, file) == header.size;
        if (!ok)
            err_errno(err, "cannot write");
        for (int64_t i = 0; ok && i < count; i++)
            ok = write(self, order[i] - tensors, file, err);
        if (ok) {
            ok = file_commit(file, path, err);
        } else {
            err_at(err, "%s", path);
            file_abandon(file, path);
        }
    }
    text_release(&header);
    free(order);
    return ok;
}

static bool write_lent(void *self, int64_t index, FILE *file, Err *err)
{
    const TensorOut *t = (const TensorOut *)self + index;
    const size_t floats = (size_t)elements(t);
    return floats == 0 || fwrite(t->data, sizeof(float), floats, file) == floats || err_errno(err, "cannot write");
}

bool safetensors_write(const char *path, const TensorOut *tensors, int64_t count, Err *err)
{
    return safetensors_stream(path, tensors, count, write_lent, (void *)(uintptr_t)tensors, err);
}
