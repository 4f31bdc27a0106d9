/* What a written model folder is called and says: names of tensors, and config.json for both generations of
 * Transformers. */
#include "common/model/saved.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/saved_config.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool has(const SavedModel *saved, const char *name)
{
    for (int i = 0; i < saved->count; i++)
        if (strcmp(saved->tensors[i].name, name) == 0)
            return true;
    return false;
}

/* The base of a golden case under names that `rename` gives them; its config with `keys` over it. */
static char *renamed(const char *name, const char *(*rename)(const char *, char *room, size_t size), const char *keys)
{
    char *folder = test_folder_new(), *from = xprintf("tests/golden/%s/model", name);
    char *path = path_join(folder, "model.safetensors"), *config_path = path_join(from, "config.json");
    char *config_out = path_join(folder, "config.json");
    Err err = { 0 };
    SafeTensors *files = safetensors_open_model(from, &err);
    must(files != NULL, &err);
    const int64_t count = safetensors_count(files);
    TensorOut *out = xcalloc((size_t)count, sizeof *out);
    char(*rooms)[128] = xcalloc((size_t)count, sizeof *rooms);
    float **data = xcalloc((size_t)count, sizeof *data);
    for (int64_t i = 0; i < count; i++) {
        const TensorView *t = safetensors_at(files, i);
        out[i] = (TensorOut){ .name = rename(t->name, rooms[i], sizeof rooms[i]), .dims = t->dims };
        memcpy(out[i].dim, t->dim, sizeof t->dim);
        out[i].data = data[i] = xcalloc((size_t)t->count + 1, sizeof(float));
    }
    must(safetensors_write(path, out, count, &err), &err);
    json_t *config = json_file(config_path, &err), *more = json_loads(keys, 0, NULL);
    must(config != NULL, &err);
    json_object_update(config, more);
    must(json_write(config_out, config, &err), &err);
    for (int64_t i = 0; i < count; i++)
        free(data[i]);
    json_decref(more);
    json_decref(config);
    free(data);
    free(rooms);
    free(out);
    safetensors_close(files);
    free(config_out);
    free(config_path);
    free(path);
    free(from);
    return folder;
}

static const char *as_it_is(const char *name, char *room, size_t size)
{
    snprintf(room, size, "%s", name);
    return room;
}

/* As a body alone is saved; its norms as TensorFlow called them. */
static const char *of_old(const char *name, char *room, size_t size)
{
    name += strncmp(name, "bert.", 5) == 0 ? 5 : 0;
    const char *norm = strstr(name, "LayerNorm.");
    if (norm)
        snprintf(room, size, "%.*s%s", (int)(norm + 10 - name), name,
                 strcmp(norm + 10, "weight") == 0 ? "gamma" : "beta");
    else
        snprintf(room, size, "%s", name);
    return room;
}

static void names_are_the_bases_with_the_familys_prefix(void **state)
{
    (void)state;
    char *folder = renamed("bert-seqcls", of_old, "{}");
    Err err = { 0 };
    ModelArch *arch = open_arch(folder, TASK_SEQ_CLS, 3);
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    SavedModel saved;
    saved_open(&saved, arch, files, DTYPE_OTHER, false);
    assert_true(has(&saved, "bert.embeddings.LayerNorm.gamma"));
    assert_true(has(&saved, "bert.encoder.layer.1.attention.self.query.weight"));
    assert_true(has(&saved, "classifier.bias"));
    for (int i = 0; i < saved.count; i++)
        if (strncmp(saved.tensors[i].name, "cls.", 4) == 0)
            fail_msg("%s is no tensor of this task's model", saved.tensors[i].name);
    assert_int_equal(saved.count, 41);
    saved_release(&saved);
    safetensors_close(files);
    arch_close(arch);
    test_folder_drop(folder);
}

/* saved_config of a golden base with `keys` in its config.json and `over` of a run's model_config. json_decref it. */
static json_t *config_of(const char *name, TaskType task, const char *keys, const char *over, bool untied)
{
    char *folder = renamed(name, as_it_is, keys);
    Err err = { 0 };
    const StringList none = { 0 };
    json_t *model_config = over ? json_loads(over, 0, NULL) : NULL;
    ModelArch *arch = arch_open(folder, model_config, task, &none, task == TASK_CAUSAL_LM ? 0 : 3, PROBLEM_AUTO, &err);
    must(arch != NULL, &err);
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    SavedModel saved;
    saved_open(&saved, arch, files, DTYPE_OTHER, untied);
    json_t *config = saved_config(&saved, &err);
    must(config != NULL, &err);
    saved_release(&saved);
    safetensors_close(files);
    arch_close(arch);
    json_decref(model_config);
    test_folder_drop(folder);
    return config;
}

