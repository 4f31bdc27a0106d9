#include "common/slots/slots_config.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/slots/inits.h"
#include "common/slots/methods.h"
#include "common/slots/slots_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- writing ---------------------------------------------------------------------- */

/* Fields that stay as PEFT's LoraConfig has them when nobody sets them. */
static const char defaults[] = "{\"alora_invocation_tokens\": null, \"arrow_config\": null, \"auto_mapping\": null,"
                               " \"corda_config\": null, \"ensure_weight_tying\": false, \"eva_config\": null,"
                               " \"fan_in_fan_out\": false, \"inference_mode\": true, \"kasa_config\": null,"
                               " \"layer_replication\": null, \"layers_pattern\": null, \"loftq_config\": {},"
                               " \"lora_ga_config\": null, \"megatron_config\": null,"
                               " \"megatron_core\": \"megatron.core\", \"monteclora_config\": null,"
                               " \"peft_version\": \"0.21.2\", \"qalora_group_size\": 16, \"revision\": null,"
                               " \"target_parameters\": null, \"use_bdlora\": null,"
                               " \"use_qalora\": false, \"velora_config\": null}";

/* 8, not 8.0, as PEFT's integers are. */
static json_t *number(double x)
{
    return x == floor(x) && fabs(x) < 9e15 ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *list(char *const *items, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_string(items[i]));
    return array;
}

static json_t *list_or_null(char *const *items, int count)
{
    return count > 0 ? list(items, count) : json_null();
}

static json_t *patterns(const PatternMap *map, double times)
{
    json_t *object = json_object();
    for (int i = 0; i < map->count; i++)
        json_object_set_new(object, map->keys[i], number(map->values[i] * times));
    return object;
}

static json_t *layers(const LoraConfig *lora)
{
    if (!lora->layers_to_transform)
        return json_null();
    json_t *array = json_array();
    for (int i = 0; i < lora->layers_count; i++)
        json_array_append_new(array, json_integer(lora->layers_to_transform[i]));
    return array;
}

/* What PEFT's dispatcher leaves there: the kind of the last linear it adapted. */
static bool fan_in_fan_out(const SlotTable *table, const ModelArch *arch)
{
    bool last = false;
    for (int i = 0; i < arch->module_count; i++)
        if (table->modules[i].a >= 0 && arch->modules[i].kind == MODULE_LINEAR)
            last = arch->modules[i].transposed;
    return last;
}

/* PEFT knows no task for images: such an adapter says which class it wraps. */
static void set_task(json_t *to, const ModelArch *arch)
{
    const Task *task = arch->head.task;
    if (task->peft_name) {
        json_object_set_new(to, "task_type", json_string(task->peft_name));
        return;
    }
    const Family *family = arch->family;
    char *library = xprintf("transformers.models.%s.modeling_%s", family->model_type, family->model_type);
    json_object_set_new(to, "task_type", json_null());
    json_object_set_new(
        to, "auto_mapping",
        json_pack("{s:s, s:s}", "base_model_class", family->task_class[task->type], "parent_library", library));
    free(library);
}

/* r and alpha of a file whose A and B have `ranks` times the rank, with the scale that the run has. */
static void set_ranks(json_t *to, const LoraConfig *lora, int ranks)
{
    const double alphas = methods_scale(lora, 1, 1) / methods_scale(lora, 1, ranks);
    json_object_set_new(to, "r", json_integer(lora->r * ranks));
    json_object_set_new(to, "lora_alpha", number(lora->alpha * alphas));
    json_object_set_new(to, "rank_pattern", patterns(&lora->rank_pattern, ranks));
    json_object_set_new(to, "alpha_pattern", patterns(&lora->alpha_pattern, alphas));
}

json_t *slots_config_json(const SlotTable *table, const AdapterForm *form, const LoraConfig *lora,
                          const char *model_name)
{
    const ModelArch *arch = table->arch;
    static const char *const bias[] = { [BIAS_NONE] = "none", [BIAS_ALL] = "all", [BIAS_LORA_ONLY] = "lora_only" };
    json_t *to = json_loads(defaults, 0, NULL);
    REQUIRE(to);
    StringList saved = slots_saved_names(arch, lora);
    StringList excluded = slots_excluded_names(arch, lora);
    set_task(to, arch);
    json_object_set_new(to, "fan_in_fan_out", json_boolean(fan_in_fan_out(table, arch)));
    json_object_set_new(to, "base_model_name_or_path", json_string(model_name));
    set_ranks(to, lora, form->first ? 2 : 1);
    json_object_set_new(to, "lora_dropout", json_real(lora->dropout));
    methods_write(to, table, form, lora);
    json_object_set_new(to, "trainable_token_indices",
                        table->token_count > 0 ? json_deep_copy(lora->tokens) : json_null());
    json_object_set_new(to, "bias", json_string(bias[lora->bias]));
    json_object_set_new(to, "init_lora_weights", form->first ? json_true() : inits_json(lora));
    json_object_set_new(to, "target_modules",
                        lora->target_regex ? json_string(lora->target_regex)
                                           : list(table->targets, table->target_count));
    json_object_set_new(to, "exclude_modules",
                        lora->exclude_regex ? json_string(lora->exclude_regex)
                                            : list_or_null(excluded.items, excluded.count));
    json_object_set_new(to, "modules_to_save", list_or_null(saved.items, saved.count));
    json_object_set_new(to, "layers_to_transform", layers(lora));
    names_release(&excluded);
    names_release(&saved);
    return to;
}

