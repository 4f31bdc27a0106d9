#include "common/model/family.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_LABELS = 1 << 20 };

static const FamilyReader *const readers[] = {
    &albert_reader,      &bart_reader,       &bert_reader,        &bloom_reader,   &cohere_reader,  &deberta_reader,
    &deberta_v2_reader,  &distilbert_reader, &electra_reader,     &falcon_reader,  &gemma_reader,   &gemma2_reader,
    &gemma3_text_reader, &gpt2_reader,       &gpt_neox_reader,    &gptj_reader,    &granite_reader, &llama_reader,
    &mistral_reader,     &modernbert_reader, &mpnet_reader,       &olmo2_reader,   &opt_reader,     &phi_reader,
    &phi3_reader,        &qwen2_reader,      &qwen3_reader,       &roberta_reader, &smollm3_reader, &stablelm_reader,
    &t5_reader,          &vit_reader,        &xlm_roberta_reader,
};
enum { READERS = sizeof readers / sizeof *readers };

/* ---- config.json and overrides ---------------------------------------------- */

bool arch_class_task(const char *class_name, TaskType *task)
{
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        for (TaskType t = TASK_SEQ_CLS; t < TASK_COUNT; t++) {
            const char *name = readers[i]->family->task_class[t];
            if (name && strcmp(name, class_name) == 0) {
                *task = t;
                return true;
            }
        }
    return false;
}

const Family *arch_family_at(int i)
{
    return i < READERS ? readers[i]->family : NULL;
}

const Family *arch_family(const char *model_type)
{
    for (int i = 0; i < READERS; i++)
        if (strcmp(model_type, readers[i]->family->model_type) == 0)
            return readers[i]->family;
    return NULL;
}

static const FamilyReader *find_reader(const json_t *config, Err *err)
{
    const char *type = json_get_string(config, "model_type", NULL, err);
    if (err->kind != ERR_NONE)
        return NULL;
    Text names = { 0 };
    for (int i = 0; i < READERS; i++) {
        if (type && strcmp(type, readers[i]->family->model_type) == 0) {
            text_release(&names);
            return readers[i];
        }
        text_addf(&names, "%s%s", i > 0 ? ", " : "", readers[i]->family->model_type);
    }
    if (type)
        err_set(err, ERR_INPUT, "model_type '%s' is not supported", type);
    else
        err_set(err, ERR_INPUT, "no model_type");
    err_hint(err, "supported are: %s", names.data);
    text_release(&names);
    return NULL;
}

/* The nearest key that an override may name, or NULL. */
static const char *near_key(const FamilyReader *reader, json_t *config, const char *word)
{
    size_t count = 0;
    const char **names = xcalloc(json_object_size(config) + 64, sizeof *names);
    for (const char *const *key = reader->keys; *key && count < 64; key++)
        names[count++] = *key;
    const char *key;
    json_t *value;
    json_object_foreach(config, key, value) names[count++] = key;
    const char *near = text_nearest(word, names, count);
    free(names);
    return near;
}

static bool is_family_key(const FamilyReader *reader, const char *word)
{
    for (const char *const *key = reader->keys; *key; key++)
        if (strcmp(*key, word) == 0)
            return true;
    return false;
}

/* What the run file says elsewhere, or what may not change at all. */
static bool is_fixed(const char *key)
{
    static const char *const fixed[] = { "model_type", "id2label", "label2id", "num_labels", "problem_type" };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (strcmp(key, fixed[i]) == 0)
            return true;
    return false;
}

/* The number of layers, by the names that the families give it. */
static bool is_layers(const char *key)
{
    return strcmp(key, "num_hidden_layers") == 0 || strcmp(key, "n_layer") == 0 || strcmp(key, "n_layers") == 0 ||
           strcmp(key, "num_layers") == 0 || strcmp(key, "num_decoder_layers") == 0;
}

static bool override(ModelArch *arch, const FamilyReader *reader, const json_t *overrides, Err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)overrides, key, value)
    {
        if (is_fixed(key)) {
            err_set(err, ERR_INPUT, "'%s' cannot be overridden", key);
            err_hint(err, "labels and problem_type are keys of the run file");
            return err_at(err, "model_config");
        }
        if (!is_family_key(reader, key) && !json_object_get(arch->config, key)) {
            const char *near = near_key(reader, arch->config, key);
            err_set(err, ERR_INPUT, "'%s' is no key of the model's config.json", key);
            if (near)
                err_hint(err, "did you mean '%s'?", near);
            return err_at(err, "model_config");
        }
        json_object_set(arch->config, key, value);
        arch->layers_chosen = arch->layers_chosen || is_layers(key);
    }
    return true;
}

