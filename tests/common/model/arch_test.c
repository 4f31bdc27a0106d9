/* config.json in many shapes, the list of modules, and the hub's cache. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/arch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char SMALL[] = "{\"model_type\": \"bert\", \"hidden_size\": 8, \"num_hidden_layers\": 2,"
                            " \"num_attention_heads\": 2, \"intermediate_size\": 16,"
                            " \"vocab_size\": 20, \"max_position_embeddings\": 10";

typedef struct Fixture {
    char folder[64];
} Fixture;

static int make_folder(void **state)
{
    Fixture *f = xcalloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/arch_test.XXXXXX");
    *state = f;
    return mkdtemp(f->folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    Fixture *f = *state;
    Err err = { 0 };
    const bool ok = folder_remove(f->folder, &err);
    free(f);
    return ok ? 0 : -1;
}

static void put(const char *folder, const char *name, const char *text)
{
    Err err = { 0 };
    char *path = path_join(folder, name), *parent = path_folder(path);
    assert_true(folder_make(parent, &err));
    assert_true(file_write(path, text, strlen(text), &err));
    free(parent);
    free(path);
}

typedef struct Ask {
    const char *more; /* behind SMALL: ", \"key\": value"; NULL: none */
    const char *whole; /* instead of SMALL */
    const char *overrides; /* JSON */
    TaskType task;
    StringList labels;
    int64_t label_count;
    ProblemType problem;
} Ask;

static ModelArch *try_open(const Fixture *f, const Ask *ask, Err *err)
{
    char *text = ask->whole ? xstrdup(ask->whole) : xprintf("%s%s}", SMALL, ask->more ? ask->more : "");
    put(f->folder, "config.json", text);
    json_t *overrides = ask->overrides ? json_bytes(ask->overrides, strlen(ask->overrides), "test", err) : NULL;
    ModelArch *arch = arch_open(f->folder, overrides, ask->task, &ask->labels, ask->label_count, ask->problem, err);
    json_decref(overrides);
    free(text);
    return arch;
}

static ModelArch *open_good(void **state, Ask ask)
{
    Err err = { 0 };
    ModelArch *arch = try_open(*state, &ask, &err);
    if (!arch)
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    return arch;
}

static void expect_refused(void **state, Ask ask, const char *what, const char *hint)
{
    Err err = { 0 };
    ModelArch *arch = try_open(*state, &ask, &err);
    if (arch) {
        arch_close(arch);
        fail_msg("accepted, '%s' expected", what);
    }
    if (!strstr(err.what, what) || !strstr(err.hint, hint) || !strstr(err.where, "config.json"))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    assert_int_equal(err_exit_code(&err), 2);
}

/* ---- sizes and choices ------------------------------------------------------ */

static void sizes_come_from_config_json(void **state)
{
    ModelArch *arch = open_good(state, (Ask){ .more = ", \"hidden_act\": \"gelu_new\","
                                                      " \"layer_norm_eps\": 1e-5" });
    assert_int_equal(arch->C, 8);
    assert_int_equal(arch->layers, 2);
    assert_int_equal(arch->H, 2);
    assert_int_equal(arch->D, 4);
    assert_int_equal(arch->F, 16);
    assert_int_equal(arch->V, 20);
    assert_int_equal(arch->positions, 10);
    assert_int_equal(arch->act, ACT_GELU_TANH);
    assert_true(arch->norm_eps == 1e-5);
    assert_string_equal(arch->family->model_type, "bert");
    arch_close(arch);
}

