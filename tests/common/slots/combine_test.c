/* Adapters combined beside PEFT's own combinations (tests/golden/combine), and what holds of every kind of module. */
#include "common/slots/combine.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/slots_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER "tests/golden/combine"

/* An adapter, or what came out. */
typedef struct Side {
    LoraConfig lora;
    SlotTable *table;
    float *values;
} Side;

static void open_side(Side *s, const ModelArch *arch)
{
    Err err = { 0 };
    s->table = slots_open(arch, &s->lora, &err);
    must(s->table != NULL, &err);
    s->values = xcalloc((size_t)s->table->size, sizeof *s->values);
}

static void read_side(Side *s, const ModelArch *arch, const char *folder)
{
    Err err = { 0 };
    must(lora_config_read(&s->lora, folder, &err), &err);
    open_side(s, arch);
    must(slots_read_adapter(s->values, s->table, folder, &err), &err);
}

static void fill_side(Side *s, const ModelArch *arch, const char *lora, int64_t by)
{
    s->lora = settings(lora);
    s->lora.published = true;
    open_side(s, arch);
    for (int64_t i = 0; i < s->table->size; i++)
        s->values[i] = (float)((double)(i * by % 1000) / 1000 - 0.4);
}

static void close_side(Side *s)
{
    slots_close(s->table);
    lora_config_release(&s->lora);
    free(s->values);
}

static CombinePart part_of(const Side *s, const char *name, double weight)
{
    return (CombinePart){ name, &s->lora, s->table, s->values, weight };
}

/* The parts as one; close_side it. */
static void combine(Side *out, CombineOptions *o, const CombinePart *parts, int count, const char *first)
{
    Err err = { 0 };
    const ModelArch *arch = parts[0].table->arch;
    must(combine_check(o, parts, count, &err), &err);
    if (first)
        must(lora_config_read(&out->lora, first, &err), &err);
    combine_settings(&out->lora, o, parts, count);
    open_side(out, arch);
    must(combine_values(out->values, out->table, o, parts, count, &err), &err);
}

/* s (B A)[i, j] of a module; 0 where it is not adapted. */
static double product(const Side *s, int module, int64_t i, int64_t j)
{
    const ModuleSlots *of = &s->table->modules[module];
    if (of->a < 0)
        return 0;
    const Slot *a = &s->table->slots[of->a], *b = &s->table->slots[of->b];
    const int64_t n = a->count / of->r;
    double sum = 0;
    for (int64_t r = 0; r < of->r; r++)
        sum += (double)s->values[b->offset + i * of->r + r] * s->values[a->offset + r * n + j];
    return of->scale * sum;
}

/* |s B A - sum_k w_k s_k B_k A_k| at its largest, over all modules. */
static double away(const Side *got, const Side *sides, const double *weight, int count)
{
    const ModelArch *arch = got->table->arch;
    double most = 0;
    for (int module = 0; module < arch->module_count; module++) {
        const ModuleSlots *of = &got->table->modules[module];
        if (of->a < 0)
            continue;
        const int64_t n = got->table->slots[of->a].count / of->r, m = got->table->slots[of->b].count / of->r;
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double want = 0;
                for (int k = 0; k < count; k++)
                    want += weight[k] * product(&sides[k], module, i, j);
                most = fmax(most, fabs(product(got, module, i, j) - want));
            }
    }
    return most;
}

static double number_of(const json_t *row, const char *key, double none)
{
    const json_t *value = json_object_get(row, key);
    return value ? json_number_value(value) : none;
}

