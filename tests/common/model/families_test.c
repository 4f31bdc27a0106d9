/* Every family against Transformers: modules, sizes, rotary frequencies. The files of
 * tests/golden/families are what make.py there got from the library. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/arch.h"
#include "common/model/stored.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- models ------------------------------------------------------------------ */

static ModelArch *try_open(const char *folder, TaskType task, Err *err)
{
    const StringList none = { 0 };
    return arch_open(folder, NULL, task, &none, 3, PROBLEM_AUTO, err);
}

static ModelArch *open_folder(const char *folder, TaskType task)
{
    Err err = { 0 };
    ModelArch *arch = try_open(folder, task, &err);
    if (!arch)
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    return arch;
}

static ModelArch *open_golden(const char *name, TaskType task)
{
    char *folder = xprintf("tests/golden/%s/model", name);
    ModelArch *arch = open_folder(folder, task);
    free(folder);
    return arch;
}

/* A model whose config.json is this text. */
static ModelArch *open_text(const char *config, TaskType task, Err *err)
{
    char folder[] = "/tmp/families_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "config.json");
    Err none = { 0 };
    assert_true(file_write(path, config, strlen(config), &none));
    ModelArch *arch = try_open(folder, task, err);
    assert_true(folder_remove(folder, &none));
    free(path);
    return arch;
}

static ModelArch *open_good(const char *config, TaskType task)
{
    Err err = { 0 };
    ModelArch *arch = open_text(config, task, &err);
    if (!arch)
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    return arch;
}

static void expect_refused(const char *config, TaskType task, const char *what)
{
    Err err = { 0 };
    ModelArch *arch = open_text(config, task, &err);
    if (arch) {
        arch_close(arch);
        fail_msg("accepted: %s", config);
    }
    if (!strstr(err.what, what) || !strstr(err.where, "config.json"))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
}

static TaskType task_of(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "task"));
    for (TaskType t = TASK_SEQ_CLS; t < TASK_COUNT; t++)
        if (strcmp(config_task_name(t), name) == 0)
            return t;
    fail_msg("no task '%s'", name);
    return TASK_SEQ_CLS;
}

/* Calls `each` with every line of a file of tests/golden/families. */
static void for_lines(const char *name, int at_least, void (*each)(const json_t *row))
{
    char *path = xprintf("tests/golden/families/%s", name);
    Err err = { 0 };
    char *text = file_read(path, NULL, &err), *rest = text, *line;
    assert_non_null(text);
    int count = 0;
    while ((line = strsep(&rest, "\n"))) {
        if (*line == '\0')
            continue;
        json_t *row = json_loads(line, 0, NULL);
        assert_non_null(row);
        each(row);
        json_decref(row);
        count++;
    }
    assert_true(count >= at_least);
    free(text);
    free(path);
}

/* ---- modules -------------------------------------------------------------------- */

static const char *kind_name(const ModelArch *arch, const Module *m)
{
    switch (m->kind) {
    case MODULE_LINEAR:
        return m->transposed ? "Conv1D" : "Linear";
    case MODULE_EMBEDDING:
        return "Embedding";
    case MODULE_CONV:
        return m->role == ROLE_CONV ? "Conv1d" : "Conv2d";
    case MODULE_TENSOR:
        return "Parameter";
    default:
        return arch->norm == NORM_RMS ? "RMSNorm" : "LayerNorm";
    }
}

static void expect_module(const ModelArch *arch, const Module *m, const json_t *row)
{
    const char *path = json_string_value(json_array_get(row, 0));
    const char *kind = json_string_value(json_array_get(row, 1));
    const json_t *shape = json_array_get(row, 2);
    assert_string_equal(m->path, path);
    if (!text_ends(kind, kind_name(arch, m))) /* "Qwen2RMSNorm" */
        fail_msg("%s is %s, not %s", path, kind, kind_name(arch, m));
    int64_t dim[4];
    assert_int_equal(stored_shape(arch, m, false, dim), json_array_size(shape));
    for (size_t d = 0; d < json_array_size(shape); d++)
        assert_int_equal(dim[d], json_integer_value(json_array_get(shape, d)));
    assert_int_equal(m->bias, json_is_true(json_array_get(row, 3)));
}