static void missing_keys_have_transformers_defaults(void **state)
{
    ModelArch *arch = open_good(state, (Ask){ .whole = "{\"model_type\": \"bert\"}" });
    assert_int_equal(arch->C, 768);
    assert_int_equal(arch->layers, 12);
    assert_int_equal(arch->H, 12);
    assert_int_equal(arch->F, 3072);
    assert_int_equal(arch->V, 30522);
    assert_int_equal(arch->positions, 512);
    assert_int_equal(arch->types, 2);
    assert_int_equal(arch->act, ACT_GELU);
    assert_true(arch->norm_eps == 1e-12);
    assert_true(arch->hidden_dropout == 0.1 && arch->attention_dropout == 0.1);
    assert_true(arch->head.dropout == 0.1);
    assert_true(arch->initializer_range == 0.02);
    assert_int_equal(arch->pad_id, 0);
    /* bert-base-uncased with a head of two: Transformers counts 109,483,778 */
    assert_int_equal(arch_parameters(arch), 109483778);
    arch_close(arch);
}

static void the_heads_dropout_follows_the_hidden_one(void **state)
{
    ModelArch *arch = open_good(state, (Ask){ .more = ", \"hidden_dropout_prob\": 0.3,"
                                                      " \"classifier_dropout\": null" });
    assert_true(arch->head.dropout == 0.3);
    arch_close(arch);
    arch = open_good(state, (Ask){ .more = ", \"classifier_dropout\": 0.0" });
    assert_true(arch->head.dropout == 0.0);
    arch_close(arch);
}

static void what_cannot_be_computed_is_refused(void **state)
{
    expect_refused(state, (Ask){ .whole = "{\"model_type\": \"mamba\"}" }, "model_type 'mamba'", "bert");
    expect_refused(state, (Ask){ .whole = "{}" }, "no model_type", "bert");
    expect_refused(state, (Ask){ .whole = "[1]" }, "not a JSON object", "");
    expect_refused(state, (Ask){ .whole = "{\"model_type\": " }, "not valid JSON", "");
    expect_refused(state, (Ask){ .more = ", \"hidden_act\": \"mish\"" }, "hidden_act 'mish'", "gelu, ");
    expect_refused(state, (Ask){ .more = ", \"position_embedding_type\": \"relative_key\"" },
                   "'relative_key' is not supported", "");
    expect_refused(state, (Ask){ .more = ", \"is_decoder\": true" }, "is_decoder", "");
    expect_refused(state, (Ask){ .more = ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\"}" },
                   "quantized (quantization_config: bitsandbytes), which is not supported", "F32, F16 or BF16");
    expect_refused(state, (Ask){ .more = ", \"quantization_config\": {}" }, "quantized (quantization_config)", "");
    expect_refused(state, (Ask){ .more = ", \"type_vocab_size\": 0" }, "'type_vocab_size' is 0", "");
    expect_refused(state, (Ask){ .more = ", \"type_vocab_size\": \"2\"" }, "'type_vocab_size' is not a whole number",
                   "");
    expect_refused(state, (Ask){ .more = ", \"hidden_dropout_prob\": 1" }, "below 1", "");
    expect_refused(state, (Ask){ .overrides = "{\"num_attention_heads\": 3}" }, "no multiple", "");
    expect_refused(state, (Ask){ .task = TASK_CAUSAL_LM }, "task_type 'CAUSAL_LM'", "");
}

static void a_folder_without_config_json_is_refused(void **state)
{
    const Fixture *f = *state;
    Err err = { 0 };
    const StringList none = { 0 };
    assert_null(arch_open(f->folder, NULL, TASK_SEQ_CLS, &none, 0, PROBLEM_AUTO, &err));
    assert_non_null(strstr(err.where, "config.json"));
}

/* ---- overrides ---------------------------------------------------------------- */

static void overrides_replace_what_the_file_says(void **state)
{
    ModelArch *arch = open_good(state, (Ask){ .more = ", \"hidden_dropout_prob\": 0.1",
                                              .overrides = "{\"hidden_dropout_prob\": 0.0,"
                                                           " \"classifier_dropout\": 0.25}" });
    assert_true(arch->hidden_dropout == 0.0);
    assert_true(arch->head.dropout == 0.25);
    assert_true(json_real_value(json_object_get(arch->config, "hidden_dropout_prob")) == 0.0);
    arch_close(arch);
}

