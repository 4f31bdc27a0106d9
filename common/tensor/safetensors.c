#include "common/tensor/safetensors.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_MOST 100000000 /* bytes: the safetensors library refuses more */

typedef struct TensorFile {
    char *path; /* owned */
    FileMap map;
    json_t *header; /* names of the views lie in it */
} TensorFile;

struct SafeTensors {
    TensorFile *files;
    int file_count;
    TensorView *views; /* sorted by name */
    int64_t count, room;
};

/* ---- dtypes ------------------------------------------------------------------- */

typedef struct DtypeRow {
    const char *name;
    Dtype dtype;
    int bits;
} DtypeRow;

static const DtypeRow dtypes[] = {
    { "F32", DTYPE_F32, 32 },      { "F16", DTYPE_F16, 16 },      { "BF16", DTYPE_BF16, 16 },
    { "F64", DTYPE_F64, 64 },      { "I64", DTYPE_I64, 64 },      { "I32", DTYPE_I32, 32 },
    { "BOOL", DTYPE_OTHER, 8 },    { "U8", DTYPE_OTHER, 8 },      { "I8", DTYPE_OTHER, 8 },
    { "I16", DTYPE_OTHER, 16 },    { "U16", DTYPE_OTHER, 16 },    { "U32", DTYPE_OTHER, 32 },
    { "U64", DTYPE_OTHER, 64 },    { "C64", DTYPE_OTHER, 64 },    { "F8_E4M3", DTYPE_OTHER, 8 },
    { "F8_E5M2", DTYPE_OTHER, 8 }, { "F8_E8M0", DTYPE_OTHER, 8 }, { "F4", DTYPE_OTHER, 4 },
    { "F6_E2M3", DTYPE_OTHER, 6 }, { "F6_E3M2", DTYPE_OTHER, 6 },
};

static const DtypeRow *find_dtype(const char *name)
{
    for (size_t i = 0; name && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    return NULL;
}

/* ---- one tensor of the header --------------------------------------------------- */

static bool whole(const json_t *v, uint64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static bool read_shape(TensorView *view, const json_t *shape, Err *err)
{
    if (!json_is_array(shape) || json_array_size(shape) > TENSOR_DIMS)
        return err_set(err, ERR_INPUT, "'shape' is not a list of at most %d sizes", TENSOR_DIMS);
    view->dims = (int)json_array_size(shape);
    view->count = 1;
    for (int d = 0; d < view->dims; d++) {
        uint64_t n;
        if (!whole(json_array_get(shape, (size_t)d), &n) || n > INT64_MAX)
            return err_set(err, ERR_INPUT, "size %d of 'shape' is not a count", d + 1);
        view->dim[d] = (int64_t)n;
        if (__builtin_mul_overflow(view->count, view->dim[d], &view->count))
            return err_set(err, ERR_INPUT, "'shape' has more elements than can be counted");
    }
    return true;
}

static bool read_view(TensorView *view, const json_t *entry, const TensorFile *file, size_t data, Err *err)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    const DtypeRow *row = find_dtype(name);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const uint64_t room = file->map.size - data;
    uint64_t begin, end, bits;
    if (!name)
        return err_set(err, ERR_INPUT, "it has no 'dtype'");
    if (!row)
        return err_set(err, ERR_INPUT, "'%s' is not a dtype of safetensors", name);
    view->dtype = row->dtype;
    view->dtype_name = row->name;
    view->file = file->path;
    if (!read_shape(view, json_object_get(entry, "shape"), err))
        return false;
    if (json_array_size(offsets) != 2 || !whole(json_array_get(offsets, 0), &begin) ||
        !whole(json_array_get(offsets, 1), &end) || begin > end)
        return err_set(err, ERR_INPUT, "'data_offsets' is not [begin, end]");
    if (end > room)
        return err_set(err, ERR_INPUT, "its data ends at byte %llu, the file has %llu of data", (unsigned long long)end,
                       (unsigned long long)room);
    if (__builtin_mul_overflow((uint64_t)view->count, (uint64_t)row->bits, &bits) || bits % 8 != 0 ||
        bits / 8 != end - begin)
        return err_set(err, ERR_INPUT, "%llu bytes of data do not fit its shape and dtype %s",
                       (unsigned long long)(end - begin), row->name);
    view->bytes = (int64_t)(end - begin);
    view->data = file->map.data + data + begin;
    return true;
}

/* ---- one file -------------------------------------------------------------------- */

static int by_data(const void *a, const void *b)
{
    const TensorView *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* empty ones first */
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const TensorView *)a)->name, ((const TensorView *)b)->name);
}

/* The tensors tile the data from its first byte to its last. */
static bool check_tiling(TensorView *views, int64_t n, const char *data, const char *end, Err *err)
{
    if (n > 0) /* no tensors: no array */
        qsort(views, (size_t)n, sizeof *views, by_data);
    const char *at = data;
    for (int64_t i = 0; i < n; i++) {
        const char *begin = views[i].data;
        if (begin != at) {
            err_set(err, ERR_INPUT,
                    begin < at ? "its data overlaps another tensor's" : "there is a hole before its data");
            return err_at(err, "%s", views[i].name);
        }
        at += views[i].bytes;
    }
    if (at != end)
        return err_set(err, ERR_INPUT, "%lld bytes behind the last tensor", (long long)(end - at));
    return true;
}