static void expect_modules(const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "case"));
    const json_t *modules = json_object_get(row, "modules");
    ModelArch *arch = open_golden(name, task_of(row));
    assert_string_equal(arch->family->task_class[arch->head.task->type],
                        json_string_value(json_object_get(row, "cls")));
    assert_int_equal(arch->module_count, json_array_size(modules));
    for (int i = 0; i < arch->module_count; i++)
        expect_module(arch, &arch->modules[i], json_array_get(modules, (size_t)i));
    assert_int_equal(arch_parameters(arch), json_integer_value(json_object_get(row, "parameters")));
    arch_close(arch);
}

static void modules_are_those_of_named_modules_in_its_order(void **state)
{
    (void)state;
    for_lines("modules.jsonl", 21, expect_modules);
}

static void each_role_is_there_once_a_layer(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        TaskType task;
    } cases[] = { { "bert-seqcls", TASK_SEQ_CLS }, { "roberta-pair", TASK_SEQ_CLS },
                  { "gpt2-clm", TASK_CAUSAL_LM },  { "distilbert-regress", TASK_SEQ_CLS },
                  { "llama-clm", TASK_CAUSAL_LM }, { "qwen2-clm", TASK_TOKEN_CLS },
                  { "qwen3-clm", TASK_CAUSAL_LM }, { "opt-clm", TASK_CAUSAL_LM },
                  { "vit-imgcls", TASK_IMAGE_CLS } };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        ModelArch *arch = open_golden(cases[c].name, cases[c].task);
        for (int i = 0; i < arch->module_count; i++)
            assert_int_equal(arch_module_index(arch, arch->modules[i].layer, arch->modules[i].role), i);
        assert_non_null(arch_module(arch, -1, ROLE_HEAD));
        arch_close(arch);
    }
}

/* ---- sizes and choices ------------------------------------------------------------- */

static void gpt2_is_causal_and_reads_the_last_row_of_a_sequence(void **state)
{
    (void)state;
    ModelArch *arch = open_golden("gpt2-seqcls", TASK_SEQ_CLS);
    assert_true(arch->C == 32 && arch->layers == 2 && arch->H == 4 && arch->K == 4);
    assert_true(arch->D == 8 && arch->F == 128 && arch->V == 604 && arch->positions == 96);
    assert_true(arch->pre_norm && arch->causal && !arch->gated && !arch->rope);
    assert_int_equal(arch->head.rows, READ_LAST);
    assert_int_equal(arch->padding_row, -1);
    assert_int_equal(arch->pad_id, 0);
    assert_true(arch->scales[0] == 1 / sqrt(8) && arch->scales[1] == 1 / sqrt(8) / 2);
    assert_true(arch->act == ACT_GELU_TANH && arch->norm_eps == 1e-5);
    arch_close(arch);
    arch = open_golden("gpt2-text", TASK_CAUSAL_LM);
    assert_int_equal(arch->act, ACT_GELU);
    assert_int_equal(arch->head.rows, READ_LABELLED);
    assert_true(arch->head.labels == arch->V && !arch->head.label_names && arch->tied);
    assert_int_equal(arch->head.problem, PROBLEM_SINGLE_LABEL);
    assert_true(arch_module(arch, -1, ROLE_HEAD)->tied);
    arch_close(arch);
}

static void gpt2s_defaults_are_transformers(void **state)
{
    (void)state;
    ModelArch *arch = open_good("{\"model_type\": \"gpt2\"}", TASK_TOKEN_CLS);
    assert_int_equal(arch_parameters(arch), 124439808 + 3 * 768 + 3); /* the library's count */
    assert_true(arch->embed_dropout == 0.1 && arch->hidden_dropout == 0.1);
    assert_true(arch->attention_dropout == 0.1 && arch->head.dropout == 0.1);
    assert_true(arch->pad_id == -1 && arch->eos_id == 50256);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"gpt2\", \"scale_attn_weights\": false, \"n_inner\": 100,"
                     " \"eos_token_id\": [7, 8], \"classifier_dropout\": 0.4}",
                     TASK_TOKEN_CLS);
    assert_true(arch->scales[5] == 1 && arch->F == 100 && arch->eos_id == 7);
    assert_true(arch->head.dropout == 0.4);
    arch_close(arch);
}

