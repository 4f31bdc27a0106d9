/* DESIGN. Two words for one thing are both written where the two generations of Transformers differ: dtype and
 * torch_dtype; rope_parameters, and rope_theta with rope_scaling. With rope_parameters alone Transformers 4 takes
 * theta 10000 and no scaling, without a word. */
#include "common/model/saved_config.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* What a run changed by model_config: of rates of dropout the base's own stay, which only its training needed. */
static json_t *numbers_of(const ModelArch *arch, Err *err)
{
    char *path = path_join(arch->folder, "config.json");
    json_t *config = json_deep_copy(arch->config), *file = json_file(path, err);
    free(path);
    if (!file) {
        json_decref(config);
        return NULL;
    }
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(config, next, key, value)
    {
        if (!strstr(key, "drop"))
            continue;
        json_t *own = json_object_get(file, key);
        if (own)
            json_object_set(config, key, own);
        else
            json_object_del(config, key);
    }
    json_decref(file);
    return config;
}

static void set_labels(json_t *config, const HeadArch *head)
{
    static const char *const problems[] = { [PROBLEM_SINGLE_LABEL] = "single_label_classification",
                                            [PROBLEM_REGRESSION] = "regression",
                                            [PROBLEM_MULTI_LABEL] = "multi_label_classification" };
    json_object_del(config, "num_labels");
    json_object_del(config, "problem_type");
    if (!head->label_names) {
        json_object_del(config, "id2label");
        json_object_del(config, "label2id");
        return;
    }
    json_t *names = json_object(), *numbers = json_object();
    for (int64_t i = 0; i < head->labels; i++) {
        char key[32];
        snprintf(key, sizeof key, "%lld", (long long)i);
        json_object_set_new(names, key, json_string(head->label_names[i]));
        json_object_set_new(numbers, head->label_names[i], json_integer(i));
    }
    json_object_set_new(config, "id2label", names);
    json_object_set_new(config, "label2id", numbers);
    if (!head->task->of_tokens)
        json_object_set_new(config, "problem_type", json_string(problems[head->problem]));
}

static const char *rope_type(const json_t *rope)
{
    const char *name = json_string_value(json_object_get(rope, "rope_type"));
    const char *old = json_string_value(json_object_get(rope, "type"));
    return name ? name : old ? old : "default";
}

/* An object for each kind of layers, with nothing beside them; the names of before are there (rope_read_kinds), but for
 * what else Gemma 3 says of layers that see all. */
static void set_rope_of_kinds(json_t *config, json_t *kinds)
{
    const char *name;
    json_t *own;
    json_object_foreach(kinds, name, own)
    {
        json_object_set_new(own, "rope_type", json_string(rope_type(own)));
        json_object_del(own, "type");
    }
    own = json_object_get(kinds, "full_attention");
    if (!json_object_get(config, "rope_local_base_freq") || strcmp(rope_type(own), "default") == 0)
        return;
    json_t *before = json_deep_copy(own);
    json_object_del(before, "rope_theta");
    json_object_set_new(config, "rope_scaling", before);
}

/* Both ways to say it, of the one that is there (common/model/rope reads both). */
static void set_rope(json_t *config)
{
    json_t *kinds = json_object_get(config, "rope_parameters");
    if (json_is_object(json_object_get(kinds, "full_attention"))) {
        set_rope_of_kinds(config, kinds);
        return;
    }
    const json_t *scaling = json_object_get(config, "rope_scaling"),
                 *parameters = json_object_get(config, "rope_parameters");
    const json_t *from = json_object_size(scaling) > 0 ? scaling : parameters;
    json_t *now = json_is_object(from) ? json_deep_copy(from) : json_object();
    if (!json_object_get(now, "rope_theta")) {
        json_t *theta = json_object_get(config, "rope_theta");
        json_object_set_new(now, "rope_theta", theta ? json_incref(theta) : json_real(10000.0));
    }
    json_object_set_new(now, "rope_type", json_string(rope_type(now)));
    json_object_del(now, "type");
    json_t *before = json_deep_copy(now);
    json_object_set(config, "rope_theta", json_object_get(now, "rope_theta"));
    json_object_del(before, "rope_theta");
    const bool plain = strcmp(rope_type(now), "default") == 0;
    json_object_set_new(config, "rope_scaling", plain ? json_null() : json_incref(before));
    json_object_set_new(config, "rope_parameters", now);
    json_decref(before);
}

json_t *saved_config(const SavedModel *saved, Err *err)
{
    static const char *const dtypes[] = { [DTYPE_F32] = "float32", [DTYPE_F16] = "float16", [DTYPE_BF16] = "bfloat16" };
    const ModelArch *arch = saved->arch;
    json_t *config = numbers_of(arch, err);
    if (!config)
        return NULL;
    json_object_set_new(config, "architectures", json_pack("[s]", arch->family->task_class[arch->head.task->type]));
    json_object_set_new(config, "dtype", json_string(dtypes[saved->dtype]));
    json_object_set_new(config, "torch_dtype", json_string(dtypes[saved->dtype]));
    if (saved->untied)
        json_object_set_new(config, "tie_word_embeddings", json_false());
    set_labels(config, &arch->head);
    if (arch->rope)
        set_rope(config);
    return config;
}