static void every_combination_is_pefts(void **state)
{
    (void)state;
    Err err = { 0 };
    ModelArch *arch = open_arch(FOLDER "/model", TASK_CAUSAL_LM, 0);
    Side sides[2] = { 0 };
    read_side(&sides[0], arch, FOLDER "/a");
    read_side(&sides[1], arch, FOLDER "/b");
    json_t *all = json_file(FOLDER "/combine.json", &err), *row;
    must(all != NULL, &err);
    size_t i;
    json_array_foreach(json_object_get(all, "combinations"), i, row)
    {
        const char *name = json_string_value(json_object_get(row, "name"));
        const char *type = json_string_value(json_object_get(row, "combination_type"));
        const char *sign = json_string_value(json_object_get(row, "majority_sign_method"));
        const json_t *weights = json_object_get(row, "weights");
        CombineOptions o = { .type = combine_type(type, &err), .density = number_of(row, "density", -1) };
        o.svd_rank = (int64_t)number_of(row, "svd_rank", 0);
        o.by_frequency = sign && strcmp(sign, "frequency") == 0;
        const CombinePart parts[] = { part_of(&sides[0], "a", json_number_value(json_array_get(weights, 0))),
                                      part_of(&sides[1], "b", json_number_value(json_array_get(weights, 1))) };
        Side got = { 0 }, want = { 0 };
        char *folder = xprintf(FOLDER "/%s", name), *path = xprintf("%s/adapter_config.json", folder);
        combine(&got, &o, parts, 2, FOLDER "/a");
        read_side(&want, arch, folder);
        assert_int_equal(got.table->hash, want.table->hash);
        if (combine_cuts(o.type)) { /* the signs of a decomposition are anybody's */
            const double off = away(&got, &want, (const double[]){ 1 }, 1);
            if (!(off < 1e-5))
                fail_msg("%s: B A is off by %g", name, off);
        } else {
            for (int64_t k = 0; k < got.table->size; k++)
                if (!(fabsf(got.values[k] - want.values[k]) <= 1e-7F))
                    fail_msg("%s: value %lld is %g, should be %g", name, (long long)k, (double)got.values[k],
                             (double)want.values[k]);
        }
        json_t *config = json_file(path, &err), *ours = written_config(got.table, &got.lora);
        json_object_del(config, "base_model_name_or_path");
        expect_config(name, ours, config);
        json_decref(ours);
        json_decref(config);
        close_side(&want);
        close_side(&got);
        free(path);
        free(folder);
    }
    assert_int_equal(i, 8);
    json_decref(all);
    close_side(&sides[1]);
    close_side(&sides[0]);
    arch_close(arch);
}

static void cat_and_a_full_svd_are_the_sum_of_every_kind_of_module(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        TaskType task;
        const char *a, *b;
    } rows[] = {
        { "gpt2-clm", TASK_CAUSAL_LM,
          "{\"target_modules\": [\"wte\", \"c_attn\"], \"r\": 3, \"lora_alpha\": 5, \"use_rslora\": true}",
          "{\"target_modules\": [\"wte\", \"c_fc\"], \"r\": 2, \"rank_pattern\": {\"wte\": 5}}" },
        { "vit-imgcls", TASK_IMAGE_CLS,
          "{\"target_modules\": [\"projection\", \"fc1\"], \"modules_to_save\": [\"classifier\"]}",
          "{\"target_modules\": [\"projection\"], \"r\": 2}" },
        { "llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\", \"v_proj\"], \"layers_to_transform\": [0]}",
          "{\"target_modules\": \".*layers.1.*down_proj\", \"r\": 2}" },
    };
    static const double weight[] = { 0.75, -1.5 };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char *folder = xprintf("tests/golden/%s/model", rows[i].model);
        ModelArch *arch = open_arch(folder, rows[i].task, rows[i].task == TASK_CAUSAL_LM ? 0 : 3);
        Side sides[2] = { 0 };
        fill_side(&sides[0], arch, rows[i].a, 7919);
        fill_side(&sides[1], arch, rows[i].b, 104729);
        const CombinePart parts[] = { part_of(&sides[0], "a", weight[0]), part_of(&sides[1], "b", weight[1]) };
        for (int way = 0; way < 2; way++) {
            Err err = { 0 };
            CombineOptions o = { .type = combine_type(way ? "svd" : "cat", &err), .svd_rank = way ? 9 : 0 };
            Side got = { .lora = settings(rows[i].a) };
            combine(&got, &o, parts, 2, NULL);
            for (int m = 0; m < arch->module_count; m++)
                assert_int_equal(got.table->modules[m].a >= 0,
                                 sides[0].table->modules[m].a >= 0 || sides[1].table->modules[m].a >= 0);
            const double off = away(&got, sides, weight, 2);
            if (!(off < 2e-5))
                fail_msg("%s, %s: off by %g", rows[i].a, way ? "svd" : "cat", off);
            close_side(&got);
        }
        close_side(&sides[1]);
        close_side(&sides[0]);
        arch_close(arch);
        free(folder);
    }
}

