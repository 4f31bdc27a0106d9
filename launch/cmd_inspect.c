#include "launch/cmd_inspect.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/config/run_facts.h"
#include "common/tensor/safetensors.h"
#include "launch/command.h"
#include "launch/describe.h"

#include <stdlib.h>
#include <string.h>

#define REALS JSON_REAL_PRECISION(15) /* 0.1 is printed as 0.1 */

/* What people look for in the two kinds of folders, in this order. */
static const char *const adapter_keys[] = {
    "peft_type",    "task_type",      "base_model_name_or_path", "r",    "init_r", "target_r", "lora_alpha",
    "lora_dropout", "target_modules", "modules_to_save",         "bias", NULL
};
static const char *const model_keys[] = { "model_type",          "architectures",
                                          "hidden_size",         "num_hidden_layers",
                                          "num_attention_heads", "intermediate_size",
                                          "vocab_size",          "max_position_embeddings",
                                          "hidden_act",          NULL };

static json_t *shape_of(const TensorView *t)
{
    json_t *shape = json_array();
    for (int d = 0; d < t->dims; d++)
        json_array_append_new(shape, json_integer(t->dim[d]));
    return shape;
}

static void add_tensors(json_t *out, const SafeTensors *st)
{
    json_t *tensors = json_object(), *dtypes = json_object();
    int64_t parameters = 0, bytes = 0;
    for (int64_t i = 0; i < safetensors_count(st); i++) {
        const TensorView *t = safetensors_at(st, i);
        json_t *one = json_object();
        json_object_set_new(one, "dtype", json_string(t->dtype_name));
        json_object_set_new(one, "shape", shape_of(t));
        json_object_set_new(tensors, t->name, one);
        const json_int_t before = json_integer_value(json_object_get(dtypes, t->dtype_name));
        json_object_set_new(dtypes, t->dtype_name, json_integer(before + 1));
        parameters += t->count;
        bytes += t->bytes;
    }
    json_object_set_new(out, "parameters", json_integer(parameters));
    json_object_set_new(out, "bytes", json_integer(bytes));
    json_object_set_new(out, "dtypes", dtypes);
    json_object_set_new(out, "tensors", tensors);
}

static bool add_config(json_t *out, const char *path, const char *const *keys, Err *err)
{
    json_t *config = json_file(path, err);
    if (!config)
        return false;
    if (!json_is_object(config)) {
        json_decref(config);
        err_set(err, ERR_INPUT, "not a JSON object");
        return err_at(err, "%s", path);
    }
    for (int i = 0; keys[i]; i++)
        if (json_object_get(config, keys[i]))
            json_object_set(out, keys[i], json_object_get(config, keys[i]));
    json_decref(config);
    return true;
}

static void add_doubt(json_t *out, const char *adapter)
{
    char *exchanged = run_facts_exchanged(adapter);
    if (exchanged)
        json_object_set_new(out, "exchanged", json_string(exchanged));
    free(exchanged);
}

/* A folder's, or a safetensors file's. */
static json_t *look_at_tensors(const char *path, Err *err)
{
    json_t *out = json_object();
    SafeTensors *st = NULL;
    char *adapter = path_join(path, "adapter_config.json"), *weights = path_join(path, "adapter_model.safetensors");
    char *config = path_join(path, "config.json");
    bool ok;
    if (!file_is_folder(path)) {
        json_object_set_new(out, "kind", json_string("safetensors file"));
        ok = (st = safetensors_open(path, err)) != NULL;
    } else if (file_exists(adapter)) {
        json_object_set_new(out, "kind", json_string("adapter"));
        ok = add_config(out, adapter, adapter_keys, err) && (st = safetensors_open(weights, err));
        if (json_object_get(out, "init_r")) /* PEFT writes an r that AdaLoRA does not look at */
            json_object_del(out, "r");
        add_doubt(out, path);
    } else if (file_exists(config)) {
        json_object_set_new(out, "kind", json_string("model"));
        ok = add_config(out, config, model_keys, err) && (st = safetensors_open_model(path, err));
    } else {
        ok = err_set(err, ERR_INPUT, "neither an adapter (adapter_config.json) nor a model (config.json)");
        err_at(err, "%s", path);
    }
    if (ok)
        add_tensors(out, st);
    else
        json_decref(out);
    safetensors_close(st);
    free(adapter);
    free(weights);
    free(config);
    return ok ? out : NULL;
}

/* What PATH is and holds, as one object; owned by the caller. */
static json_t *look(const char *path, Err *err)
{
    if (file_is_folder(path) || describe_is_safetensors(path))
        return look_at_tensors(path, err);
    return describe_file(path, err);
}

static void print_value(const char *key, const json_t *value)
{
    char *text = json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY | REALS);
    printf("%-24s %s\n", key, text);
    free(text);
}

static void print_lines(json_t *found)
{
    const char *key;
    json_t *value;
    json_object_foreach(found, key, value)
    {
        if (strcmp(key, "tensors") != 0)
            print_value(key, value);
    }
    json_object_foreach(json_object_get(found, "tensors"), key, value)
    {
        char *shape = json_dumps(json_object_get(value, "shape"), 0);
        printf("  %-7s %-14s %s\n", json_string_value(json_object_get(value, "dtype")), shape, key);
        free(shape);
    }
}

static bool run(void *self, const Arguments *arguments, Err *err)
{
    const bool *as_json = self;
    json_t *found = look(arguments->positionals[0], err);
    if (!found)
        return false;
    if (*as_json) {
        char *text = json_dumps(found, JSON_INDENT(2) | REALS);
        puts(text);
        free(text);
    } else {
        print_lines(found);
    }
    json_decref(found);
    return fflush(stdout) == 0 || err_errno(err, "cannot write to standard output");
}

int cmd_inspect(int argc, char **argv)
{
    bool as_json = false, help = false;
    const Option own[] = {
        { "json", NULL, "one JSON object instead of lines", NULL, &as_json },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora inspect",
                                "PATH",
                                "what a file is; what an adapter, a model folder or a safetensors file holds",
                                own,
                                sizeof own / sizeof *own,
                                false,
                                0 };
    return command_main(&(Command){ &table, &help, 1, 1, run, &as_json }, argc, argv);
}