static TensorView *add_view(SafeTensors *st)
{
    if (st->count == st->room) {
        st->room = st->room ? 2 * st->room : 64;
        st->views = xrealloc(st->views, (size_t)st->room * sizeof *st->views);
    }
    TensorView *view = &st->views[st->count++];
    *view = (TensorView){ 0 };
    return view;
}

/* "__metadata__" holds strings only; null is none. */
static bool check_metadata(const json_t *metadata, Err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata) && !json_is_null(metadata))
        return err_set(err, ERR_INPUT, "'__metadata__' is not an object");
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (!json_is_string(value))
            return err_set(err, ERR_INPUT, "'%s' of '__metadata__' is not a string", key);
    }
    return true;
}

/* The tensors of a file whose data starts at byte `data`. */
static bool read_views(SafeTensors *st, const TensorFile *file, size_t data, Err *err)
{
    const int64_t first = st->count;
    const char *name;
    json_t *entry;
    json_object_foreach(file->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            if (!check_metadata(entry, err))
                return false;
            continue;
        }
        TensorView *view = add_view(st);
        view->name = name;
        if (!read_view(view, entry, file, data, err))
            return err_at(err, "%s", name);
    }
    return check_tiling(st->views + first, st->count - first, file->map.data + data, file->map.data + file->map.size,
                        err);
}

static bool read_header(SafeTensors *st, TensorFile *file, Err *err)
{
    uint64_t n = 0;
    if (file->map.size < sizeof n)
        return err_set(err, ERR_INPUT, "not a safetensors file: %zu bytes", file->map.size);
    memcpy(&n, file->map.data, sizeof n);
    if (memcmp(file->map.data, "PK\3\4", 4) == 0 || memcmp(file->map.data, "\x80\2\x8a\n", 4) == 0) {
        err_set(err, ERR_INPUT, "not a safetensors file: a pickle of torch.save");
        return err_hint(err, "load it with PyTorch and save it with safetensors.torch.save_file");
    }
    if (n > HEADER_MOST)
        return err_set(err, ERR_INPUT, "not a safetensors file: a header of %llu bytes, at most %d are allowed",
                       (unsigned long long)n, HEADER_MOST);
    if (n > file->map.size - sizeof n)
        return err_set(err, ERR_INPUT, "not a whole safetensors file: a header of %llu bytes in a file of %zu",
                       (unsigned long long)n, file->map.size);
    file->header = json_bytes(file->map.data + sizeof n, (size_t)n, "header", err);
    if (!file->header)
        return false;
    if (!json_is_object(file->header))
        return err_set(err, ERR_INPUT, "the header is not a JSON object");
    return read_views(st, file, sizeof n + (size_t)n, err);
}

static bool add_file(SafeTensors *st, const char *path, Err *err)
{
    st->files = xrealloc(st->files, (size_t)(st->file_count + 1) * sizeof *st->files);
    TensorFile *file = &st->files[st->file_count++];
    *file = (TensorFile){ .path = xstrdup(path) };
    if (!file_map(&file->map, path, err))
        return false;
    if (read_header(st, file, err))
        return true;
    err_at(err, "%s", path);
    if (err && !err->hint[0])
        err_hint(err, "the file is damaged: copy or download it again");
    return false;
}

static bool finish(SafeTensors *st, Err *err)
{
    if (st->count > 0)
        qsort(st->views, (size_t)st->count, sizeof *st->views, by_name);
    for (int64_t i = 1; i < st->count; i++) {
        if (strcmp(st->views[i].name, st->views[i - 1].name) == 0) {
            err_set(err, ERR_INPUT, "'%s' stands in two files", st->views[i].name);
            return err_at(err, "%s", st->views[i].file);
        }
    }
    return true;
}

SafeTensors *safetensors_open(const char *path, Err *err)
{
    SafeTensors *st = xcalloc(1, sizeof *st);
    if (add_file(st, path, err) && finish(st, err))
        return st;
    safetensors_close(st);
    return NULL;
}

/* ---- sharded models ----------------------------------------------------------------- */

static int by_string(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* names[0, size of the map) = the files that weight_map names, sorted, as often as it does. */
static bool shard_names(const char **names, const json_t *map, Err *err)
{
    size_t count = 0;
    const char *key;
    json_t *v;
    bool ok = json_object_size(map) > 0 || err_set(err, ERR_INPUT, "'weight_map' is not an object that names files");
    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        const char *name = json_string_value(v);
        if (ok && (!name || !*name || strchr(name, '/')))
            ok = err_set(err, ERR_INPUT, "the file of '%s' is not a file's name", key);
        names[count++] = name ? name : "";
    }
    if (ok)
        qsort(names, count, sizeof *names, by_string);
    return ok;
}

