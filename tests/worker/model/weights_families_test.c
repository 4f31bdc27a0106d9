/* The golden models of every family: each weight is where the compute code looks for
 * it, as the file has it, or turned, or the word table's. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/stored.h"
#include "tests/support/must.h"
#include "worker/model/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Case {
    ModelArch *arch;
    SafeTensors *files;
    Weights weights;
} Case;

/* file NULL: the model's own. Loaded by `parts` ranks. */
static void open_case(Case *c, const char *name, TaskType task, const char *file, int parts)
{
    const StringList none = { 0 };
    Err err = { 0 };
    char *folder = xprintf("tests/golden/%s/model", name);
    *c = (Case){ 0 };
    c->arch = arch_open(folder, NULL, task, &none, task == TASK_CAUSAL_LM ? 0 : 3, PROBLEM_AUTO, &err);
    must(c->arch != NULL, &err);
    c->files = file ? safetensors_open(file, &err) : safetensors_open_model(folder, &err);
    must(c->files != NULL, &err);
    must(weights_plan(&c->weights, c->arch, c->files, &err), &err);
    float *data = xmalloc((size_t)c->weights.bytes);
    for (int64_t i = 0; i < c->weights.bytes / (int64_t)sizeof *data; i++)
        data[i] = -77.0f;
    c->weights.data = data;
    for (int p = 0; p < parts; p++)
        must(weights_load(&c->weights, c->files, p, parts, &err), &err);
    free(folder);
}

static void close_case(Case *c)
{
    free(c->weights.data);
    weights_release(&c->weights);
    safetensors_close(c->files);
    arch_close(c->arch);
}

static const TensorView *find(const Case *c, const Module *m, bool bias)
{
    const TensorView *t = NULL;
    char *name;
    for (int k = 0; !t && (name = stored_name(c->arch, m, bias, k)); k++) {
        t = safetensors_find(c->files, name);
        free(name);
    }
    return t;
}

/* got[out,in] is the file's, element by element. */
static void expect_tensor(const Module *m, const float *got, const TensorView *t, bool turned)
{
    Err err = { 0 };
    float *all = xcalloc((size_t)t->count, sizeof *all);
    must(tensor_to_f32(all, t, 0, t->count, &err), &err);
    for (int64_t e = 0; e < t->count; e++) {
        const int64_t from = turned ? e % m->in * m->out + e / m->in : e;
        if (got[e] != all[from])
            fail_msg("%s: element %d is %g, not %g", m->path, (int)e, (double)got[e], (double)all[from]);
    }
    free(all);
}

static void expect_module(const Case *c, int i)
{
    const Module *m = &c->arch->modules[i];
    const TensorView *weight = find(c, m, false), *bias = m->bias ? find(c, m, true) : NULL;
    if (weight)
        expect_tensor(m, weights_weight(&c->weights, i), weight, m->transposed);
    else if (m->tied)
        assert_ptr_equal(weights_weight(&c->weights, i),
                         weights_weight(&c->weights, arch_module_index(c->arch, -1, ROLE_WORD)));
    else
        assert_true(m->is_new && *weights_weight(&c->weights, i) == 0);
    if (bias)
        expect_tensor(m, weights_bias(&c->weights, i), bias, false);
    else if (!m->bias)
        assert_null(weights_bias(&c->weights, i));
}

static const struct {
    const char *name;
    TaskType task;
} golden[] = {
    { "bert-tokcls", TASK_TOKEN_CLS },      { "bert-multilabel", TASK_SEQ_CLS }, { "roberta-pair", TASK_SEQ_CLS },
    { "distilbert-regress", TASK_SEQ_CLS }, { "gpt2-clm", TASK_CAUSAL_LM },      { "gpt2-text", TASK_CAUSAL_LM },
    { "gpt2-seqcls", TASK_SEQ_CLS },        { "gpt2-seqcls", TASK_TOKEN_CLS },   { "llama-clm", TASK_CAUSAL_LM },
    { "llama-clm", TASK_SEQ_CLS },          { "qwen2-clm", TASK_CAUSAL_LM },     { "qwen3-clm", TASK_CAUSAL_LM },
    { "opt-clm", TASK_CAUSAL_LM },          { "opt-clm", TASK_SEQ_CLS },         { "vit-imgcls", TASK_IMAGE_CLS }
};