static void an_unknown_override_gets_the_nearest_name(void **state)
{
    expect_refused(state, (Ask){ .overrides = "{\"hidden_droput_prob\": 0.0}" }, "'hidden_droput_prob' is no key",
                   "'hidden_dropout_prob'");
    expect_refused(state, (Ask){ .overrides = "{\"num_labels\": 3}" }, "cannot be overridden", "run file");
}

/* ---- labels and problem --------------------------------------------------------- */

#define ID2LABEL                                                                                                       \
    ", \"id2label\": {\"10\": \"k\", \"0\": \"a\", \"1\": \"b\", \"2\": \"c\","                                        \
    " \"3\": \"d\", \"4\": \"e\", \"5\": \"f\", \"6\": \"g\", \"7\": \"h\","                                           \
    " \"8\": \"i\", \"9\": \"j\"}"

static void labels_are_the_runs_else_the_models(void **state)
{
    char yes[] = "yes", no[] = "no", maybe[] = "maybe", *names[] = { yes, no, maybe };
    ModelArch *arch = open_good(state, (Ask){ .more = ID2LABEL, .labels = { names, 3 } });
    assert_int_equal(arch->head.labels, 3);
    assert_string_equal(arch->head.label_names[2], "maybe");
    assert_true(arch->head.labels_known);
    arch_close(arch);
    arch = open_good(state, (Ask){ .more = ID2LABEL }); /* by number, not by text */
    assert_int_equal(arch->head.labels, 11);
    assert_string_equal(arch->head.label_names[2], "c");
    assert_string_equal(arch->head.label_names[10], "k");
    assert_true(arch->head.labels_known);
    arch_close(arch);
    arch = open_good(state, (Ask){ .more = ID2LABEL, .label_count = 3 });
    assert_int_equal(arch->head.labels, 3);
    assert_string_equal(arch->head.label_names[2], "LABEL_2");
    assert_false(arch->head.labels_known);
    arch_close(arch);
    arch = open_good(state, (Ask){ .more = ID2LABEL, .label_count = 11 });
    assert_string_equal(arch->head.label_names[10], "k");
    arch_close(arch);
    arch = open_good(state, (Ask){ .more = ", \"id2label\": {\"0\": \"LABEL_0\", \"1\": \"LABEL_1\"}" });
    assert_int_equal(arch->head.labels, 2);
    assert_false(arch->head.labels_known);
    arch_close(arch);
    arch = open_good(state, (Ask){ 0 });
    assert_int_equal(arch->head.labels, 2);
    assert_false(arch->head.labels_known);
    arch_close(arch);
    expect_refused(state, (Ask){ .more = ", \"id2label\": {\"0\": \"a\", \"2\": \"b\"}" }, "no name for \"1\"", "");
}

static ProblemType problem_of(void **state, Ask ask)
{
    ModelArch *arch = open_good(state, ask);
    const ProblemType problem = arch->head.problem;
    arch_close(arch);
    return problem;
}

static void the_problem_is_resolved_as_transformers_does(void **state)
{
    const char *multi = ", \"problem_type\": \"multi_label_classification\"";
    assert_int_equal(problem_of(state, (Ask){ 0 }), PROBLEM_SINGLE_LABEL);
    assert_int_equal(problem_of(state, (Ask){ .label_count = 1 }), PROBLEM_REGRESSION);
    assert_int_equal(problem_of(state, (Ask){ .more = multi }), PROBLEM_MULTI_LABEL);
    assert_int_equal(problem_of(state, (Ask){ .more = multi, .label_count = 1 }), PROBLEM_MULTI_LABEL);
    assert_int_equal(problem_of(state, (Ask){ .more = multi, .problem = PROBLEM_SINGLE_LABEL }), PROBLEM_SINGLE_LABEL);
    assert_int_equal(problem_of(state, (Ask){ .problem = PROBLEM_REGRESSION }), PROBLEM_REGRESSION);
    expect_refused(state, (Ask){ .problem = PROBLEM_SINGLE_LABEL, .label_count = 1 }, "only one label", "regression");
    expect_refused(state, (Ask){ .problem = PROBLEM_REGRESSION, .label_count = 2 }, "regression with 2 labels",
                   "labels: 1");
    expect_refused(state, (Ask){ .more = ", \"problem_type\": \"ranking\"" }, "'ranking'", "");
}

