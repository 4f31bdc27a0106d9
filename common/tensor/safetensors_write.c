/* Lays a file out as the safetensors library does: all tensors are F32, so they stand by name; the
 * header is compact JSON with the metadata first, padded with spaces to a multiple of 8. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/tensor/safetensors.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const TensorOut *const *)a)->name, (*(const TensorOut *const *)b)->name);
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
    text_adds(header, ":{\"dtype\":\"F32\",\"shape\":[");
    for (int d = 0; d < t->dims; d++)
        text_addf(header, "%s%lld", d ? "," : "", (long long)t->dim[d]);
    const int64_t end = *at + 4 * elements(t);
    text_addf(header, "],\"data_offsets\":[%lld,%lld]}", (long long)*at, (long long)end);
    *at = end;
}

static bool write_parts(FILE *file, const Text *header, const TensorOut *const *order, int64_t count)
{
    const uint64_t n = header->size;
    bool ok = fwrite(&n, sizeof n, 1, file) == 1 && fwrite(header->data, 1, header->size, file) == header->size;
    for (int64_t i = 0; ok && i < count; i++) {
        const size_t floats = (size_t)elements(order[i]);
        ok = floats == 0 || fwrite(order[i]->data, sizeof(float), floats, file) == floats;
    }
    return ok;
}

bool safetensors_write(const char *path, const TensorOut *tensors, int64_t count, Err *err)
{
    const TensorOut **order = xcalloc((size_t)count + 1, sizeof *order);
    for (int64_t i = 0; i < count; i++)
        order[i] = &tensors[i];
    qsort(order, (size_t)count, sizeof *order, by_name);
    Text header = { 0 };
    text_adds(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++)
        add_entry(&header, order[i], &at);
    text_adds(&header, "}");
    while (header.size % 8 != 0)
        text_adds(&header, " ");
    FILE *file = file_begin(path, err);
    bool ok = file != NULL;
    if (ok && !write_parts(file, &header, order, count)) {
        ok = err_errno(err, "cannot write");
        err_at(err, "%s", path);
        file_abandon(file, path);
    } else if (ok) {
        ok = file_commit(file, path, err);
    }
    text_release(&header);
    free(order);
    return ok;
}