static void every_weight_is_the_files(void **state)
{
    (void)state;
    for (size_t g = 0; g < sizeof golden / sizeof *golden; g++)
        for (int parts = 1; parts <= 7; parts += 3) {
            Case c;
            open_case(&c, golden[g].name, golden[g].task, NULL, parts);
            for (int i = 0; i < c.arch->module_count; i++)
                expect_module(&c, i);
            close_case(&c);
        }
}

static void remove_copy(char *path)
{
    Err err = { 0 };
    char *folder = path_folder(path);
    must(folder_remove(folder, &err), &err);
    free(folder);
    free(path);
}

static char *write_copy(const TensorOut *out, int64_t n)
{
    Err err = { 0 };
    char folder[] = "/tmp/weights_families.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "model.safetensors");
    must(safetensors_write(path, out, n, &err), &err);
    return path;
}

/* The case's tensors, each under its k-th name (where it has so many). */
static char *renamed_copy(const Case *c, int k)
{
    Err err = { 0 };
    TensorOut *out = xcalloc(2 * (size_t)c->arch->module_count, sizeof *out);
    int64_t n = 0;
    for (int i = 0; i < 2 * c->arch->module_count; i++) {
        const Module *m = &c->arch->modules[i / 2];
        const TensorView *t = i % 2 == 0 || m->bias ? find(c, m, i % 2) : NULL;
        if (!t)
            continue;
        char *name = stored_name(c->arch, m, i % 2, k);
        float *data = xcalloc((size_t)t->count, sizeof *data);
        must(tensor_to_f32(data, t, 0, t->count, &err), &err);
        out[n] = (TensorOut){ .name = name ? name : stored_name(c->arch, m, i % 2, 0), .dims = t->dims, .data = data };
        memcpy(out[n++].dim, t->dim, sizeof t->dim);
    }
    char *path = write_copy(out, n);
    for (int64_t i = 0; i < n; i++) {
        free((char *)(uintptr_t)out[i].name);
        free((float *)(uintptr_t)out[i].data);
    }
    free(out);
    return path;
}

static void tensors_are_found_under_each_of_their_names(void **state)
{
    (void)state;
    for (size_t g = 0; g < sizeof golden / sizeof *golden; g++)
        for (int k = 0; k < 8; k++) {
            Case c, copy;
            open_case(&c, golden[g].name, golden[g].task, NULL, 1);
            char *path = renamed_copy(&c, k);
            open_case(&copy, golden[g].name, golden[g].task, path, 1);
            assert_int_equal(copy.weights.bytes, c.weights.bytes);
            for (int i = 0; i < c.arch->module_count; i++)
                assert_memory_equal(weights_weight(&copy.weights, i), weights_weight(&c.weights, i),
                                    (size_t)stored_count(&c.arch->modules[i]) * sizeof(float));
            remove_copy(path);
            close_case(&copy);
            close_case(&c);
        }
}

static const float *weight(const Case *c, int layer, Role role)
{
    return weights_weight(&c->weights, arch_module_index(c->arch, layer, role));
}

static const float *bias(const Case *c, int layer, Role role)
{
    return weights_bias(&c->weights, arch_module_index(c->arch, layer, role));
}

static void grouped_heads_and_a_gated_mlp_are_one_product_each(void **state)
{
    (void)state;
    Case c;
    open_case(&c, "qwen2-clm", TASK_CAUSAL_LM, NULL, 1);
    for (int l = 0; l < 2; l++) {
        assert_ptr_equal(weight(&c, l, ROLE_K), weight(&c, l, ROLE_Q) + 32 * 32);
        assert_ptr_equal(weight(&c, l, ROLE_V), weight(&c, l, ROLE_K) + 16 * 32);
        assert_ptr_equal(bias(&c, l, ROLE_K), bias(&c, l, ROLE_Q) + 32);
        assert_ptr_equal(bias(&c, l, ROLE_V), bias(&c, l, ROLE_K) + 16);
        assert_ptr_equal(weight(&c, l, ROLE_FF_UP), weight(&c, l, ROLE_FF_GATE) + 72 * 32);
    }
    close_case(&c);
}

/* ---- tied heads ------------------------------------------------------------------- */

/* The golden GPT-2's file with a head of its own (`head` its first value), with or
 * without the word table. The path of the copy. */