/* ---- reading ---------------------------------------------------------------------- */

static bool read_list(StringList *names, const json_t *value, const char *key, Err *err)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        if (!name)
            return err_set(err, ERR_INPUT, "'%s' is not a list of names", key);
        names_add(names, name); /* PEFT repeats "classifier" */
    }
    return true;
}

/* A list of names, or a regular expression. */
static bool read_names(StringList *names, char **regex, const json_t *config, const char *key, Err *err)
{
    const json_t *value = json_object_get(config, key);
    if (!value || json_is_null(value))
        return true;
    if (json_is_string(value) && regex) {
        *regex = xstrdup(json_string_value(value));
        return true;
    }
    if (!json_is_array(value))
        return err_set(err, ERR_INPUT, "'%s' is not a list of names", key);
    return read_list(names, value, key, err);
}

static bool read_patterns(PatternMap *map, const json_t *config, const char *key, Err *err)
{
    json_t *object = json_object_get(config, key);
    if (!object || json_is_null(object))
        return true;
    if (!json_is_object(object))
        return err_set(err, ERR_INPUT, "'%s' is not an object", key);
    const bool ranks = strcmp(key, "rank_pattern") == 0;
    map->keys = xcalloc(json_object_size(object) + 1, sizeof *map->keys);
    map->values = xcalloc(json_object_size(object) + 1, sizeof *map->values);
    const char *pattern;
    json_t *value;
    json_object_foreach(object, pattern, value)
    {
        const double x = json_number_value(value); /* 0 for what is no number */
        if (!(x > 0) || (ranks && (x != floor(x) || x > 1e6)))
            return err_set(err, ERR_INPUT, "the value of '%s' in '%s' is out of range", pattern, key);
        map->keys[map->count] = xstrdup(pattern);
        map->values[map->count++] = x;
    }
    return true;
}

/* A list of layers, or one. */
static bool read_layers(LoraConfig *lora, json_t *config, Err *err)
{
    json_t *value = json_object_get(config, "layers_to_transform");
    if (!value || json_is_null(value))
        return true;
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    lora->layers_to_transform = xcalloc(count + 1, sizeof *lora->layers_to_transform);
    for (size_t i = 0; i < count; i++) {
        const json_t *layer = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_integer(layer))
            return err_set(err, ERR_INPUT, "'layers_to_transform' is not a list of numbers");
        lora->layers_to_transform[lora->layers_count++] = json_integer_value(layer);
    }
    return true;
}

/* Settings that change what the tensors mean: none may be passed over. */
static bool check_unsupported(const json_t *config, Err *err)
{
    static const char *const keys[] = { "use_qalora",        "use_bdlora",        "layers_pattern",
                                        "layer_replication", "target_parameters", "alora_invocation_tokens",
                                        "arrow_config",      "kasa_config",       "monteclora_config",
                                        "velora_config" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(config, keys[i]);
        const bool unset = !value || json_is_null(value) || json_is_false(value) ||
                           (json_is_array(value) && json_array_size(value) == 0) ||
                           (json_is_object(value) && json_object_size(value) == 0);
        if (!unset)
            return err_set(err, ERR_INPUT, "an adapter with '%s' is not supported", keys[i]);
    }
    return true;
}

/* Of an adapter that is there it matters only what was done to the base: that is done again where the model alone
 * decides it. */
static bool read_init(LoraConfig *lora, const json_t *config, Err *err)
{
    static const struct {
        const char *name;
        InitMode mode;
    } known[] = { { "gaussian", INIT_GAUSSIAN },
                  { "orthogonal", INIT_ORTHOGONAL },
                  { "eva", INIT_TRUE },
                  { "pissa", INIT_PISSA },
                  { "olora", INIT_OLORA } };
    const char *name = json_string_value(json_object_get(config, "init_lora_weights"));
    lora->init = INIT_TRUE;
    for (size_t i = 0; name && i < LENGTH(known); i++)
        if (strcmp(name, known[i].name) == 0) {
            lora->init = known[i].mode;
            return true;
        }
    if (!name)
        return true;
    err_set(err, ERR_INPUT, "an adapter with init_lora_weights '%s' is not supported", name);
    return err_hint(err, "PEFT makes a plain LoRA of it: save_pretrained(..., "
                         "path_initial_model_for_weight_conversion=FOLDER of its start)");
}

