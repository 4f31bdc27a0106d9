/* The golden models' tensors, and damaged copies of them, in one block. */
#include "worker/model/weights.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/support/folder.h"
#include "tests/support/must.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char seqcls[] = "tests/golden/bert-seqcls/model";
static const char multilabel[] = "tests/golden/bert-multilabel/model"; /* norms: gamma, beta */
static const float untouched = -77.0f;

/* ---- a model, and files for it ----------------------------------------------------- */

typedef struct Case {
    ModelArch *arch;
    SafeTensors *files;
    Weights weights;
} Case;

static void open_case(Case *c, const char *folder, const char *file)
{
    const StringList none = { 0 };
    Err err = { 0 };
    *c = (Case){ 0 };
    c->arch = arch_open(folder, NULL, TASK_SEQ_CLS, &none, 3, PROBLEM_AUTO, &err);
    must(c->arch != NULL, &err);
    c->files = file ? safetensors_open(file, &err) : safetensors_open_model(folder, &err);
    must(c->files != NULL, &err);
}

static void close_case(Case *c)
{
    free(c->weights.data);
    weights_release(&c->weights);
    safetensors_close(c->files);
    arch_close(c->arch);
}

/* Room for the weights, each float marked. */
static float *make_room(const Weights *weights)
{
    float *data = xmalloc((size_t)weights->bytes);
    for (int64_t i = 0; i < weights->bytes / (int64_t)sizeof *data; i++)
        data[i] = untouched;
    return data;
}

static void plan_and_load(Case *c)
{
    Err err = { 0 };
    must(weights_plan(&c->weights, c->arch, c->files, &err), &err);
    c->weights.data = make_room(&c->weights);
    must(weights_load(&c->weights, c->files, 0, 1, &err), &err);
}

/* How a copy of a model's file differs from it. */
typedef struct Change {
    const char *drop; /* a tensor left out */
    const char *shorter; /* a tensor with one row less */
    const char *prefix; /* cut from the names */
    TensorOut more[2]; /* added */
    int more_count;
} Change;

/* The path of a changed copy of FOLDER's file, in a new folder. */
static char *changed_copy(const char *folder, const Change *change)
{
    Err err = { 0 };
    SafeTensors *st = safetensors_open_model(folder, &err);
    must(st != NULL, &err);
    TensorOut *out = xcalloc((size_t)safetensors_count(st) + 2, sizeof *out);
    int64_t n = 0;
    for (int64_t i = 0; i < safetensors_count(st); i++) {
        const TensorView *t = safetensors_at(st, i);
        const char *name = t->name;
        if (change->drop && strcmp(name, change->drop) == 0)
            continue;
        if (change->prefix && text_starts(name, change->prefix))
            name += strlen(change->prefix);
        out[n] = (TensorOut){ .name = name, .dims = t->dims, .data = t->data };
        memcpy(out[n].dim, t->dim, sizeof out[n].dim);
        if (change->shorter && strcmp(name, change->shorter) == 0)
            out[n].dim[0]--;
        n++;
    }
    for (int i = 0; i < change->more_count; i++)
        out[n++] = change->more[i];
    char *place = test_folder_new();
    char *path = path_join(place, "model.safetensors");
    must(safetensors_write(path, out, n, &err), &err);
    free(place);
    free(out);
    safetensors_close(st);
    return path;
}

static void remove_copy(char *path)
{
    Err err = { 0 };
    char *folder = path_folder(path);
    must(folder_remove(folder, &err), &err);
    free(folder);
    free(path);
}

/* ---- what is expected ---------------------------------------------------------------- */

static void holds(const Case *c, const float *data, const char *name, int64_t count)
{
    const TensorView *t = safetensors_find(c->files, name);
    if (!t)
        fail_msg("the file has no '%s'", name);
    assert_int_equal(t->count, count);
    assert_int_equal(t->dtype, DTYPE_F32);
    assert_memory_equal(data, t->data, t->bytes);
}

static void holds_zeros(const float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        assert_true(data[i] == 0.0f);
}

