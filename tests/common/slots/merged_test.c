/* Merged weights beside plain loops over the definition, in every layout of files; a bf16 merge beside PEFT's own. */
#include "common/slots/merged.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/base.h"
#include "common/model/model_folder.h"
#include "common/slots/inits.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Subject {
    Case c;
    SafeTensors *files;
    SavedModel saved;
    Merged merged;
} Subject;

static void open_files(Subject *s, Dtype dtype)
{
    Err err = { 0 };
    s->files = safetensors_open_model(s->c.arch->folder, &err);
    must(s->files != NULL, &err);
    must(base_check(s->c.arch, s->files, &err), &err);
    must(merged_check(&s->c.lora, s->c.table, &err), &err);
    saved_open(&s->saved, s->c.arch, s->files, dtype, merged_unties(s->c.table));
    must(merged_init(&s->merged, s->c.table, s->c.values, &s->saved, &err), &err);
}

static void fill(Case *c)
{
    for (int64_t i = 0; i < c->table->size; i++)
        c->values[i] = (float)((double)(i * 7919 % 1000) / 1000 - 0.4);
}

static void close_subject(Subject *s)
{
    merged_release(&s->merged);
    saved_release(&s->saved);
    safetensors_close(s->files);
    close_case(&s->c);
}

/* s sum_r B[out, r] A[r, in] of a linear's output and input, an embedding's column and row, a convolution's channel
 * and place in the patch. */
static double product(const Case *c, int module, int64_t out, int64_t in)
{
    const ModuleSlots *of = &c->table->modules[module];
    const Slot *a = &c->table->slots[of->a], *b = &c->table->slots[of->b];
    const int64_t inputs = of->r > 0 ? a->count / of->r : 0;
    double sum = 0;
    for (int64_t r = 0; r < of->r; r++)
        sum += (double)c->values[b->offset + out * of->r + r] * c->values[a->offset + r * inputs + in] *
               (of->e >= 0 ? c->values[c->table->slots[of->e].offset + r] : 1);
    return of->scale * sum;
}

/* W + s B A at a place of the file. */
static double added(const Subject *s, const SavedTensor *t, int64_t row, int64_t column)
{
    const Module *m = &s->c.arch->modules[t->module];
    const bool inputs_first = m->kind == MODULE_EMBEDDING || m->transposed;
    float w;
    Err err = { 0 };
    must(tensor_to_f32(&w, t->source, row * (t->count / t->dim[0]) + column, 1, &err), &err);
    return w + (inputs_first ? product(&s->c, t->module, column, row) : product(&s->c, t->module, row, column));
}

/* DoRA: that times the output's magnitude, divided by its length. */
static double lengthened(const Subject *s, const SavedTensor *t, int64_t row, int64_t column)
{
    const Module *m = &s->c.arch->modules[t->module];
    const Slot *slot = &s->c.table->slots[s->c.table->modules[t->module].magnitude];
    const bool inputs_first = m->kind == MODULE_EMBEDDING || m->transposed;
    const int64_t columns = t->count / t->dim[0];
    double square = 0;
    for (int64_t i = 0; i < (inputs_first ? t->dim[0] : columns); i++) {
        const double x = inputs_first ? added(s, t, i, column) : added(s, t, row, i);
        square += x * x;
    }
    return added(s, t, row, column) * s->c.values[slot->offset + (inputs_first ? column : row)] / sqrt(square);
}