static void robertas_positions_begin_behind_the_padding(void **state)
{
    (void)state;
    ModelArch *arch = open_golden("roberta-pair", TASK_SEQ_CLS);
    assert_int_equal(arch->position_offset, 2);
    assert_int_equal(arch->positions, 64);
    assert_int_equal(arch_module(arch, -1, ROLE_POSITION)->out, 66);
    assert_int_equal(arch->padding_row, 1);
    assert_true(arch->head.pooler_act == ACT_TANH && arch->head.rows == READ_FIRST);
    assert_true(arch_module(arch, -1, ROLE_POOLER)->is_new);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"xlm-roberta\", \"vocab_size\": 250002,"
                     " \"max_position_embeddings\": 514, \"type_vocab_size\": 1,"
                     " \"classifier_dropout\": 0.25}",
                     TASK_SEQ_CLS);
    assert_string_equal(arch->family->task_class[TASK_SEQ_CLS], "XLMRobertaForSequenceClassification");
    assert_true(arch->head.pooler_dropout == 0.25 && arch->head.dropout == 0.25);
    assert_int_equal(arch_parameters(arch), 278045955); /* the library's, with three labels */
    arch_close(arch);
}

static void distilberts_head_is_dropped_by_its_own_key(void **state)
{
    (void)state;
    ModelArch *arch = open_good("{\"model_type\": \"distilbert\"}", TASK_SEQ_CLS);
    assert_int_equal(arch_parameters(arch), 66955779); /* the library's, with three labels */
    assert_true(arch->head.pooler_act == ACT_RELU && arch->head.pooler_dropout == 0);
    assert_true(arch->head.dropout == 0.2 && arch->embed_dropout == 0.1);
    assert_true(arch->types == 0 && arch->norm_eps == 1e-12);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"distilbert\", \"dropout\": 0.3}", TASK_TOKEN_CLS);
    assert_true(arch->head.dropout == 0.3);
    assert_null(arch_module(arch, -1, ROLE_POOLER));
    arch_close(arch);
}

static void llamas_heads_are_grouped_and_its_windows_by_family(void **state)
{
    (void)state;
    ModelArch *arch = open_golden("llama-clm", TASK_CAUSAL_LM);
    assert_true(arch->H == 4 && arch->K == 2 && arch->D == 8 && arch->F == 72);
    assert_true(arch->gated && arch->rope && arch->norm == NORM_RMS && arch->act == ACT_SILU);
    assert_true(arch->padding_row == 2 && !arch->tied && !arch->windows);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"mistral\", \"head_dim\": 20, \"hidden_size\": 64,"
                     " \"num_attention_heads\": 6, \"num_key_value_heads\": 3, "
                     "\"num_hidden_layers\": 2}",
                     TASK_SEQ_CLS);
    assert_int_equal(arch_module(arch, 1, ROLE_Q)->out, 120);
    assert_int_equal(arch_module(arch, 1, ROLE_K)->out, 60);
    assert_int_equal(arch_module(arch, 1, ROLE_ATTN_OUT)->in, 120);
    assert_true(arch->windows[0] == 4096 && arch->scales[1] == 1 / sqrt(20));
    arch_close(arch);
    arch = open_good("{\"model_type\": \"mistral\", \"sliding_window\": null}", TASK_SEQ_CLS);
    assert_true(arch->windows[0] == 0 && arch->K == 8);
    arch_close(arch);
}