/* Every file that weight_map names, once. */
static bool add_shards(SafeTensors *st, const char *folder, const char *index_path, const json_t *map, Err *err)
{
    const size_t count = json_object_size(map);
    const char **names = xcalloc(count + 1, sizeof *names);
    bool ok = shard_names(names, map, err) || err_at(err, "%s", index_path);
    for (size_t i = 0; ok && i < count; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
            continue;
        char *path = path_join(folder, names[i]);
        ok = add_file(st, path, err);
        free(path);
    }
    free(names);
    return ok;
}

static bool check_map(const SafeTensors *st, const json_t *map, Err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        const TensorView *t = safetensors_find(st, key);
        if (!t || strcmp(path_name(t->file), json_string_value(v)) != 0)
            return err_set(err, ERR_INPUT, "'%s' is not in '%s'", key, json_string_value(v));
    }
    return true;
}

static SafeTensors *open_sharded(const char *folder, const char *index_path, Err *err)
{
    json_t *index = json_file(index_path, err);
    if (!index)
        return NULL;
    const json_t *map = json_object_get(index, "weight_map");
    SafeTensors *st = xcalloc(1, sizeof *st);
    bool ok = add_shards(st, folder, index_path, map, err) && finish(st, err);
    if (ok && !check_map(st, map, err))
        ok = err_at(err, "%s", index_path);
    json_decref(index);
    if (ok)
        return st;
    safetensors_close(st);
    return NULL;
}

SafeTensors *safetensors_open_model(const char *folder, Err *err)
{
    char *single = path_join(folder, "model.safetensors");
    char *index = path_join(folder, "model.safetensors.index.json");
    char *old = path_join(folder, "pytorch_model.bin");
    SafeTensors *st = NULL;
    if (file_exists(single)) {
        st = safetensors_open(single, err);
    } else if (file_exists(index)) {
        st = open_sharded(folder, index, err);
    } else {
        err_set(err, ERR_INPUT, "no model.safetensors (nor model.safetensors.index.json)");
        err_at(err, "%s", folder);
        if (file_exists(old))
            err_hint(err,
                     "convert its pytorch_model.bin: python3 -c \"import transformers as t; "
                     "t.AutoModel.from_pretrained('%s').save_pretrained('%s', "
                     "safe_serialization=True)\"",
                     folder, folder);
        else
            err_hint(err, "a model folder holds config.json, model.safetensors and tokenizer.json");
    }
    free(single);
    free(index);
    free(old);
    return st;
}

bool safetensors_has_model(const char *folder)
{
    char *single = path_join(folder, "model.safetensors");
    char *index = path_join(folder, "model.safetensors.index.json");
    const bool has = file_exists(single) || file_exists(index);
    free(single);
    free(index);
    return has;
}

void safetensors_close(SafeTensors *st)
{
    if (!st)
        return;
    for (int i = 0; i < st->file_count; i++) {
        file_unmap(&st->files[i].map);
        json_decref(st->files[i].header);
        free(st->files[i].path);
    }
    free(st->files);
    free(st->views);
    free(st);
}

/* ---- shapes ----------------------------------------------------------------------------- */

bool tensor_has_shape(const TensorView *t, int dims, const int64_t *dim)
{
    bool same = t->dims == dims;
    for (int d = 0; same && d < dims; d++)
        same = t->dim[d] == dim[d];
    return same;
}

void shape_write(Text *out, int dims, const int64_t *dim)
{
    text_adds(out, "[");
    for (int d = 0; d < dims; d++)
        text_addf(out, "%s%lld", d > 0 ? ", " : "", (long long)dim[d]);
    text_adds(out, "]");
}

/* ---- queries ---------------------------------------------------------------------------- */

int64_t safetensors_count(const SafeTensors *st)
{
    return st->count;
}

const TensorView *safetensors_at(const SafeTensors *st, int64_t i)
{
    REQUIRE(i >= 0 && i < st->count);
    return &st->views[i];
}

const TensorView *safetensors_find(const SafeTensors *st, const char *name)
{
    const TensorView key = { .name = name };
    return st->count ? bsearch(&key, st->views, (size_t)st->count, sizeof key, by_name) : NULL;
}

const char *safetensors_metadata(const SafeTensors *st, const char *key)
{
    return json_string_value(json_object_get(json_object_get(st->files[0].header, "__metadata__"), key));
}

uint64_t safetensors_digest_at(const SafeTensors *st, int64_t i)
{
    const TensorView *t = safetensors_at(st, i);
    uint64_t digest = digest_fast(t->name, strlen(t->name));
    digest = digest_fast_more(digest, t->dtype_name, strlen(t->dtype_name));
    digest = digest_fast_more(digest, t->dim, (size_t)t->dims * sizeof *t->dim);
    return digest_fast_more(digest, t->data, (size_t)t->bytes);
}

uint64_t safetensors_digest(const SafeTensors *st)
{
    uint64_t digest = 0;
    for (int64_t i = 0; i < st->count; i++)
        digest += safetensors_digest_at(st, i);
    return digest;
}

uint64_t safetensors_digest_of_files(const SafeTensors *st)
{
    uint64_t digest = 0;
    for (int i = 0; i < st->file_count; i++)
        digest = digest_fast_more(digest, st->files[i].map.data, st->files[i].map.size);
    return digest;
}