/* Element i of the tensor by the definition. */
static double defined(const Subject *s, const SavedTensor *t, int64_t i)
{
    const Case *c = &s->c;
    const ModuleSlots *of = &c->table->modules[t->module];
    const int whole = t->bias ? of->bias : of->weight;
    const int64_t columns = t->count / t->dim[0], row = i / columns, column = i % columns;
    const double of_b =
        t->bias && of->lora_bias >= 0 ? (double)of->scale * c->values[c->table->slots[of->lora_bias].offset + i] : 0;
    if (whole >= 0) {
        const Slot *slot = &c->table->slots[whole];
        return c->values[slot->offset + (slot->transposed ? column * t->dim[0] + row : i)] + of_b;
    }
    for (int64_t k = 0; !t->bias && of->tokens >= 0 && k < c->table->token_count; k++)
        if (c->table->tokens[k] == row)
            return c->values[c->table->slots[of->tokens].offset + k * columns + column];
    float w;
    Err err = { 0 };
    must(tensor_to_f32(&w, t->source, i, 1, &err), &err);
    if (t->bias)
        return w + of_b;
    return of->a < 0           ? w
           : of->magnitude < 0 ? added(s, t, row, column)
           : i % 37 == 0       ? lengthened(s, t, row, column) /* some: each is a sum */
                               : NAN;
}

static int check_all(Subject *s, const char *what)
{
    float *got = xcalloc((size_t)s->saved.largest, sizeof *got);
    Err err = { 0 };
    for (int k = 0; k < s->saved.count; k++) {
        const SavedTensor *t = &s->saved.tensors[k];
        must(merged_read(&s->merged, t, got, &err), &err);
        for (int64_t i = 0; i < t->count; i++) {
            const double want = defined(s, t, i);
            if (!isnan(want) && !(fabs(got[i] - want) <= 4e-6 * fmax(1, fabs(want))))
                fail_msg("%s: %s[%lld] is %.9g, should be %.9g", what, t->name, (long long)i, (double)got[i], want);
        }
    }
    free(got);
    return s->merged.report.adapted;
}

static void a_merged_weight_is_w_plus_s_b_a(void **state)
{
    (void)state;
    for (int g = 0; g < GOLDEN; g++) {
        Subject s = { 0 };
        open_golden(&s.c, g);
        if (inits_shift(&s.c.lora)) { /* of another base than the one on disk */
            Err err = { 0 };
            assert_false(merged_check(&s.c.lora, s.c.table, &err));
            assert_non_null(strstr(err.what, "changed its base"));
            close_case(&s.c);
            continue;
        }
        fill(&s.c);
        open_files(&s, DTYPE_F32);
        int adapted = 0;
        for (int i = 0; i < s.c.arch->module_count; i++)
            adapted += s.c.table->modules[i].a >= 0;
        assert_int_equal(check_all(&s, golden[g].name), adapted);
        close_subject(&s);
    }
}

static void in_every_layout_of_files(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        TaskType task;
        const char *lora;
        int adapted;
    } rows[] = {
        { "gpt2-clm", TASK_CAUSAL_LM,
          "{\"target_modules\": [\"wte\", \"wpe\", \"c_attn\", \"c_proj\"], \"r\": 3, \"bias\": \"all\"}", 8 },
        { "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"wte\"], \"modules_to_save\": [\"c_fc\", \"ln_1\"]}", 1 },
        { "llama-clm", TASK_CAUSAL_LM,
          "{\"target_modules\": [\"embed_tokens\", \"lm_head\", \"v_proj\"], \"use_rslora\": true}", 4 },
        { "bert-seqcls", TASK_SEQ_CLS,
          "{\"target_modules\": [\"query\", \"word_embeddings\"], \"bias\": \"lora_only\", \"rank_pattern\": {\"layer.1.*query\": 7}}",
          3 },
        { "bert-seqcls", TASK_SEQ_CLS,
          "{\"target_modules\": [\"query\", \"value\"], \"bias\": \"lora_only\", \"lora_bias\": true}", 4 },
        { "gpt2-clm", TASK_CAUSAL_LM,
          "{\"target_modules\": [\"c_attn\", \"c_proj\"], \"bias\": \"all\", \"lora_bias\": true}", 6 },
        { "vit-imgcls", TASK_IMAGE_CLS,
          "{\"target_modules\": [\"projection\", \"fc1\"], \"modules_to_save\": [\"classifier\"]}", 3 },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Subject s = { 0 };
        open_with(&s.c, rows[i].model, rows[i].task, rows[i].lora);
        fill(&s.c);
        open_files(&s, DTYPE_OTHER);
        assert_int_equal(check_all(&s, rows[i].lora), rows[i].adapted);
        close_subject(&s);
    }
}