static void qwen2s_windows_are_above_a_layer_or_by_a_list(void **state)
{
    (void)state;
    ModelArch *arch = open_good("{\"model_type\": \"qwen2\", \"use_sliding_window\": true,"
                                " \"sliding_window\": 9, \"max_window_layers\": 30}",
                                TASK_TOKEN_CLS);
    assert_true(arch->windows[29] == 0 && arch->windows[30] == 9 && arch->windows[31] == 9);
    assert_true(arch->head.dropout == 0.1 && arch_module(arch, -1, ROLE_HEAD)->bias);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"qwen2\", \"sliding_window\": 9}", TASK_SEQ_CLS);
    assert_true(arch->windows[31] == 0 && !arch_module(arch, -1, ROLE_HEAD)->bias);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"qwen2\", \"use_sliding_window\": true,"
                     " \"sliding_window\": 9, \"num_hidden_layers\": 2,"
                     " \"layer_types\": [\"sliding_attention\", \"full_attention\"]}",
                     TASK_SEQ_CLS);
    assert_true(arch->windows[0] == 9 && arch->windows[1] == 0);
    arch_close(arch);
}

static void qwen3s_heads_have_a_size_and_norms_of_their_own(void **state)
{
    (void)state;
    ModelArch *arch = open_good("{\"model_type\": \"qwen3\", \"num_hidden_layers\": 2}", TASK_CAUSAL_LM);
    assert_int_equal(arch_parameters(arch), 1919963648); /* the library's count */
    assert_true(arch->D == 128 && arch->scales[1] == 1 / sqrt(128) && arch->windows[1] == 0 && !arch->tied);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"qwen3\", \"num_hidden_layers\": 1, \"hidden_size\": 64, \"head_dim\": 10,"
                     " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"attention_bias\": true}",
                     TASK_TOKEN_CLS);
    assert_true(arch_module(arch, 0, ROLE_Q)->out == 40 && arch_module(arch, 0, ROLE_V)->out == 20);
    assert_true(arch_module(arch, 0, ROLE_K)->bias && arch_module(arch, 0, ROLE_ATTN_OUT)->bias);
    assert_true(arch_module(arch, 0, ROLE_Q_NORM)->out == 10 && arch_module(arch, 0, ROLE_K_NORM)->out == 10);
    assert_false(arch_module(arch, 0, ROLE_FF_UP)->bias);
    arch_close(arch);
}

static void opts_positions_begin_at_the_third_row(void **state)
{
    (void)state;
    ModelArch *arch = open_golden("opt-clm", TASK_CAUSAL_LM);
    assert_true(arch->position_offset == 2 && !arch->padding_stands && arch->positions == 96);
    assert_int_equal(arch_module(arch, -1, ROLE_POSITION)->out, 98);
    assert_true(arch->pre_norm && arch->causal && arch->act == ACT_RELU && arch->norm_eps == 1e-5);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"opt\"}", TASK_SEQ_CLS);
    assert_int_equal(arch_parameters(arch), 125241600); /* the library's, with three labels */
    assert_true(arch->hidden_dropout == 0.1 && arch->attention_dropout == 0 && arch->embed_dropout == 0);
    assert_true(arch->pad_id == 1 && arch->padding_row == 1 && arch->head.rows == READ_LAST);
    arch_close(arch);
    arch = open_good("{\"model_type\": \"opt\", \"enable_bias\": false, \"init_std\": 0.5}", TASK_CAUSAL_LM);
    assert_true(!arch_module(arch, 3, ROLE_FF_DOWN)->bias && arch_module(arch, 3, ROLE_FF_NORM)->bias);
    assert_true(arch->initializer_range == 0.5);
    arch_close(arch);
}