/* Kept with probability density and divided by it: the mean stays, and what is kept is a multiple. */
static void dare_keeps_a_share_and_the_mean(void **state)
{
    (void)state;
    Err err = { 0 };
    ModelArch *arch = open_arch("tests/golden/llama-clm/model", TASK_CAUSAL_LM, 0);
    Side side = { 0 };
    fill_side(&side, arch, "{\"target_modules\": [\"q_proj\", \"up_proj\"], \"r\": 64, \"lora_alpha\": 64}", 7919);
    const CombinePart parts[] = { part_of(&side, "a", 1), part_of(&side, "b", 0) };
    CombineOptions o = { .type = combine_type("dare_linear", &err), .density = 0.25, .seed = 7 };
    Side got = { .lora = settings("{\"target_modules\": [\"q_proj\"]}") },
         again = { .lora = settings("{\"target_modules\": [\"q_proj\"]}") };
    combine(&got, &o, parts, 2, NULL);
    combine(&again, &o, parts, 2, NULL);
    assert_memory_equal(got.values, again.values, (size_t)got.table->size * sizeof(float));
    int64_t kept = 0, all = 0;
    for (int64_t i = 0; i < got.table->size; i++) {
        if (side.values[i] == 0)
            continue;
        all++;
        kept += got.values[i] != 0;
        assert_true(got.values[i] == 0 || fabsf(got.values[i] - side.values[i] * 4) < 1e-6F);
    }
    assert_true(fabs((double)kept / (double)all - 0.25) < 0.02);
    close_side(&again);
    close_side(&got);
    close_side(&side);
    arch_close(arch);
}

static void what_peft_would_pass_over_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *type, *what;
    } rows[] = {
        { "{\"target_modules\": [\"c_attn\"], \"r\": 4}", "{\"target_modules\": [\"c_attn\"], \"r\": 8}", "linear",
          "asks for equal ranks" },
        { "{\"target_modules\": [\"c_attn\", \"c_fc\"], \"r\": 4, \"rank_pattern\": {\"c_fc\": 8}}",
          "{\"target_modules\": [\"c_attn\", \"c_fc\"], \"r\": 8}", "ties", "has rank 4 in 'a' and 8 in 'b'" },
        { "{\"target_modules\": [\"c_attn\"], \"use_dora\": true}", "{\"target_modules\": [\"c_attn\"]}", "cat",
          "lora_magnitude_vector' cannot be combined" },
        { "{\"target_modules\": [\"c_attn\"], \"bias\": \"all\"}", "{\"target_modules\": [\"c_attn\"]}", "cat",
          "trained biases" },
        { "{\"target_modules\": [\"c_attn\"], \"modules_to_save\": [\"ln_f\"]}",
          "{\"target_modules\": [\"c_attn\"], \"modules_to_save\": [\"ln_f\"]}", "cat",
          "'transformer.ln_f' is trained whole in both 'a' and 'b'" },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Err err = { 0 };
        ModelArch *arch = open_arch("tests/golden/gpt2-clm/model", TASK_CAUSAL_LM, 0);
        Side sides[2] = { 0 };
        fill_side(&sides[0], arch, rows[i].a, 7919);
        fill_side(&sides[1], arch, rows[i].b, 104729);
        const CombinePart parts[] = { part_of(&sides[0], "a", 1), part_of(&sides[1], "b", 1) };
        CombineOptions o = { .type = combine_type(rows[i].type, &err), .density = 0.5 };
        assert_false(combine_check(&o, parts, 2, &err));
        if (!strstr(err.what, rows[i].what))
            fail_msg("%s: %s", rows[i].what, err.what);
        close_side(&sides[1]);
        close_side(&sides[0]);
        arch_close(arch);
    }
    Err err = { 0 };
    assert_null(combine_type("average", &err));
    assert_string_equal(err.what, "'average' is no way to combine adapters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination_is_pefts),
        cmocka_unit_test(cat_and_a_full_svd_are_the_sum_of_every_kind_of_module),
        cmocka_unit_test(dare_keeps_a_share_and_the_mean),
        cmocka_unit_test(what_peft_would_pass_over_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
