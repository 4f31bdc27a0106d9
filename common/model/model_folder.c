#include "common/model/model_folder.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/saved_config.h"
#include "common/model/sentence.h"

#include <stdlib.h>
#include <string.h>

/* ---- weights ---------------------------------------------------------------------- */

/* Tensors [begin, end) of the list. */
typedef struct Shard {
    const ModelWeights *weights;
    int begin, end;
} Shard;

static int64_t bytes_of(const SavedTensor *t)
{
    return t->count * dtype_bytes(t->dtype);
}

/* Where the shard ends that begins at `begin`. */
static int shard_end(const ModelWeights *w, int begin)
{
    int64_t bytes = bytes_of(&w->saved->tensors[begin]);
    int end = begin + 1;
    while (end < w->saved->count && bytes + bytes_of(&w->saved->tensors[end]) <= w->shard_bytes)
        bytes += bytes_of(&w->saved->tensors[end++]);
    return end;
}

static bool write_one(void *self, int64_t index, FILE *file, Err *err)
{
    const Shard *shard = self;
    const SavedTensor *t = &shard->weights->saved->tensors[shard->begin + index];
    return shard->weights->write(shard->weights->self, t, file, err) || err_at(err, "%s", t->name);
}

static bool write_shard(const char *folder, const char *name, Shard *shard, Err *err)
{
    const int count = shard->end - shard->begin;
    TensorOut *out = xcalloc((size_t)count, sizeof *out);
    for (int i = 0; i < count; i++) {
        const SavedTensor *t = &shard->weights->saved->tensors[shard->begin + i];
        out[i] = (TensorOut){ .name = t->name, .dims = t->dims, .dtype = t->dtype };
        memcpy(out[i].dim, t->dim, sizeof t->dim);
    }
    char *path = path_join(folder, name);
    const bool ok = safetensors_stream(path, out, count, write_one, shard, err);
    free(path);
    free(out);
    return ok;
}

static bool write_index(const char *folder, const SavedModel *saved, json_t *map, Err *err)
{
    int64_t bytes = 0, parameters = 0;
    for (int i = 0; i < saved->count; i++) {
        bytes += bytes_of(&saved->tensors[i]);
        parameters += saved->tensors[i].count;
    }
    json_t *index = json_pack("{s:{s:I, s:I}, s:O}", "metadata", "total_parameters", (json_int_t)parameters,
                              "total_size", (json_int_t)bytes, "weight_map", map);
    char *path = path_join(folder, "model.safetensors.index.json");
    const bool ok = json_write(path, index, err);
    free(path);
    json_decref(index);
    return ok;
}

bool model_folder_weights(const char *folder, const ModelWeights *w, Err *err)
{
    int shards = 0;
    for (int at = 0; at < w->saved->count; at = shard_end(w, at))
        shards++;
    json_t *map = json_object();
    Shard shard = { .weights = w };
    bool ok = true;
    for (int i = 0; ok && i < shards; i++, shard.begin = shard.end) {
        char *name =
            shards == 1 ? xstrdup("model.safetensors") : xprintf("model-%05d-of-%05d.safetensors", i + 1, shards);
        shard.end = shard_end(w, shard.begin);
        ok = write_shard(folder, name, &shard, err);
        for (int t = shard.begin; t < shard.end; t++)
            json_object_set_new(map, w->saved->tensors[t].name, json_string(name));
        free(name);
    }
    ok = ok && (shards == 1 || write_index(folder, w->saved, map, err));
    json_decref(map);
    return ok;
}

/* ---- files beside them -------------------------------------------------------------- */

static bool copy_files(const char *folder, const char *from, Err *err)
{
    static const char *const names[] = { "tokenizer.json",
                                         "tokenizer_config.json",
                                         "special_tokens_map.json",
                                         "added_tokens.json",
                                         "vocab.txt",
                                         "vocab.json",
                                         "merges.txt",
                                         "tokenizer.model",
                                         "spiece.model",
                                         "sentencepiece.bpe.model",
                                         "chat_template.jinja",
                                         "chat_template.json",
                                         "generation_config.json",
                                         "preprocessor_config.json",
                                         "processor_config.json" };
    bool ok = true;
    for (size_t i = 0; ok && i < LENGTH(names); i++) {
        char *source = path_join(from, names[i]), *copy = path_join(folder, names[i]);
        ok = !file_exists(source) || file_copy(source, copy, err);
        free(copy);
        free(source);
    }
    return ok;
}

bool model_folder_files(const char *folder, const SavedModel *saved, Err *err)
{
    json_t *config = saved_config(saved, err);
    char *path = path_join(folder, "config.json");
    const bool ok = config && json_write(path, config, err) && copy_files(folder, saved->arch->folder, err) &&
                    (!saved->arch->head.task->embeds || sentence_write(folder, saved->arch, 0, err));
    free(path);
    json_decref(config);
    return ok;
}