static void vits_rows_are_its_patches_and_one(void **state)
{
    (void)state;
    ModelArch *arch = open_golden("vit-imgcls", TASK_IMAGE_CLS);
    assert_true(arch->image_size == 32 && arch->patch == 8 && arch->channels == 3);
    assert_true(arch->positions == 17 && arch->V == 0 && arch->head.rows == READ_FIRST);
    assert_string_equal(arch->head.label_names[2], "spot");
    char *old = arch_old_path(arch, "vit.layers.1.attention.o_proj");
    assert_string_equal(old, "vit.encoder.layer.1.attention.output.dense");
    free(old);
    assert_null(arch_old_path(arch, "vit.layernorm"));
    arch_close(arch);
    arch = open_good("{\"model_type\": \"vit\", \"image_size\": [64, 64], \"qkv_bias\": false}", TASK_IMAGE_CLS);
    assert_true(arch->positions == 17 && arch->image_size == 64);
    assert_false(arch_module(arch, 0, ROLE_Q)->bias);
    assert_true(arch_module(arch, 0, ROLE_ATTN_OUT)->bias);
    arch_close(arch);
}

static void a_module_has_several_names_in_files(void **state)
{
    (void)state;
    ModelArch *arch = open_golden("vit-imgcls", TASK_IMAGE_CLS);
    static const char *const names[] = { "vit.layers.1.layernorm_after.bias",
                                         "vit.encoder.layer.1.layernorm_after.bias", "layers.1.layernorm_after.bias",
                                         "encoder.layer.1.layernorm_after.bias", "vit.layers.1.layernorm_after.beta" };
    for (int k = 0; k < 5; k++) {
        char *name = stored_name(arch, arch_module(arch, 1, ROLE_FF_NORM), true, k);
        assert_string_equal(name, names[k]);
        free(name);
    }
    char *name = stored_name(arch, arch_module(arch, -1, ROLE_CLS), false, 1);
    assert_string_equal(name, "embeddings.cls_token");
    free(name);
    assert_null(stored_name(arch, arch_module(arch, -1, ROLE_HEAD), false, 1));
    arch_close(arch);
}

/* ---- rotary positions ------------------------------------------------------------------ */

static void expect_rope(const json_t *row)
{
    json_t *config = json_deep_copy(json_object_get(row, "config"));
    json_object_set_new(config, "model_type", json_string("llama"));
    char *text = json_dumps(config, 0);
    ModelArch *arch = open_good(text, TASK_CAUSAL_LM);
    const json_t *inverse = json_object_get(row, "inverse");
    const int64_t pairs = arch->D / 2;
    assert_int_equal(json_array_size(inverse), pairs);
    double *got = xcalloc((size_t)pairs, sizeof *got);
    const double factor = arch_rope(arch, 0, json_integer_value(json_object_get(row, "length")), got);
    const double wanted = json_number_value(json_object_get(row, "factor"));
    if (fabs(factor - wanted) > 1e-12)
        fail_msg("%s: factor %.17g, not %.17g", text, factor, wanted);
    for (int64_t j = 0; j < pairs; j++) {
        const double w = json_number_value(json_array_get(inverse, (size_t)j));
        if (fabs(got[j] - w) > 4e-7 * w) /* theirs is made in f32 */
            fail_msg("%s: pair %d is %.9g, not %.9g", text, (int)j, got[j], w);
    }
    free(got);
    arch_close(arch);
    free(text);
    json_decref(config);
}

static void rotary_frequencies_are_transformers(void **state)
{
    (void)state;
    for_lines("rope.jsonl", 45, expect_rope);
}

static void a_dynamic_rope_stretches_the_model(void **state)
{
    (void)state;
    ModelArch *arch = open_good("{\"model_type\": \"llama\", \"max_position_embeddings\": 100,"
                                " \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.5}}",
                                TASK_CAUSAL_LM);
    assert_int_equal(arch->positions, 250);
    arch_close(arch);
}

/* ---- what is refused ----------------------------------------------------------------------- */

#define GPT2(more) "{\"model_type\": \"gpt2\", \"n_layer\": 1" more "}"
#define LLAMA(more) "{\"model_type\": \"llama\", \"num_hidden_layers\": 1" more "}"
#define ROPE(inside) LLAMA(", \"rope_scaling\": {" inside "}")
#define QWEN2(more) "{\"model_type\": \"qwen2\", \"num_hidden_layers\": 1" more "}"
#define OPT(more) "{\"model_type\": \"opt\", \"num_hidden_layers\": 1" more "}"
#define VIT(more) "{\"model_type\": \"vit\", \"num_hidden_layers\": 1" more "}"

