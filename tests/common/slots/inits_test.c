/* Starts of A and B: those that look at the base leave PEFT's residual (expected/residual.safetensors) and with it the
 * base as it was; distributions of the others; what does not fit is refused by name. */
#include "common/slots/inits.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/stored.h"
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

/* ---- what is taken off the base --------------------------------------------------------- */

static float *tensor(const SafeTensors *file, const char *name, int64_t count)
{
    Err err = { 0 };
    const TensorView *view = safetensors_find(file, name);
    assert_non_null(view);
    assert_int_equal(view->count, count);
    float *x = xmalloc((size_t)count * sizeof *x);
    must(tensor_to_f32(x, view, 0, count, &err), &err);
    return x;
}

/* (B A)[o,i] s */
static double delta(const Case *c, int module, int64_t o, int64_t i)
{
    const ModuleSlots *of = &c->table->modules[module];
    const float *a = c->values + c->table->slots[of->a].offset, *b = c->values + c->table->slots[of->b].offset;
    double sum = 0;
    for (int64_t k = 0; k < of->r; k++)
        sum += (double)b[o * of->r + k] * (double)a[k * c->arch->modules[module].in + i];
    return sum * (double)of->scale;
}

static void check_residual(const char *name)
{
    Case c;
    Err err = { 0 };
    open_golden(&c, golden_index(name));
    char *path = xprintf("tests/golden/%s/expected/residual.safetensors", name);
    SafeTensors *residual = safetensors_open(path, &err), *base = safetensors_open_model(c.arch->folder, &err);
    must(residual && base && slots_init(c.values, c.table, c.arch, &c.lora, 7, &err), &err);
    int seen = 0;
    double worst = 0;
    for (int m = 0; m < c.arch->module_count; m++) {
        const Module *module = &c.arch->modules[m];
        if (c.table->modules[m].a < 0)
            continue;
        char *weight = xprintf("%s.weight", module->path);
        float *left = tensor(residual, weight, module->out * module->in);
        float *w = tensor(base, weight, module->out * module->in),
              *whole = xmalloc((size_t)(module->out * module->in) * 4);
        memcpy(whole, w, (size_t)(module->out * module->in) * 4);
        must(inits_shift_base(w, c.table, m, &c.lora, 7, &err), &err);
        for (int64_t i = 0; i < module->out * module->in; i++) {
            worst = fmax(worst, fabs((double)w[i] - (double)left[i]));
            assert_true(fabs((double)w[i] + delta(&c, m, i / module->in, i % module->in) - (double)whole[i]) < 1e-6);
        }
        seen++;
        free(whole);
        free(w);
        free(left);
        free(weight);
    }
    assert_int_equal(seen, safetensors_count(residual));
    if (!(worst < 2e-5)) /* PEFT decomposes in float */
        fail_msg("%s: the base is off by %g", name, worst);
    safetensors_close(base);
    safetensors_close(residual);
    free(path);
    close_case(&c);
}

static void the_base_that_is_left_is_pefts(void **state)
{
    (void)state;
    check_residual("bert-pissa");
    check_residual("llama-olora");
}

/* A Conv1D's file holds the matrix transposed. */
static void a_transposed_weight_is_turned_first(void **state)
{
    (void)state;
    static const InitMode modes[] = { INIT_PISSA, INIT_OLORA, INIT_PISSA_NITER + 3 };
    for (size_t k = 0; k < LENGTH(modes); k++) {
        Case c;
        Err err = { 0 };
        open_with(&c, "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"c_attn\"], \"r\": 3, \"use_rslora\": true}");
        c.lora.init = modes[k];
        must(slots_init(c.values, c.table, c.arch, &c.lora, 7, &err), &err);
        SafeTensors *base = safetensors_open_model(c.arch->folder, &err);
        must(base != NULL, &err);
        int last = c.arch->module_count - 1;
        while (c.table->modules[last].a < 0)
            last--;
        const Module *module = &c.arch->modules[last];
        const TensorView *view = stored_find(base, c.arch, module, false);
        assert_non_null(view);
        float *stored = xmalloc((size_t)view->count * sizeof *stored), *w = xmalloc((size_t)view->count * sizeof *w);
        must(tensor_to_f32(stored, view, 0, view->count, &err), &err);
        for (int64_t o = 0; o < module->out; o++)
            for (int64_t i = 0; i < module->in; i++)
                w[o * module->in + i] = stored[i * module->out + o];
        must(inits_shift_base(w, c.table, last, &c.lora, 7, &err), &err);
        double most = 0;
        for (int64_t o = 0; o < module->out; o++)
            for (int64_t i = 0; i < module->in; i++) {
                const double part = delta(&c, last, o, i), was = (double)stored[i * module->out + o];
                most = fmax(most, fabs(part));
                assert_true(fabs((double)w[o * module->in + i] + part - was) < 1e-6);
            }
        assert_true(most > 0.01);
        free(w);
        free(stored);
        safetensors_close(base);
        close_case(&c);
    }
}

/* ---- the others ------------------------------------------------------------------------- */

static void orthogonal_starts_have_no_product(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS, "{\"target_modules\": [\"query\", \"intermediate.dense\"], \"r\": 6}");
    c.lora.init = INIT_ORTHOGONAL;
    must(slots_init(c.values, c.table, c.arch, &c.lora, 7, &err), &err);
    for (int m = 0; m < c.arch->module_count; m++) {
        const Module *module = &c.arch->modules[m];
        const ModuleSlots *of = &c.table->modules[m];
        double squares[2] = { 0 };
        if (of->a < 0)
            continue;
        for (int64_t o = 0; o < module->out; o++)
            for (int64_t i = 0; i < module->in; i++)
                assert_true(fabs(delta(&c, m, o, i)) < 1e-7);
        for (int k = 0; k < 2; k++) {
            const Slot *slot = &c.table->slots[k ? of->b : of->a];
            for (int64_t i = 0; i < slot->count; i++)
                squares[k] += pow(c.values[slot->offset + i], 2) / (double)slot->count;
            assert_float_equal(squares[k], 0.01 / 2, 0.002); /* N(0, 1)/10, half of the directions */
        }
    }
    close_case(&c);
}