/* ---- labels and problem ------------------------------------------------------ */

static void name_labels(ModelArch *arch, int64_t count)
{
    arch->head.labels = count;
    arch->head.label_names = xcalloc((size_t)count, sizeof *arch->head.label_names);
    for (int64_t i = 0; i < count; i++)
        arch->head.label_names[i] = xprintf("LABEL_%lld", (long long)i);
}

/* config.json's id2label, {"0": "negative", ...}: every number below its count once. */
static bool read_id2label(ModelArch *arch, const json_t *map, Err *err)
{
    const int64_t count = (int64_t)json_object_size(map);
    if (!json_is_object(map) || count < 1 || count > MOST_LABELS)
        return err_set(err, ERR_INPUT, "'id2label' is not an object of names");
    name_labels(arch, count);
    for (int64_t i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "%lld", (long long)i);
        const json_t *name = json_object_get(map, key);
        if (!json_is_string(name))
            return err_set(err, ERR_INPUT, "'id2label' has %lld entries but no name for \"%s\"", (long long)count, key);
        if (strcmp(arch->head.label_names[i], json_string_value(name)) != 0)
            arch->head.labels_known = true;
        free(arch->head.label_names[i]);
        arch->head.label_names[i] = xstrdup(json_string_value(name));
    }
    return true;
}

static void drop_tasks(ModelArch *arch)
{
    for (int t = 0; t < arch->head.task_count; t++)
        free(arch->head.tasks[t].name);
    free(arch->head.tasks);
    arch->head.tasks = NULL;
    arch->head.task_count = 0;
}

void arch_part_labels(ModelArch *arch, const DataTasks *tasks)
{
    drop_tasks(arch);
    if (tasks->count == 0)
        return;
    arch->head.tasks = xcalloc((size_t)tasks->count, sizeof *arch->head.tasks);
    for (int t = 0; t < tasks->count; t++) {
        const DataTask *task = &tasks->items[t];
        arch->head.tasks[t] = (TaskLabels){ xstrdup(task->name), task->first, task->first + task->labels };
    }
    arch->head.task_count = tasks->count;
    REQUIRE(arch->head.tasks[tasks->count - 1].end == arch->head.labels);
}

static void drop_labels(ModelArch *arch)
{
    for (int64_t i = 0; arch->head.label_names && i < arch->head.labels; i++)
        free(arch->head.label_names[i]);
    free(arch->head.label_names);
    arch->head.label_names = NULL;
    arch->head.labels = 0;
    arch->head.labels_known = false;
}

/* The run's names; else its count; else config.json's; else, as Transformers, two
 * (one for a regression, which Transformers has to be told). A count that
 * config.json agrees with keeps the names from there. */
static bool read_labels(ModelArch *arch, const StringList *names, int64_t count, Err *err)
{
    if (arch->head.task->speaks || arch->head.task->embeds) { /* the words are the labels, or there are none */
        arch->head.labels = arch->head.task->speaks ? arch->V : arch->C;
        return true;
    }
    if (arch->head.task->spans) { /* where an answer begins, where it ends */
        arch->head.labels = 2;
        return true;
    }
    const json_t *map = json_object_get(arch->config, "id2label");
    if (names->count > 0) {
        name_labels(arch, names->count);
        for (int i = 0; i < names->count; i++) {
            free(arch->head.label_names[i]);
            arch->head.label_names[i] = xstrdup(names->items[i]);
        }
        arch->head.labels_known = true;
        return true;
    }
    if (count > MOST_LABELS)
        return err_set(err, ERR_INPUT, "%lld labels are too many", (long long)count);
    if (count == 0 && arch->head.problem == PROBLEM_REGRESSION)
        count = 1;
    if (map && !json_is_null(map)) {
        if (!read_id2label(arch, map, err))
            return false;
        if (count == 0 || count == arch->head.labels)
            return true;
        drop_labels(arch);
    }
    name_labels(arch, count > 0 ? count : 2);
    return true;
}