static void sizes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    expect_refused(GPT2(", \"n_embd\": 10, \"n_head\": 3"), TASK_CAUSAL_LM, "n_embd 10 is no multiple of n_head 3");
    expect_refused(GPT2(", \"n_positions\": 0"), TASK_CAUSAL_LM, "'n_positions' is 0");
    expect_refused(GPT2(", \"add_cross_attention\": true"), TASK_CAUSAL_LM, "add_cross_attention");
    expect_refused(GPT2(", \"activation_function\": \"mish\""), TASK_CAUSAL_LM, "mish");
    expect_refused(GPT2(", \"scale_attn_weights\": 1"), TASK_CAUSAL_LM, "scale_attn_weights");
    expect_refused("{\"model_type\": \"gpt2\", \"n_layer\": 5000}", TASK_CAUSAL_LM, "'n_layer'");
    expect_refused(GPT2(""), TASK_IMAGE_CLS, "task_type 'IMAGE_CLS' is not supported");
    expect_refused("{\"model_type\": \"bert\"}", TASK_CAUSAL_LM, "'CAUSAL_LM' is not supported");
    expect_refused("{\"model_type\": \"roberta\", \"pad_token_id\": null}", TASK_SEQ_CLS, "no pad_token_id");
    expect_refused("{\"model_type\": \"roberta\", \"max_position_embeddings\": 2}", TASK_SEQ_CLS, "leaves no position");
    expect_refused(LLAMA(", \"num_key_value_heads\": 5"), TASK_SEQ_CLS, "num_key_value_heads 5");
    expect_refused(LLAMA(", \"attention_bias\": \"no\""), TASK_SEQ_CLS, "attention_bias");
    expect_refused(LLAMA(", \"head_dim\": 7"), TASK_SEQ_CLS, "head size of 7 is odd");
    expect_refused(QWEN2(", \"layer_types\": [\"sliding_attention\"]"), TASK_SEQ_CLS, "no sliding_window in use");
    expect_refused(QWEN2(", \"layer_types\": [\"full_attention\", \"full_attention\"]"), TASK_SEQ_CLS,
                   "'layer_types' is not a list of 1 names");
    expect_refused(QWEN2(", \"layer_types\": [\"linear_attention\"]"), TASK_SEQ_CLS,
                   "'linear_attention' is not supported");
    expect_refused(OPT(", \"do_layer_norm_before\": false"), TASK_CAUSAL_LM, "'do_layer_norm_before' false");
    expect_refused(OPT(", \"word_embed_proj_dim\": 512"), TASK_CAUSAL_LM, "'word_embed_proj_dim'");
    expect_refused(OPT(", \"layer_norm_elementwise_affine\": false"), TASK_SEQ_CLS, "elementwise_affine' false");
    expect_refused(OPT(", \"_remove_final_layer_norm\": true"), TASK_SEQ_CLS, "'_remove_final_layer_norm'");
    expect_refused(OPT(", \"layerdrop\": 0.1"), TASK_SEQ_CLS, "'layerdrop'");
    expect_refused(OPT(""), TASK_TOKEN_CLS, "'TOKEN_CLS' is not supported");
    expect_refused(VIT(", \"image_size\": [32, 64]"), TASK_IMAGE_CLS, "two equal ones");
    expect_refused(VIT(", \"image_size\": 30"), TASK_IMAGE_CLS, "30 pixels in patches of 16");
}

#define DEBERTA(more) "{\"model_type\": \"deberta-v2\", \"relative_attention\": true" more "}"