/* Every module but the head is in the block, from tensors with these names. */
static void holds_the_body(const Case *c, size_t cut, const char *norm_weight, const char *norm_bias)
{
    for (int i = 0; i < c->arch->module_count; i++) {
        const Module *m = &c->arch->modules[i];
        const bool norm = m->kind == MODULE_NORM;
        if (m->is_new)
            continue;
        char *weight = xprintf("%s.%s", m->path + cut, norm ? norm_weight : "weight");
        char *bias = xprintf("%s.%s", m->path + cut, norm ? norm_bias : "bias");
        holds(c, weights_weight(&c->weights, i), weight, norm ? m->out : m->out * m->in);
        if (m->bias)
            holds(c, weights_bias(&c->weights, i), bias, m->out);
        else
            assert_null(weights_bias(&c->weights, i));
        free(weight);
        free(bias);
    }
}

static int head_of(const Case *c)
{
    const int head = arch_module_index(c->arch, -1, ROLE_HEAD);
    assert_true(head >= 0);
    return head;
}

/* ---- loading ----------------------------------------------------------------------------- */

static void the_block_holds_what_the_file_holds(void **state)
{
    (void)state;
    Case c;
    open_case(&c, seqcls, NULL);
    plan_and_load(&c);
    holds_the_body(&c, 0, "weight", "bias");
    close_case(&c);
}

static void old_names_of_norms_are_found_and_other_heads_ignored(void **state)
{
    (void)state;
    Case c;
    open_case(&c, multilabel, NULL);
    assert_non_null(safetensors_find(c.files, "cls.predictions.bias"));
    plan_and_load(&c);
    holds_the_body(&c, 0, "gamma", "beta");
    close_case(&c);
}

static void a_file_without_the_familys_prefix_gives_the_same_block(void **state)
{
    (void)state;
    Case plain, with;
    char *path = changed_copy(seqcls, &(Change){ .prefix = "bert." });
    open_case(&plain, seqcls, path);
    open_case(&with, seqcls, NULL);
    assert_non_null(safetensors_find(plain.files, "embeddings.word_embeddings.weight"));
    plan_and_load(&plain);
    plan_and_load(&with);
    holds_the_body(&plain, strlen("bert."), "weight", "bias");
    assert_int_equal(plain.weights.bytes, with.weights.bytes);
    assert_memory_equal(plain.weights.data, with.weights.data, (size_t)with.weights.bytes);
    close_case(&plain);
    close_case(&with);
    remove_copy(path);
}

static void a_new_head_that_is_absent_is_zero(void **state)
{
    (void)state;
    Case c;
    open_case(&c, seqcls, NULL);
    assert_null(safetensors_find(c.files, "classifier.weight"));
    plan_and_load(&c);
    const int head = head_of(&c);
    holds_zeros(weights_weight(&c.weights, head), 3 * c.arch->C);
    holds_zeros(weights_bias(&c.weights, head), 3);
    close_case(&c);
}

static void a_head_in_the_file_is_loaded(void **state)
{
    (void)state;
    float weight[3 * 64], bias[] = { 0.5f, -1.0f, 2.0f };
    for (int i = 0; i < 3 * 64; i++)
        weight[i] = (float)i;
    Case c;
    open_case(&c, seqcls, NULL);
    const int64_t C = c.arch->C;
    close_case(&c);
    assert_true(C <= 64);
    const Change change = {
        .more = { { "classifier.weight", 2, { 3, C }, weight }, { "classifier.bias", 1, { 3 }, bias } }, .more_count = 2
    };
    char *path = changed_copy(seqcls, &change);
    open_case(&c, seqcls, path);
    plan_and_load(&c);
    const int head = head_of(&c);
    assert_memory_equal(weights_weight(&c.weights, head), weight, (size_t)(3 * C) * sizeof(float));
    assert_memory_equal(weights_bias(&c.weights, head), bias, sizeof bias);
    close_case(&c);
    remove_copy(path);
}

static void any_number_of_parts_loads_the_same_block(void **state)
{
    (void)state;
    static const int parts[] = { 2, 3, 7, 1000 };
    Case c;
    Err err = { 0 };
    open_case(&c, multilabel, NULL);
    plan_and_load(&c);
    for (int k = 0; k < 4; k++) {
        Weights shared = c.weights;
        shared.data = make_room(&shared);
        for (int part = parts[k] - 1; part >= 0; part--)
            must(weights_load(&shared, c.files, part, parts[k], &err), &err);
        assert_memory_equal(shared.data, c.weights.data, (size_t)shared.bytes);
        free(shared.data);
    }
    close_case(&c);
}