static bool read_bias(LoraConfig *lora, const json_t *config, Err *err)
{
    const char *bias = json_get_string(config, "bias", "none", err);
    if (strcmp(bias, "none") == 0)
        lora->bias = BIAS_NONE;
    else if (strcmp(bias, "all") == 0)
        lora->bias = BIAS_ALL;
    else if (strcmp(bias, "lora_only") == 0)
        lora->bias = BIAS_LORA_ONLY;
    else
        return err_set(err, ERR_INPUT, "bias '%s' is not supported", bias);
    return err->kind == ERR_NONE;
}

static bool read_numbers(LoraConfig *lora, const json_t *config, Err *err)
{
    lora->r = json_get_int(config, "r", 8, err);
    lora->alpha = json_get_real(config, "lora_alpha", 8, err);
    lora->dropout = json_get_real(config, "lora_dropout", 0, err);
    if (err->kind != ERR_NONE)
        return false;
    if (lora->r < 1 || lora->r > 1000000 || !(lora->alpha > 0) || !(lora->dropout >= 0 && lora->dropout < 1))
        return err_set(err, ERR_INPUT, "r, lora_alpha or lora_dropout is out of range");
    return true;
}

static bool read_tokens(LoraConfig *lora, const json_t *config, Err *err)
{
    const json_t *value = json_object_get(config, "trainable_token_indices");
    const bool any = value && !json_is_null(value);
    if (any && !json_is_array(value) && !json_is_object(value))
        return err_set(err, ERR_INPUT, "'trainable_token_indices' is not a list");
    lora->tokens = any ? json_deep_copy(value) : json_object(); /* as config_load leaves it */
    return true;
}

static bool read_config(LoraConfig *lora, json_t *config, Err *err)
{
    if (!json_is_object(config))
        return err_set(err, ERR_INPUT, "not a JSON object");
    if (!read_numbers(lora, config, err) || !check_unsupported(config, err) || !methods_read(lora, config, err) ||
        !read_tokens(lora, config, err) || !read_init(lora, config, err) || !read_bias(lora, config, err) ||
        !read_names(&lora->target_modules, &lora->target_regex, config, "target_modules", err) ||
        !read_names(&lora->exclude_modules, &lora->exclude_regex, config, "exclude_modules", err) ||
        !read_names(&lora->modules_to_save, NULL, config, "modules_to_save", err) || !read_layers(lora, config, err) ||
        (!methods_has_triplets(lora) && !read_patterns(&lora->rank_pattern, config, "rank_pattern", err)) ||
        !read_patterns(&lora->alpha_pattern, config, "alpha_pattern", err))
        return false;
    if (lora->target_regex && strcasecmp(lora->target_regex, "all-linear") == 0) {
        free(lora->target_regex);
        lora->target_regex = NULL;
        lora->all_linear = true;
    }
    return true;
}

json_t *adapter_config_open(const char *folder, Err *err)
{
    char *path = path_join(folder, "adapter_config.json");
    json_t *config = NULL;
    if (file_is_folder(folder) && !file_exists(path)) {
        err_set(err, ERR_INPUT, "not an adapter of PEFT: it has no adapter_config.json");
        err_at(err, "%s", folder);
        err_hint(err, "name a folder that PEFT's save_pretrained or lora train wrote");
    } else {
        config = json_file(path, err);
    }
    free(path);
    return config;
}

bool lora_config_read(LoraConfig *lora, const char *folder, Err *err)
{
    Err own = { 0 };
    err = err ? err : &own; /* the JSON getters report through it */
    *lora = (LoraConfig){ .published = true };
    char *path = path_join(folder, "adapter_config.json");
    json_t *config = adapter_config_open(folder, err);
    const bool ok = config && (read_config(lora, config, err) || err_at(err, "%s", path));
    if (!ok)
        lora_config_release(lora);
    json_decref(config);
    free(path);
    return ok;
}

static void release_patterns(PatternMap *map)
{
    for (int i = 0; i < map->count; i++)
        free(map->keys[i]);
    free(map->keys);
    free(map->values);
}

void lora_config_release(LoraConfig *lora)
{
    names_release(&lora->target_modules);
    names_release(&lora->exclude_modules);
    names_release(&lora->modules_to_save);
    release_patterns(&lora->rank_pattern);
    release_patterns(&lora->alpha_pattern);
    free(lora->target_regex);
    free(lora->exclude_regex);
    free(lora->layers_to_transform);
    free(lora->init_adapter);
    json_decref(lora->rank_masks);
    json_decref(lora->tokens);
    *lora = (LoraConfig){ 0 };
}