static void encoders_that_are_not_computed_are_refused_by_their_key(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { DEBERTA(", \"pos_att_type\": \"c2p|p2p\""), "pos_att_type 'p2p'" },
        { DEBERTA(", \"pos_att_type\": [\"c2p\", \"c2p\"]"), "pos_att_type 'c2p'" },
        { DEBERTA(", \"pos_att_type\": 3"), "'pos_att_type' is no text" },
        { DEBERTA(", \"norm_rel_ebd\": \"rms\""), "norm_rel_ebd 'rms'" },
        { DEBERTA(", \"position_buckets\": 2"), "position_buckets 2" },
        { DEBERTA(", \"position_buckets\": 64, \"max_relative_positions\": 30"), "max_relative_positions 30" },
        { DEBERTA(", \"conv_kernel_size\": 4"), "'conv_kernel_size' is 4" },
        { DEBERTA(", \"conv_kernel_size\": 3, \"conv_groups\": 2"), "'conv_groups' 2" },
        { DEBERTA(", \"attention_head_size\": 7"), "'attention_head_size' is 7" },
        { DEBERTA(", \"pooler_hidden_size\": 7"), "'pooler_hidden_size' is 7" },
        { "{\"model_type\": \"deberta\", \"talking_head\": true}", "'talking_head'" },
        { "{\"model_type\": \"modernbert\", \"classifier_pooling\": \"max\"}", "classifier_pooling 'max'" },
        { "{\"model_type\": \"modernbert\", \"layer_types\": [\"full_attention\"]}", "'layer_types'" },
        { "{\"model_type\": \"mpnet\", \"relative_attention_num_buckets\": 16}", "num_buckets' is 16" },
        { "{\"model_type\": \"albert\", \"num_hidden_groups\": 13}", "13 groups" },
        { "{\"model_type\": \"electra\", \"is_decoder\": true}", "'is_decoder'" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        expect_refused(cases[i][0], TASK_SEQ_CLS, cases[i][1]);
}

static void layers_of_albert_run_by_groups(void **state)
{
    (void)state;
    ModelArch *arch = open_good("{\"model_type\": \"albert\", \"num_hidden_layers\": 5, \"num_hidden_groups\": 3,"
                                " \"inner_group_num\": 2, \"hidden_size\": 64, \"num_attention_heads\": 2}",
                                TASK_SEQ_CLS);
    static const int runs[] = { 0, 1, 0, 1, 2, 3, 2, 3, 4, 5 };
    assert_int_equal(arch->layers, LENGTH(runs));
    for (int l = 0; l < arch->layers; l++)
        assert_int_equal(arch_physical(arch, l), runs[l]);
    assert_string_equal(arch_module(arch, 3, ROLE_Q)->path,
                        "albert.encoder.albert_layer_groups.1.albert_layers.1.attention.query");
    arch_close(arch);
}

static void ropes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    expect_refused(ROPE("\"type\": \"su\""), TASK_CAUSAL_LM, "rope_type 'su'");
    expect_refused(ROPE("\"type\": \"linear\""), TASK_CAUSAL_LM, "'linear' without 'factor'");
    expect_refused(ROPE("\"type\": \"linear\", \"factor\": -1"), TASK_CAUSAL_LM, "'factor' is -1");
    expect_refused(ROPE("\"type\": \"linear\", \"factor\": \"2\""), TASK_CAUSAL_LM, "factor");
    expect_refused(ROPE("\"type\": \"llama3\", \"factor\": 2"), TASK_CAUSAL_LM, "low_freq_factor");
    expect_refused(ROPE("\"type\": \"llama3\", \"factor\": 2, \"low_freq_factor\": 4,"
                        " \"high_freq_factor\": 4"),
                   TASK_CAUSAL_LM, "not above low_freq_factor");
    expect_refused(ROPE("\"type\": \"longrope\", \"short_factor\": [1], \"long_factor\": [1]"), TASK_CAUSAL_LM,
                   "'short_factor' is not a list of 64 numbers");
    expect_refused(ROPE("\"full_attention\": {}"), TASK_CAUSAL_LM, "of their own");
    expect_refused(ROPE("\"partial_rotary_factor\": 0.5"), TASK_CAUSAL_LM, "partial_rotary_factor of 0.5");
    expect_refused(LLAMA(", \"rope_theta\": 0"), TASK_CAUSAL_LM, "'rope_theta'");
    expect_refused(LLAMA(", \"rope_parameters\": [1]"), TASK_CAUSAL_LM, "not an object");
}