static void expect_keys(json_t *config, const char *keys)
{
    json_t *wanted = json_loads(keys, JSON_DECODE_ANY, NULL);
    assert_non_null(wanted);
    expect_config(keys, config, wanted);
    json_decref(wanted);
    json_decref(config);
}

static void rope_is_said_in_both_ways(void **state)
{
    (void)state;
    static const char both[] =
        "{\"rope_parameters\": {\"rope_theta\": 5e5, \"rope_type\": \"linear\", \"factor\": 2.0}, "
        "\"rope_theta\": 5e5, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.0}}";
    expect_keys(config_of("llama-clm", TASK_CAUSAL_LM,
                          "{\"rope_parameters\": {\"rope_theta\": 5e5, \"rope_type\": \"linear\", \"factor\": 2.0}}",
                          NULL, false),
                both);
    expect_keys(config_of("llama-clm", TASK_CAUSAL_LM,
                          "{\"rope_parameters\": null, \"rope_theta\": 5e5, \"rope_scaling\": {\"type\": \"linear\", "
                          "\"factor\": 2.0}}",
                          NULL, false),
                both);
    expect_keys(config_of("llama-clm", TASK_CAUSAL_LM, "{\"rope_parameters\": null}", NULL, false),
                "{\"rope_parameters\": {\"rope_theta\": 10000.0, \"rope_type\": \"default\"}, \"rope_theta\": 10000.0, "
                "\"rope_scaling\": null}");
}

/* Transformers refuses numbers beside the objects of the kinds. */
static void rope_of_two_kinds_of_layers_is_an_object_each(void **state)
{
    (void)state;
    expect_keys(config_of("modernbert-seqcls", TASK_SEQ_CLS, "{}", NULL, false),
                "{\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 160000.0, \"rope_type\": \"default\"}, "
                "\"sliding_attention\": {\"rope_theta\": 10000.0, \"rope_type\": \"default\"}}, "
                "\"global_rope_theta\": 160000.0, \"local_rope_theta\": 10000.0}");
    static const char both[] =
        "{\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 5e5, \"rope_type\": \"linear\", \"factor\": 2.0}, "
        "\"sliding_attention\": {\"rope_theta\": 500.0, \"rope_type\": \"default\"}}, \"rope_theta\": 5e5, "
        "\"rope_local_base_freq\": 500.0, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.0}}";
    expect_keys(config_of("gemma3-clm", TASK_CAUSAL_LM,
                          "{\"rope_theta\": 5e5, \"rope_local_base_freq\": 500.0, \"rope_scaling\": {\"type\": "
                          "\"linear\", \"factor\": 2.0}}",
                          NULL, false),
                both);
    expect_keys(config_of("gemma3-clm", TASK_CAUSAL_LM,
                          "{\"rope_theta\": null, \"rope_local_base_freq\": null, \"rope_parameters\": "
                          "{\"full_attention\": {\"rope_theta\": 5e5, \"rope_type\": \"linear\", \"factor\": 2.0}, "
                          "\"sliding_attention\": {\"rope_theta\": 500.0, \"rope_type\": \"default\"}}}",
                          NULL, false),
                both);
}

static void a_runs_model_config_stays_but_for_dropout(void **state)
{
    (void)state;
    expect_keys(config_of("bert-seqcls", TASK_SEQ_CLS, "{\"hidden_dropout_prob\": 0.1}",
                          "{\"hidden_dropout_prob\": 0.0, \"layer_norm_eps\": 1e-5}", false),
                "{\"hidden_dropout_prob\": 0.1, \"layer_norm_eps\": 1e-5, \"dtype\": \"float32\", \"torch_dtype\": "
                "\"float32\", \"architectures\": [\"BertForSequenceClassification\"], \"problem_type\": "
                "\"single_label_classification\", \"id2label\": {\"0\": \"LABEL_0\", \"1\": \"LABEL_1\", \"2\": "
                "\"LABEL_2\"}, \"label2id\": {\"LABEL_0\": 0, \"LABEL_1\": 1, \"LABEL_2\": 2}}");
}

static void words_that_part_are_no_longer_tied(void **state)
{
    (void)state;
    expect_keys(config_of("gpt2-clm", TASK_CAUSAL_LM, "{}", NULL, true), "{\"tie_word_embeddings\": false}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_the_bases_with_the_familys_prefix),
        cmocka_unit_test(rope_is_said_in_both_ways),
        cmocka_unit_test(rope_of_two_kinds_of_layers_is_an_object_each),
        cmocka_unit_test(a_runs_model_config_stays_but_for_dropout),
        cmocka_unit_test(words_that_part_are_no_longer_tied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