/* The run's problem_type, else config.json's; AUTO when neither says. */
static bool read_problem(ModelArch *arch, ProblemType problem, Err *err)
{
    static const char *const names[] = { [PROBLEM_AUTO] = "",
                                         [PROBLEM_SINGLE_LABEL] = "single_label_classification",
                                         [PROBLEM_REGRESSION] = "regression",
                                         [PROBLEM_MULTI_LABEL] = "multi_label_classification" };
    arch->head.problem = problem;
    if (problem != PROBLEM_AUTO)
        return true;
    const char *name = json_get_string(arch->config, "problem_type", "", err);
    if (err->kind != ERR_NONE)
        return false;
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(name, names[i]) == 0) {
            arch->head.problem = (ProblemType)i;
            return true;
        }
    }
    return err_set(err, ERR_INPUT, "problem_type '%s' is not known", name);
}

/* Transformers, modeling_bert: one label is a regression unless told otherwise. Heads
 * that read tokens know one loss. */
static bool resolve_problem(ModelArch *arch, Err *err)
{
    if (arch->head.task->embeds) {
        arch->head.problem = PROBLEM_REGRESSION; /* a row's goal is a number */
        return true;
    }
    if (arch->head.task->of_tokens)
        arch->head.problem = PROBLEM_SINGLE_LABEL;
    if (arch->head.problem == PROBLEM_AUTO)
        arch->head.problem = arch->head.labels == 1 ? PROBLEM_REGRESSION : PROBLEM_SINGLE_LABEL;
    if (arch->head.problem == PROBLEM_SINGLE_LABEL && arch->head.labels == 1) {
        err_set(err, ERR_INPUT, "problem_type 'single_label_classification' with only one label");
        return err_hint(err, "two labels or more, or problem_type: regression");
    }
    if (arch->head.problem == PROBLEM_REGRESSION && arch->head.labels != 1) {
        err_set(err, ERR_INPUT, "a regression with %lld labels is not supported", (long long)arch->head.labels);
        return err_hint(err, "labels: 1");
    }
    return true;
}

/* ---- life -------------------------------------------------------------------- */

/* The family's tasks, for a hint. */
static bool no_task(const Family *family, TaskType task, Err *err)
{
    Text tasks = { 0 };
    for (int t = 0; t < TASK_COUNT; t++)
        if (family->task_class[t])
            text_addf(&tasks, "%s%s", tasks.size > 0 ? ", " : "", config_task_name((TaskType)t));
    err_set(err, ERR_INPUT, "task_type '%s' is not supported for model_type '%s'", config_task_name(task),
            family->model_type);
    err_hint(err, "task_type of this model: %s", tasks.data);
    text_release(&tasks);
    return false;
}

static bool open_family(ModelArch *arch, const FamilyReader *reader, Err *err)
{
    arch->family = reader->family;
    const TaskType task = arch->head.task->type;
    if (!reader->family->task_class[task])
        return no_task(reader->family, task, err);
    if (!reader->read(arch, err))
        return false;
    if (!arch->head.task->spans)
        return true;
    arch->head.rows = READ_ALL;
    arch->head.dropout = reader->family->drops_spans ? arch->head.dropout : 0;
    return true;
}

/* Whose weights are not the numbers that they stand for. */
static bool refuse_quantized(const ModelArch *arch, Err *err)
{
    const json_t *how = json_object_get(arch->config, "quantization_config");
    if (!how || json_is_null(how))
        return true;
    Err none = { 0 };
    const char *method = json_get_string(how, "quant_method", NULL, &none);
    err_set(err, ERR_INPUT, "the model is quantized (quantization_config%s%s), which is not supported",
            method ? ": " : "", method ? method : "");
    return err_hint(err, "take the model that it was made from, with weights in F32, F16 or BF16");
}

/* Modules are listed with the family's prefix; the bare model has none, and a task's class may have another. */
static void take_prefix(ModelArch *arch)
{
    const Family *family = arch->family;
    const size_t n = strlen(family->prefix);
    arch->prefix = arch->head.task->embeds                         ? ""
                   : arch->head.task->spans && family->span_prefix ? family->span_prefix
                                                                   : family->prefix;
    for (int i = 0; arch->prefix != family->prefix && i < arch->module_count; i++) {
        char *path = arch->modules[i].path;
        if (strncmp(path, family->prefix, n) != 0)
            continue;
        arch->modules[i].path = xprintf("%s%s", arch->prefix, path + n);
        free(path);
    }
}

void arch_embed(ModelArch *arch, const EmbedHead *embed)
{
    static const HeadRows rows[] = {
        [POOLING_AUTO] = READ_MEAN, [POOLING_MEAN] = READ_MEAN, [POOLING_CLS] = READ_FIRST, [POOLING_LAST] = READ_END
    };
    arch->head.embed = *embed;
    arch->head.rows = rows[embed->how.pooling];
}