/* config.json of microsoft/deberta-v3-base and mdeberta-v3-base, which differ in the vocabulary, and of deberta-v2-xlarge. */
#define DEBERTA_V3                                                                                                     \
    "\"model_type\": \"deberta-v2\", \"attention_probs_dropout_prob\": 0.1, \"hidden_act\": \"gelu\", "                \
    "\"hidden_dropout_prob\": 0.1, \"initializer_range\": 0.02, \"max_position_embeddings\": 512, "                    \
    "\"relative_attention\": true, \"position_buckets\": 256, \"norm_rel_ebd\": \"layer_norm\", "                      \
    "\"share_att_key\": true, \"pos_att_type\": \"p2c|c2p\", \"layer_norm_eps\": 1e-7, "                               \
    "\"max_relative_positions\": -1, \"position_biased_input\": false, \"type_vocab_size\": 0, "

static void published_debertas_open(void **state)
{
    (void)state;
    static const char *const configs[] = {
        "{" DEBERTA_V3 "\"hidden_size\": 768, \"intermediate_size\": 3072, \"num_attention_heads\": 12, "
        "\"num_hidden_layers\": 12, \"vocab_size\": 128100}",
        "{" DEBERTA_V3 "\"hidden_size\": 768, \"intermediate_size\": 3072, \"num_attention_heads\": 12, "
        "\"num_hidden_layers\": 12, \"vocab_size\": 251000}",
        "{" DEBERTA_V3 "\"hidden_size\": 1536, \"intermediate_size\": 6144, \"num_attention_heads\": 24, "
        "\"attention_head_size\": 64, \"num_hidden_layers\": 24, \"vocab_size\": 128100, \"conv_kernel_size\": 3, "
        "\"conv_act\": \"gelu\", \"pooler_dropout\": 0, \"pooler_hidden_act\": \"gelu\", "
        "\"pooler_hidden_size\": 1536}",
    };
    static const TaskType tasks[] = { TASK_SEQ_CLS, TASK_TOKEN_CLS, TASK_QUESTION_ANS, TASK_FEATURE_EXTRACTION };
    for (size_t c = 0; c < LENGTH(configs); c++)
        for (size_t t = 0; t < LENGTH(tasks); t++) {
            ModelArch *arch = open_good(configs[c], tasks[t]);
            assert_int_equal(arch->distance_span, 256);
            assert_true(arch->distance_keys && arch->distance_queries && arch->types == 0 && arch->D == 64);
            assert_int_equal(arch->conv_kernel, c == 2 ? 3 : 0);
            arch_close(arch);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_are_those_of_named_modules_in_its_order),
        cmocka_unit_test(each_role_is_there_once_a_layer),
        cmocka_unit_test(gpt2_is_causal_and_reads_the_last_row_of_a_sequence),
        cmocka_unit_test(gpt2s_defaults_are_transformers),
        cmocka_unit_test(robertas_positions_begin_behind_the_padding),
        cmocka_unit_test(distilberts_head_is_dropped_by_its_own_key),
        cmocka_unit_test(llamas_heads_are_grouped_and_its_windows_by_family),
        cmocka_unit_test(qwen2s_windows_are_above_a_layer_or_by_a_list),
        cmocka_unit_test(qwen3s_heads_have_a_size_and_norms_of_their_own),
        cmocka_unit_test(opts_positions_begin_at_the_third_row),
        cmocka_unit_test(vits_rows_are_its_patches_and_one),
        cmocka_unit_test(a_module_has_several_names_in_files),
        cmocka_unit_test(rotary_frequencies_are_transformers),
        cmocka_unit_test(a_dynamic_rope_stretches_the_model),
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
        cmocka_unit_test(ropes_that_cannot_be_are_refused),
        cmocka_unit_test(encoders_that_are_not_computed_are_refused_by_their_key),
        cmocka_unit_test(layers_of_albert_run_by_groups),
        cmocka_unit_test(published_debertas_open),
    };
    return cmocka_run_group_tests_name("families", tests, NULL, NULL);
}