static const SavedTensor *saved_named(const SavedModel *saved, const char *name)
{
    for (int i = 0; i < saved->count; i++)
        if (strcmp(saved->tensors[i].name, name) == 0)
            return &saved->tensors[i];
    return NULL;
}

static void a_tied_pair_parts_when_one_side_is_adapted(void **state)
{
    (void)state;
    static const struct {
        const char *lora;
        bool parts;
    } rows[] = { { "{\"target_modules\": [\"c_attn\"]}", false },
                 { "{\"target_modules\": [\"wte\"]}", true },
                 { "{\"target_modules\": [\"lm_head\"]}", true },
                 { "{\"target_modules\": [\"c_attn\"], \"modules_to_save\": [\"lm_head\"]}", true } };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Subject s = { 0 };
        open_with(&s.c, "gpt2-clm", TASK_CAUSAL_LM, rows[i].lora);
        fill(&s.c);
        open_files(&s, DTYPE_F32);
        assert_int_equal(s.saved.untied, rows[i].parts);
        assert_int_equal(saved_named(&s.saved, "lm_head.weight") != NULL, rows[i].parts);
        check_all(&s, rows[i].lora);
        close_subject(&s);
    }
}

static void a_bf16_merge_is_pefts_to_the_bit(void **state)
{
    (void)state;
    Subject s = { 0 };
    Err err = { 0 };
    open_golden(&s.c, golden_index("llama-clm"));
    must(slots_read_adapter(s.c.values, s.c.table, "tests/golden/llama-clm/expected", &err), &err);
    open_files(&s, DTYPE_OTHER);
    char *folder = test_folder_new();
    const ModelWeights weights = { &s.saved, 50000, merged_write, &s.merged };
    must(model_folder_weights(folder, &weights, &err), &err);
    SafeTensors *got = safetensors_open_model(folder, &err);
    must(got != NULL, &err);
    SafeTensors *want = safetensors_open("tests/golden/llama-clm/expected/merged-bfloat16.safetensors", &err);
    must(want != NULL, &err);
    assert_int_equal(safetensors_count(got), safetensors_count(want));
    for (int64_t i = 0; i < safetensors_count(want); i++) {
        const TensorView *w = safetensors_at(want, i), *g = safetensors_find(got, w->name);
        assert_non_null(g);
        assert_int_equal(g->dtype, DTYPE_BF16);
        assert_true(tensor_has_shape(g, w->dims, w->dim));
        assert_memory_equal(g->data, w->data, (size_t)w->bytes);
    }
    /* what is rounded away of s B A: some, and little */
    const double lost = sqrt(s.merged.report.lost / s.merged.report.delta);
    assert_true(lost > 0.001 && lost < 0.02);
    safetensors_close(want);
    safetensors_close(got);
    test_folder_drop(folder);
    close_subject(&s);
}

static void a_head_that_nobody_has_is_said(void **state)
{
    (void)state;
    Subject s = { 0 };
    Err err = { 0 };
    open_with(&s.c, "vit-imgcls", TASK_IMAGE_CLS, "{\"target_modules\": [\"fc1\"]}");
    open_files(&s, DTYPE_F32);
    SavedTensor head = *saved_named(&s.saved, "classifier.weight");
    head.source = NULL; /* of a base without a head */
    float *out = xcalloc((size_t)head.count, sizeof *out);
    assert_false(merged_read(&s.merged, &head, out, &err));
    assert_non_null(strstr(err.what, "'classifier.weight'"));
    assert_non_null(strstr(err.hint, "modules_to_save"));
    free(out);
    close_subject(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_merged_weight_is_w_plus_s_b_a),
        cmocka_unit_test(in_every_layout_of_files),
        cmocka_unit_test(a_tied_pair_parts_when_one_side_is_adapted),
        cmocka_unit_test(a_bf16_merge_is_pefts_to_the_bit),
        cmocka_unit_test(a_head_that_nobody_has_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