/* ---- modules ---------------------------------------------------------------------- */

static void modules_are_in_named_modules_order(void **state)
{
    static const char *const layer[] = {
        "attention.self.query",       "attention.self.key", "attention.self.value", "attention.output.dense",
        "attention.output.LayerNorm", "intermediate.dense", "output.dense",         "output.LayerNorm"
    };
    ModelArch *arch = open_good(state, (Ask){ .label_count = 3 });
    assert_int_equal(arch->module_count, 4 + 2 * 8 + 2);
    assert_string_equal(arch->modules[0].path, "bert.embeddings.word_embeddings");
    assert_string_equal(arch->modules[1].path, "bert.embeddings.position_embeddings");
    assert_string_equal(arch->modules[2].path, "bert.embeddings.token_type_embeddings");
    assert_string_equal(arch->modules[3].path, "bert.embeddings.LayerNorm");
    for (int l = 0; l < 2; l++) {
        for (int i = 0; i < 8; i++) {
            char *path = xprintf("bert.encoder.layer.%d.%s", l, layer[i]);
            assert_string_equal(arch->modules[4 + 8 * l + i].path, path);
            assert_int_equal(arch->modules[4 + 8 * l + i].layer, l);
            free(path);
        }
    }
    assert_string_equal(arch->modules[20].path, "bert.pooler.dense");
    assert_string_equal(arch->modules[21].path, "classifier");
    const Module *up = arch_module(arch, 1, ROLE_FF_UP);
    assert_string_equal(up->path, "bert.encoder.layer.1.intermediate.dense");
    assert_true(up->out == 16 && up->in == 8 && up->bias && up->kind == MODULE_LINEAR);
    const Module *head = arch_module(arch, -1, ROLE_HEAD);
    assert_true(head->out == 3 && head->in == 8 && head->is_new);
    assert_true(arch_module(arch, -1, ROLE_WORD)->out == 20);
    assert_int_equal(arch_module_index(arch, -1, ROLE_Q), -1);
    assert_null(arch_module(arch, 2, ROLE_Q));
    arch_close(arch);
}

/* ---- the cache ---------------------------------------------------------------------- */

static void expect_found(const char *model, const char *folder, const char *inside)
{
    Err err = { 0 };
    char *found = model_find(model, &err), *path = path_join(folder, inside);
    if (!found)
        fail_msg("%s | %s", err.what, err.hint);
    assert_string_equal(found, path);
    free(path);
    free(found);
}