static char *with_head(bool table, float change)
{
    Err err = { 0 };
    SafeTensors *st = safetensors_open_model("tests/golden/gpt2-clm/model", &err);
    must(st != NULL, &err);
    TensorOut *out = xcalloc((size_t)safetensors_count(st) + 1, sizeof *out);
    const TensorView *word = safetensors_find(st, "transformer.wte.weight");
    float *head = xcalloc((size_t)word->count, sizeof *head);
    must(tensor_to_f32(head, word, 0, word->count, &err), &err);
    head[0] += change;
    int64_t n = 0;
    for (int64_t i = 0; i < safetensors_count(st); i++) {
        const TensorView *t = safetensors_at(st, i);
        if (t == word && !table)
            continue;
        out[n] = (TensorOut){ .name = t->name, .dims = t->dims, .data = t->data };
        memcpy(out[n++].dim, t->dim, sizeof t->dim);
    }
    out[n++] = (TensorOut){ .name = "lm_head.weight", .dims = 2, .dim = { 604, 32 }, .data = head };
    char *path = write_copy(out, n);
    free(out);
    free(head);
    safetensors_close(st);
    return path;
}

static void a_tied_head_is_the_table_unless_the_file_says_otherwise(void **state)
{
    (void)state;
    Case c;
    char *same = with_head(true, 0), *other = with_head(true, 1), *alone = with_head(false, 0);
    open_case(&c, "gpt2-clm", TASK_CAUSAL_LM, same, 1);
    assert_ptr_equal(weight(&c, -1, ROLE_HEAD), weight(&c, -1, ROLE_WORD));
    close_case(&c);
    open_case(&c, "gpt2-clm", TASK_CAUSAL_LM, other, 2);
    assert_ptr_not_equal(weight(&c, -1, ROLE_HEAD), weight(&c, -1, ROLE_WORD));
    assert_true(weight(&c, -1, ROLE_HEAD)[0] == weight(&c, -1, ROLE_WORD)[0] + 1);
    close_case(&c);
    open_case(&c, "gpt2-clm", TASK_CAUSAL_LM, alone, 2);
    assert_ptr_equal(weight(&c, -1, ROLE_HEAD), weight(&c, -1, ROLE_WORD));
    const TensorView *head = safetensors_find(c.files, "lm_head.weight");
    assert_memory_equal(weight(&c, -1, ROLE_WORD), head->data, head->bytes);
    close_case(&c);
    remove_copy(same);
    remove_copy(other);
    remove_copy(alone);
}

/* ---- what is refused ---------------------------------------------------------------- */

static void a_matrix_the_wrong_way_round_is_refused(void **state)
{
    (void)state;
    Err err = { 0 };
    SafeTensors *st = safetensors_open_model("tests/golden/gpt2-clm/model", &err);
    must(st != NULL, &err);
    TensorOut *out = xcalloc((size_t)safetensors_count(st), sizeof *out);
    for (int64_t i = 0; i < safetensors_count(st); i++) {
        const TensorView *t = safetensors_at(st, i);
        out[i] = (TensorOut){ .name = t->name, .dims = t->dims, .data = t->data };
        memcpy(out[i].dim, t->dim, sizeof t->dim);
        if (strcmp(t->name, "transformer.h.0.attn.c_attn.weight") == 0) {
            out[i].dim[0] = 96;
            out[i].dim[1] = 32;
        }
    }
    char *path = write_copy(out, safetensors_count(st));
    free(out);
    safetensors_close(st);
    const StringList none = { 0 };
    ModelArch *arch = arch_open("tests/golden/gpt2-clm/model", NULL, TASK_CAUSAL_LM, &none, 0, PROBLEM_AUTO, &err);
    SafeTensors *files = safetensors_open(path, &err);
    Weights weights;
    must(arch && files, &err);
    assert_false(weights_plan(&weights, arch, files, &err));
    if (!strstr(err.what, "its shape is [96, 32], config.json says [32, 96]") || !strstr(err.where, "c_attn"))
        fail_msg("%s | %s", err.what, err.where);
    safetensors_close(files);
    arch_close(arch);
    remove_copy(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_weight_is_the_files),
        cmocka_unit_test(tensors_are_found_under_each_of_their_names),
        cmocka_unit_test(grouped_heads_and_a_gated_mlp_are_one_product_each),
        cmocka_unit_test(a_tied_head_is_the_table_unless_the_file_says_otherwise),
        cmocka_unit_test(a_matrix_the_wrong_way_round_is_refused),
    };
    return cmocka_run_group_tests_name("weights_families", tests, NULL, NULL);
}
