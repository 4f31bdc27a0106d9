#include "launch/cmd_merge.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/model/model_folder.h"
#include "launch/command.h"
#include "launch/merged_model.h"

#include <stdlib.h>
#include <string.h>

typedef struct MergeArguments {
    const char *model, *dtype, *shard;
    bool other_base;
} MergeArguments;

static bool read_dtype(const char *name, Dtype *dtype, Err *err)
{
    static const struct {
        const char *name;
        Dtype dtype;
    } dtypes[] = { { "keep", DTYPE_OTHER }, { "f32", DTYPE_F32 }, { "bf16", DTYPE_BF16 }, { "f16", DTYPE_F16 } };
    *dtype = DTYPE_OTHER;
    for (size_t i = 0; name && i < LENGTH(dtypes); i++)
        if (strcmp(name, dtypes[i].name) == 0) {
            *dtype = dtypes[i].dtype;
            return true;
        }
    if (!name)
        return true;
    err_set(err, ERR_INPUT, "'%s' is no dtype", name);
    err_hint(err, "keep (the base's own), f32, bf16 or f16");
    return err_at(err, "--dtype");
}

/* "5GB", "300MB": powers of 1000, as Transformers counts. */
static bool read_size(const char *text, int64_t *bytes, Err *err)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = { { "GB", 1000000000 }, { "MB", 1000000 }, { "KB", 1000 } };
    *bytes = 5 * units[0].bytes;
    if (!text)
        return true;
    char *rest;
    const double number = strtod(text, &rest);
    for (size_t i = 0; i < LENGTH(units); i++)
        if (strcmp(rest, units[i].unit) == 0 && number > 0 && number * (double)units[i].bytes < 9e18) {
            *bytes = (int64_t)(number * (double)units[i].bytes);
            return true;
        }
    err_set(err, ERR_INPUT, "'%s' is no size", text);
    err_hint(err, "a number with KB, MB or GB behind it, as 5GB");
    return err_at(err, "--max_shard_size");
}

static bool write_folder(MergedModel *m, const char *out, int64_t shard_bytes, Err *err)
{
    const ModelWeights weights = {
        .saved = &m->saved, .shard_bytes = shard_bytes, .write = merged_write, .self = &m->merged
    };
    char *begun = folder_begin(out, err);
    if (!begun)
        return false;
    if (model_folder_weights(begun, &weights, err) && model_folder_files(begun, &m->saved, err))
        return folder_commit(begun, out, err);
    folder_abandon(begun);
    return false;
}

static bool run(void *self, const Arguments *given, Err *err)
{
    const MergeArguments *a = self;
    const char *out = given->positionals[1];
    MergedOptions o = {
        .adapter = given->positionals[0], .model = a->model, .other_base = a->other_base, .given = given
    };
    int64_t shard_bytes;
    if (!read_dtype(a->dtype, &o.dtype, err) || !read_size(a->shard, &shard_bytes, err))
        return false;
    MergedModel m = { 0 };
    Text told = { 0 };
    const bool ok = merged_model_open(&m, &o, err) && write_folder(&m, out, shard_bytes, err);
    if (ok) {
        merged_model_tell(&m, &told);
        printf("%s%s: %d tensors\n", told.data, out, m.saved.count);
    }
    text_release(&told);
    merged_model_release(&m);
    return ok;
}

int cmd_merge(int argc, char **argv)
{
    MergeArguments a = { 0 };
    bool help = false;
    const Option own[] = {
        { "model", "DIR", "the base model; default: the one the adapter names", &a.model, NULL },
        { "dtype", "TYPE", "of the weights: f32, bf16, f16; default: keep, as the base has them", &a.dtype, NULL },
        { "max_shard_size", "SIZE", "of a file of weights; default: 5GB", &a.shard, NULL },
        { "other_base", NULL, "take the base though the adapter was trained on another", NULL, &a.other_base },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora merge",
                                "ADAPTER OUT",
                                "a model folder of Hugging Face's, the base with the adapter in its weights; ADAPTER: "
                                "of a run or of PEFT",
                                own,
                                sizeof own / sizeof *own,
                                true,
                                0 };
    return command_main(&(Command){ &table, &help, 2, 2, run, &a }, argc, argv);
}