static void hub_names_are_found_in_the_cache(void **state)
{
    const Fixture *f = *state;
    Err err = { 0 };
    put(f->folder, "home/hub/models--google--bert/refs/main", "abc\n");
    put(f->folder, "home/hub/models--google--bert/snapshots/abc/config.json", "{}");
    put(f->folder, "home/hub/models--google--bert/snapshots/zzz/config.json", "{}");
    put(f->folder, "home/hub/models--plain/snapshots/old/config.json", "{}");
    put(f->folder, "home/hub/models--plain/snapshots/new/config.json", "{}");
    put(f->folder, "home/hub/models--plain/snapshots/unfinished/vocab.txt", "");
    char *old = path_join(f->folder, "home/hub/models--plain/snapshots/old");
    const struct timespec times[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };
    assert_int_equal(utimensat(AT_FDCWD, old, times, 0), 0);
    free(old);
    char *home = path_join(f->folder, "home"), *hub = path_join(f->folder, "home/hub");
    unsetenv("HF_HUB_CACHE");
    unsetenv("HUGGINGFACE_HUB_CACHE");
    setenv("HF_HOME", home, 1);
    expect_found("google/bert", f->folder, "home/hub/models--google--bert/snapshots/abc");
    expect_found("plain", f->folder, "home/hub/models--plain/snapshots/new");
    setenv("HF_HOME", "/nowhere", 1);
    assert_null(model_find("google/bert", &err));
    assert_non_null(strstr(err.what, "/nowhere/hub/models--google--bert"));
    assert_int_equal(err_exit_code(&err), 2);
    setenv("HF_HUB_CACHE", hub, 1);
    expect_found("google/bert", f->folder, "home/hub/models--google--bert/snapshots/abc");
    setenv("HUGGINGFACE_HUB_CACHE", "/nowhere", 1);
    expect_found("google/bert", f->folder, "home/hub/models--google--bert/snapshots/abc");
    unsetenv("HF_HUB_CACHE");
    setenv("HUGGINGFACE_HUB_CACHE", hub, 1); /* the older name, where the newer one is not set */
    expect_found("google/bert", f->folder, "home/hub/models--google--bert/snapshots/abc");
    setenv("HOME", home, 1);
    setenv("HUGGINGFACE_HUB_CACHE", "~/hub", 1);
    expect_found("google/bert", f->folder, "home/hub/models--google--bert/snapshots/abc");
    unsetenv("HUGGINGFACE_HUB_CACHE");
    unsetenv("HF_HOME");
    free(hub);
    free(home);
}

static void a_model_folder_is_itself(void **state)
{
    const Fixture *f = *state;
    Err err = { 0 };
    put(f->folder, "m/config.json", "{}");
    char *path = path_join(f->folder, "m");
    expect_found(path, f->folder, "m");
    free(path);
    assert_null(model_find(f->folder, &err));
    assert_non_null(strstr(err.what, "has no config.json"));
    err = (Err){ 0 };
    assert_null(model_find("/no/such/folder", &err));
    assert_non_null(strstr(err.what, "no model folder"));
}

static void an_adapter_is_called_one_with_its_base(void **state)
{
    const Fixture *f = *state;
    Err err = { 0 };
    put(f->folder, "a/adapter_config.json", "{\"base_model_name_or_path\": \"google/bert\"}");
    put(f->folder, "b/adapter_config.json", "{}");
    put(f->folder, "hub/models--me--mine/snapshots/x/adapter_config.json",
        "{\"base_model_name_or_path\": \"google/bert\"}");
    char *a = path_join(f->folder, "a"), *b = path_join(f->folder, "b"), *hub = path_join(f->folder, "hub");
    assert_null(model_find(a, &err));
    assert_non_null(strstr(err.what, "is an adapter of google/bert, not a model"));
    assert_non_null(strstr(err.hint, "model: google/bert; to start from the adapter, name it in lora.init_adapter"));
    assert_int_equal(err_exit_code(&err), 2);
    err = (Err){ 0 };
    assert_null(model_find(b, &err));
    assert_non_null(strstr(err.what, "is an adapter, not a model"));
    setenv("HF_HUB_CACHE", hub, 1);
    err = (Err){ 0 };
    assert_null(model_find("me/mine", &err));
    assert_non_null(strstr(err.what, "'me/mine' is an adapter of google/bert"));
    unsetenv("HF_HUB_CACHE");
    free(a);
    free(b);
    free(hub);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sizes_come_from_config_json),
        TEST(missing_keys_have_transformers_defaults),
        TEST(the_heads_dropout_follows_the_hidden_one),
        TEST(what_cannot_be_computed_is_refused),
        TEST(a_folder_without_config_json_is_refused),
        TEST(overrides_replace_what_the_file_says),
        TEST(an_unknown_override_gets_the_nearest_name),
        TEST(labels_are_the_runs_else_the_models),
        TEST(the_problem_is_resolved_as_transformers_does),
        TEST(modules_are_in_named_modules_order),
        TEST(hub_names_are_found_in_the_cache),
        TEST(a_model_folder_is_itself),
        TEST(an_adapter_is_called_one_with_its_base),
    };
    return cmocka_run_group_tests_name("arch", tests, NULL, NULL);
}