static void a_part_writes_only_its_share(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_case(&c, seqcls, NULL);
    must(weights_plan(&c.weights, c.arch, c.files, &err), &err);
    const int64_t lines = c.weights.bytes / 64, begin = lines / 3 * 16, end = lines * 2 / 3 * 16; /* in floats */
    float *data = make_room(&c.weights);
    c.weights.data = data;
    must(weights_load(&c.weights, c.files, 1, 3, &err), &err);
    int64_t written = 0;
    for (int64_t i = 0; i < lines * 16; i++) {
        if (i < begin || i >= end)
            assert_true(data[i] == untouched);
        else
            written += data[i] != untouched;
    }
    assert_true(written > (end - begin) * 9 / 10);
    close_case(&c);
}

/* ---- layout -------------------------------------------------------------------------------- */

static void q_k_and_v_lie_one_behind_the_other(void **state)
{
    (void)state;
    Case c;
    open_case(&c, multilabel, NULL);
    plan_and_load(&c);
    const int64_t C = c.arch->C;
    for (int layer = 0; layer < (int)c.arch->layers; layer++) {
        const WeightSpan *q = &c.weights.modules[arch_module_index(c.arch, layer, ROLE_Q)];
        const WeightSpan *k = &c.weights.modules[arch_module_index(c.arch, layer, ROLE_K)];
        const WeightSpan *v = &c.weights.modules[arch_module_index(c.arch, layer, ROLE_V)];
        assert_int_equal(k->weight, q->weight + C * C * 4);
        assert_int_equal(v->weight, k->weight + C * C * 4);
        assert_int_equal(k->bias, q->bias + C * 4);
        assert_int_equal(v->bias, k->bias + C * 4);
    }
    close_case(&c);
}

typedef struct Span {
    int64_t begin, end;
} Span;

static int by_begin(const void *a, const void *b)
{
    const Span *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static void tensors_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    Case c;
    open_case(&c, multilabel, NULL);
    plan_and_load(&c);
    Span *spans = xcalloc((size_t)c.arch->module_count * 2, sizeof *spans);
    int n = 0;
    for (int i = 0; i < c.arch->module_count; i++) {
        const Module *m = &c.arch->modules[i];
        const WeightSpan *at = &c.weights.modules[i];
        const int64_t count = m->kind == MODULE_NORM ? m->out : m->out * m->in;
        spans[n++] = (Span){ at->weight, at->weight + count * 4 };
        if (m->bias)
            spans[n++] = (Span){ at->bias, at->bias + m->out * 4 };
        if (m->role == ROLE_K || m->role == ROLE_V)
            continue;
        assert_int_equal(at->weight % 64, 0);
        assert_true(at->bias < 0 || at->bias % 64 == 0);
    }
    qsort(spans, (size_t)n, sizeof *spans, by_begin);
    assert_int_equal(spans[0].begin, 0);
    for (int i = 1; i < n; i++)
        assert_true(spans[i].begin >= spans[i - 1].end && spans[i].begin < spans[i - 1].end + 64);
    assert_true(spans[n - 1].end <= c.weights.bytes && c.weights.bytes < spans[n - 1].end + 64);
    free(spans);
    close_case(&c);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void refused(const char *path, const char *what, const char *where, const char *hint)
{
    Case c;
    Err err = { 0 };
    open_case(&c, seqcls, path);
    assert_false(weights_plan(&c.weights, c.arch, c.files, &err));
    assert_string_equal(err.what, what);
    assert_string_equal(err.where, where);
    assert_non_null(strstr(err.hint, hint));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_null(c.weights.modules);
    close_case(&c);
}

static void a_missing_tensor_is_named(void **state)
{
    (void)state;
    static const char *const names[] = { "bert.encoder.layer.1.attention.self.key.weight",
                                         "bert.encoder.layer.0.output.LayerNorm.bias",
                                         "bert.embeddings.position_embeddings.weight", "bert.pooler.dense.bias" };
    for (int i = 0; i < 4; i++) {
        char *path = changed_copy(seqcls, &(Change){ .drop = names[i] });
        char *what = xprintf("there is no tensor '%s'", names[i]);
        refused(path, what, path, "it is looked for with and without 'bert.'; there are ");
        free(what);
        remove_copy(path);
    }
}

static void a_tensor_of_another_shape_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = { "bert.encoder.layer.1.attention.self.key.weight",
                                         "bert.encoder.layer.0.output.LayerNorm.bias" };
    static const char *const whats[] = { "its shape is [31, 32], config.json says [32, 32]",
                                         "its shape is [31], config.json says [32]" };
    for (int i = 0; i < 2; i++) {
        char *path = changed_copy(seqcls, &(Change){ .shorter = names[i] });
        char *where = xprintf("%s: %s", path, names[i]);
        refused(path, whats[i], where, "config.json and the weights are of different models");
        free(where);
        remove_copy(path);
    }
}