ModelArch *arch_open(const char *folder, const json_t *overrides, TaskType task, const StringList *labels,
                     int64_t label_count, ProblemType problem, Err *err)
{
    Err own = { 0 };
    err = err ? err : &own; /* the JSON getters report through it */
    char *path = path_join(folder, "config.json");
    ModelArch *arch = xcalloc(1, sizeof *arch);
    arch->folder = xstrdup(folder);
    arch->head.task = task_get(task);
    arch->embed_scale = arch->residual_scale = arch->logit_scale = 1;
    arch->config = json_file(path, err);
    bool ok = arch->config != NULL;
    if (ok && !json_is_object(arch->config))
        ok = err_set(err, ERR_INPUT, "not a JSON object") || err_at(err, "%s", path);
    const FamilyReader *reader = ok ? find_reader(arch->config, err) : NULL;
    if (ok && !(reader && override(arch, reader, overrides, err) && refuse_quantized(arch, err) &&
                open_family(arch, reader, err) && read_problem(arch, problem, err) &&
                read_labels(arch, labels, label_count, err) && resolve_problem(arch, err)))
        ok = err_at(err, "%s", path);
    free(path);
    if (!ok) {
        arch_close(arch);
        return NULL;
    }
    const bool named = !arch->head.task->speaks && !arch->head.task->spans && !arch->head.task->embeds;
    arch->head.labels_open = named && !arch->head.labels_known && labels->count == 0 && label_count == 0 &&
                             arch->head.problem != PROBLEM_REGRESSION;
    reader->list(arch);
    take_prefix(arch);
    if (arch->head.task->embeds)
        arch_embed(arch, &(EmbedHead){ .how = { .pooling = POOLING_MEAN, .normalize = NORMALIZE_NO }, .columns = 1 });
    return arch;
}

void arch_close(ModelArch *arch)
{
    if (!arch)
        return;
    drop_labels(arch);
    drop_tasks(arch);
    for (int i = 0; i < arch->module_count; i++)
        free(arch->modules[i].path);
    free(arch->modules);
    free(arch->windows);
    free(arch->scales);
    free(arch->rope_sets);
    free(arch->physical);
    json_decref(arch->config);
    free(arch->folder);
    free(arch);
}

/* ---- queries ------------------------------------------------------------------ */

char *arch_old_path(const ModelArch *arch, const char *path)
{
    char *old = NULL;
    for (const Rename *r = arch->family->renames; r && r->now; r++) {
        const char *name = old ? old : path, *at = strstr(name, r->now);
        if (!at)
            continue;
        char *next = xprintf("%.*s%s%s", (int)(at - name), name, r->before, at + strlen(r->now));
        free(old);
        old = next;
    }
    return old;
}

int arch_module_index(const ModelArch *arch, int layer, Role role)
{
    for (int i = 0; i < arch->module_count; i++)
        if (arch->modules[i].layer == layer && arch->modules[i].role == role)
            return i;
    return -1;
}

const Module *arch_module(const ModelArch *arch, int layer, Role role)
{
    const int i = arch_module_index(arch, layer, role);
    return i < 0 ? NULL : &arch->modules[i];
}

int64_t arch_table_width(const ModelArch *arch)
{
    return arch->table_width > 0 ? arch->table_width : arch->C;
}

int arch_physical(const ModelArch *arch, int64_t layer)
{
    return arch->physical && layer >= 0 ? arch->physical[layer] : (int)layer;
}

int64_t arch_parameters(const ModelArch *arch)
{
    int64_t sum = 0;
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        if (m->tied)
            continue;
        sum += (m->kind == MODULE_NORM ? m->out : m->out * m->in) + (m->bias ? m->out : 0);
    }
    return sum;
}

uint64_t arch_digest(const ModelArch *arch)
{
    static const char *const words[] = { "_name_or_path", "architectures", "transformers_version",
                                         "torch_dtype",   "dtype",         "use_cache",
                                         "id2label",      "label2id" };
    json_t *numbers = json_copy(arch->config);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        json_object_del(numbers, words[i]);
    if (arch->head.task->embeds)
        json_object_set_new(numbers, "1_Pooling", json_integer(arch->head.embed.how.pooling));
    char *text = json_dumps(numbers, JSON_COMPACT | JSON_SORT_KEYS);
    REQUIRE(text);
    const uint64_t digest = digest_fast(text, strlen(text));
    free(text);
    json_decref(numbers);
    return digest;
}