/* As nn.Linear and nn.Embedding's parameters are made: B too has values. */
static void false_leaves_layers_as_they_are_made(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS, "{\"target_modules\": [\"query\", \"word_embeddings\"], \"r\": 6}");
    c.lora.init = INIT_FALSE;
    must(slots_init(c.values, c.table, c.arch, &c.lora, 7, &err), &err);
    for (int s = 0; s < c.table->count; s++) {
        const Slot *slot = &c.table->slots[s];
        double squares = 0, most = 0;
        if (slot->kind != SLOT_LORA_A && slot->kind != SLOT_LORA_B)
            continue;
        for (int64_t i = 0; i < slot->count; i++) {
            squares += pow(c.values[slot->offset + i], 2) / (double)slot->count;
            most = fmax(most, fabs((double)c.values[slot->offset + i]));
        }
        const bool table = c.arch->modules[slot->module].kind == MODULE_EMBEDDING;
        const double bound = 1 / sqrt((double)slot->dim[1]);
        assert_float_equal(squares, table ? 1 : bound * bound / 3, table ? 0.2 : 0.02);
        assert_true(table || most <= bound);
    }
    close_case(&c);
}

static void refused(const char *name, TaskType task, const char *keys, InitMode mode, const char *what)
{
    Case c;
    Err err = { 0 };
    open_with(&c, name, task, keys);
    c.lora.init = mode;
    assert_false(slots_init(c.values, c.table, c.arch, &c.lora, 7, &err));
    if (!strstr(err.what, what) || !strstr(err.where, "lora.init_lora_weights") || err_exit_code(&err) != 2)
        fail_msg("'%s' at '%s' instead of '%s'", err.what, err.where, what);
    close_case(&c);
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    refused("vit-imgcls", TASK_IMAGE_CLS, "{\"target_modules\": [\"projection\"]}", INIT_PISSA,
            "init_lora_weights 'pissa' knows no convolution, which 'vit.embeddings.patch_embeddings.projection' is");
    refused("bert-seqcls", TASK_SEQ_CLS, "{\"target_modules\": [\"query\"], \"r\": 5}", INIT_ORTHOGONAL,
            "needs an even r, that of 'bert.encoder.layer.0.attention.self.query' is 5");
    refused("bert-seqcls", TASK_SEQ_CLS, "{\"target_modules\": [\"query\"], \"r\": 40}", INIT_OLORA,
            "finds no 40 parts in 'bert.encoder.layer.0.attention.self.query', which is 32 by 32");
    refused("gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"lm_head\"]}", INIT_PISSA_NITER + 2,
            "would change the word table, whose tensor 'lm_head' shares");
}

/* ---- the file ---------------------------------------------------------------------------- */

/* s (B A - B0 A0) on the base as it is, in a plain LoRA of rank 2 r, with patterns and rsLoRA's root too. */
static void the_file_takes_the_start_off_again(void **state)
{
    (void)state;
    Case c, again;
    Err err = { 0 };
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS,
              "{\"target_modules\": [\"query\", \"value\"], \"r\": 4, \"lora_alpha\": 6, \"use_rslora\": true, "
              "\"rank_pattern\": {\"value\": 2}, \"alpha_pattern\": {\"value\": 5}}");
    c.lora.init = INIT_PISSA;
    must(slots_init(c.values, c.table, c.arch, &c.lora, 7, &err), &err);
    float *first = xmalloc((size_t)c.table->size * sizeof *first);
    memcpy(first, c.values, (size_t)c.table->size * sizeof *first);
    for (int64_t i = 0; i < c.table->size; i++)
        c.values[i] += 0.1f * (float)(i % 5);
    char *folder = test_folder_new();
    const AdapterForm form = { .values = c.values, .first = first };
    must(slots_write_adapter(folder, &form, c.table, &c.lora, "model", &err), &err);
    again.arch = open_arch("tests/golden/bert-seqcls/model", TASK_SEQ_CLS, 3);
    must(lora_config_read(&again.lora, folder, &err), &err);
    open_table(&again);
    must(slots_read_adapter(again.values, again.table, folder, &err), &err);
    assert_false(inits_shift(&again.lora));
    for (int m = 0; m < c.arch->module_count; m++) {
        if (c.table->modules[m].a < 0)
            continue;
        assert_int_equal(again.table->modules[m].r, 2 * c.table->modules[m].r);
        for (int64_t i = 0; i < 32 * 32; i++) {
            Case start = c;
            start.values = first;
            const double want = delta(&c, m, i / 32, i % 32) - delta(&start, m, i / 32, i % 32);
            assert_true(fabs(delta(&again, m, i / 32, i % 32) - want) < 1e-5);
        }
    }
    test_folder_drop(folder);
    free(first);
    close_case(&again);
    close_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_base_that_is_left_is_pefts),       cmocka_unit_test(a_transposed_weight_is_turned_first),
        cmocka_unit_test(orthogonal_starts_have_no_product),    cmocka_unit_test(false_leaves_layers_as_they_are_made),
        cmocka_unit_test(what_does_not_fit_is_refused_by_name), cmocka_unit_test(the_file_takes_the_start_off_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