/* number 5 of this tensor of the model is `value` */
static void not_finite(const char *folder, const char *name, float value, const char *number)
{
    Case c;
    Err err = { 0 };
    open_case(&c, folder, NULL);
    const TensorView *t = safetensors_find(c.files, name);
    assert_non_null(t);
    TensorOut odd = { .name = name, .dims = t->dims };
    memcpy(odd.dim, t->dim, sizeof odd.dim);
    float *values = xmalloc((size_t)t->bytes);
    memcpy(values, t->data, (size_t)t->bytes);
    values[5] = value;
    odd.data = values;
    char *path = changed_copy(folder, &(Change){ .drop = name, .more = { odd }, .more_count = 1 });
    close_case(&c);
    open_case(&c, folder, path);
    must(weights_plan(&c.weights, c.arch, c.files, &err), &err);
    c.weights.data = make_room(&c.weights);
    int failed = 0;
    for (int part = 0; part < 3; part++)
        failed += !weights_load(&c.weights, c.files, part, 3, &err);
    char *what = xprintf("'%s' holds values that are not finite: number %s", name, number);
    assert_int_equal(failed, 1);
    assert_string_equal(err.what, what);
    assert_string_equal(err.where, path);
    assert_int_equal(err_exit_code(&err), 5);
    free(what);
    free(values);
    close_case(&c);
    remove_copy(path);
}

static void a_weight_that_is_not_finite_is_named(void **state)
{
    (void)state;
    not_finite(seqcls, "bert.encoder.layer.1.intermediate.dense.weight", NAN, "5 is nan");
    not_finite(seqcls, "bert.embeddings.LayerNorm.bias", -INFINITY, "5 is -inf");
    not_finite("tests/golden/gpt2-clm/model", "transformer.h.1.mlp.c_fc.weight", INFINITY, "5 is inf");
}

static void a_head_for_other_labels_is_refused(void **state)
{
    (void)state;
    const float weight[2 * 32] = { 0 };
    const Change change = { .more = { { "classifier.weight", 2, { 2, 32 }, weight } }, .more_count = 1 };
    char *path = changed_copy(seqcls, &change);
    char *where = xprintf("%s: classifier.weight", path);
    refused(path, "its shape is [2, 32], this run needs [3, 32]", where, "the file holds a head for other labels");
    free(where);
    remove_copy(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_block_holds_what_the_file_holds),
        cmocka_unit_test(old_names_of_norms_are_found_and_other_heads_ignored),
        cmocka_unit_test(a_file_without_the_familys_prefix_gives_the_same_block),
        cmocka_unit_test(a_new_head_that_is_absent_is_zero),
        cmocka_unit_test(a_head_in_the_file_is_loaded),
        cmocka_unit_test(any_number_of_parts_loads_the_same_block),
        cmocka_unit_test(a_part_writes_only_its_share),
        cmocka_unit_test(q_k_and_v_lie_one_behind_the_other),
        cmocka_unit_test(tensors_are_aligned_and_do_not_overlap),
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(a_tensor_of_another_shape_is_refused),
        cmocka_unit_test(a_weight_that_is_not_finite_is_named),
        cmocka_unit_test(a_head_for_other_labels_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
