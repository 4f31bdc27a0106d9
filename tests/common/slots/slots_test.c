/* The slot table, first values and adapter files, against what PEFT wrote. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/slots/slots.h"
#include "common/tensor/safetensors.h"
#include "tests/support/must.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the golden cases as run files write them -------------------------------- */

static const char *const golden_cases[] = { "bert-seqcls", "bert-multilabel", "bert-rslora", "bert-rslora-dora",
                                            "bert-labelsmooth-poly" };
enum { CASES = 3 };

typedef struct Case {
    Config config;
    ModelArch *arch;
    SlotTable *table;
    float *values;
} Case;

static void open_case(Case *c, const char *name)
{
    Err err = { 0 };
    char *file = xprintf("tests/golden/%s/run.yaml", name);
    const ConfigSources sources = { .file = file };
    *c = (Case){ 0 };
    must(config_load(&c->config, &sources, &err), &err);
    const Config *g = &c->config;
    c->arch = arch_open(g->model, g->model_config, g->task, &g->labels, g->label_count, g->problem_type, &err);
    must(c->arch != NULL, &err);
    c->table = slots_open(c->arch, &g->lora, &err);
    must(c->table != NULL, &err);
    c->values = xcalloc((size_t)c->table->size, sizeof *c->values);
    free(file);
}

static void close_case(Case *c)
{
    free(c->values);
    slots_close(c->table);
    arch_close(c->arch);
    config_release(&c->config);
}

static const Slot *find_slot(const SlotTable *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->slots[i].name, name) == 0)
            return &table->slots[i];
    return NULL;
}

static void slots_are_the_tensors_that_peft_writes(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        Case c;
        Err err = { 0 };
        open_case(&c, golden_cases[k]);
        char *path = xprintf("tests/golden/%s/expected/adapter_model.safetensors", golden_cases[k]);
        SafeTensors *file = safetensors_open(path, &err);
        must(file != NULL, &err);
        assert_int_equal(c.table->count, safetensors_count(file));
        int64_t trainable = 0;
        for (int64_t t = 0; t < safetensors_count(file); t++) {
            const TensorView *tensor = safetensors_at(file, t);
            const Slot *slot = find_slot(c.table, tensor->name);
            if (!slot)
                fail_msg("no slot '%s'", tensor->name);
            assert_int_equal(slot->dims, tensor->dims);
            for (int d = 0; d < tensor->dims; d++)
                assert_int_equal(slot->dim[d], tensor->dim[d]);
            assert_int_equal(slot->count, tensor->count);
            trainable += tensor->count;
        }
        assert_int_equal(c.table->trainable, trainable);
        safetensors_close(file);
        free(path);
        close_case(&c);
    }
}

static void slots_do_not_overlap_and_are_aligned(void **state)
{
    (void)state;
    Case c;
    open_case(&c, "bert-multilabel");
    int64_t at = 0;
    for (int i = 0; i < c.table->count; i++) {
        const Slot *slot = &c.table->slots[i];
        assert_int_equal(slot->offset % 16, 0);
        assert_true(slot->offset >= at);
        at = slot->offset + slot->count;
    }
    assert_true(at <= c.table->size);
    close_case(&c);
}

static void scales_and_ranks_follow_the_patterns(void **state)
{
    (void)state;
    Case c;
    open_case(&c, "bert-multilabel");
    const ModuleSlots *query = &c.table->modules[arch_module_index(c.arch, 0, ROLE_Q)];
    const ModuleSlots *value = &c.table->modules[arch_module_index(c.arch, 2, ROLE_V)];
    const ModuleSlots *up = &c.table->modules[arch_module_index(c.arch, 2, ROLE_FF_UP)];
    assert_int_equal(query->r, 4);
    assert_true(query->scale == 2.0f);
    assert_int_equal(value->r, 2);
    assert_true(value->scale == 4.0f);
    assert_int_equal(up->r, 4);
    assert_true(up->scale == 0.5f);
    assert_int_equal(c.table->modules[arch_module_index(c.arch, 1, ROLE_Q)].a, -1);
    const ModuleSlots *head = &c.table->modules[arch_module_index(c.arch, -1, ROLE_HEAD)];
    assert_true(head->weight >= 0 && head->bias >= 0 && head->a == -1);
    close_case(&c);
}

/* Whatever the method, with the module's own rank and alpha. */
static void stabilized_scales_go_with_the_root_of_the_rank(void **state)
{
    (void)state;
    Case c;
    open_case(&c, "bert-rslora");
    assert_true(c.table->modules[arch_module_index(c.arch, 0, ROLE_Q)].scale == 2.0f); /* 4 / sqrt(4) */
    assert_true(c.table->modules[arch_module_index(c.arch, 0, ROLE_FF_DOWN)].scale == 1.5f); /* 3 / sqrt(4) */
    const ModuleSlots *up = &c.table->modules[arch_module_index(c.arch, 0, ROLE_FF_UP)];
    assert_int_equal(up->r, 6);
    assert_true(up->scale == (float)(4.0 / sqrt(6.0)));
    c.config.lora.use_rslora = false;
    Err err = { 0 };
    SlotTable *plain = slots_open(c.arch, &c.config.lora, &err);
    must(plain != NULL, &err);
    assert_true(plain->modules[arch_module_index(c.arch, 0, ROLE_Q)].scale == 1.0f);
    assert_true(plain->hash != c.table->hash);
    slots_close(plain);
    close_case(&c);
}

/* ---- adapter files -------------------------------------------------------------- */

static void expect_same_bytes(const char *a, const char *b)
{
    Err err = { 0 };
    size_t na = 0, nb = 0;
    char *one = file_read(a, &na, &err), *two = file_read(b, &nb, &err);
    must(one && two, &err);
    assert_int_equal(na, nb);
    assert_memory_equal(one, two, na);
    free(one);
    free(two);
}

static void expect_same_json(const char *a, const char *b)
{
    Err err = { 0 };
    json_t *one = json_file(a, &err), *two = json_file(b, &err);
    must(one && two, &err);
    if (!json_equal(one, two))
        fail_msg("%s\nis not\n%s", json_dumps(one, JSON_SORT_KEYS | JSON_INDENT(1)),
                 json_dumps(two, JSON_SORT_KEYS | JSON_INDENT(1)));
    json_decref(one);
    json_decref(two);
}

static void adapters_are_read_and_written_as_peft_does(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        for (int final = 0; final < 2; final++) {
            Case c;
            Err err = { 0 };
            open_case(&c, golden_cases[k]);
            char folder[] = "/tmp/slots_test.XXXXXX";
            assert_non_null(mkdtemp(folder));
            char *from = xprintf("tests/golden/%s/%s", golden_cases[k], final ? "expected" : "init");
            must(slots_read_adapter(c.values, c.table, from, &err), &err);
            must(slots_write_adapter(folder, &(AdapterForm){ .values = c.values }, c.table, &c.config.lora, "model",
                                     &err),
                 &err);
            char *a = path_join(folder, "adapter_model.safetensors");
            char *b = path_join(from, "adapter_model.safetensors");
            char *aj = path_join(folder, "adapter_config.json");
            char *bj = path_join(from, "adapter_config.json");
            expect_same_bytes(a, b);
            expect_same_json(aj, bj);
            assert_true(folder_remove(folder, &err));
            free(a);
            free(b);
            free(aj);
            free(bj);
            free(from);
            close_case(&c);
        }
    }
}

static void an_init_adapter_gives_all_first_values(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_case(&c, "bert-seqcls");
    must(slots_init(c.values, c.table, c.arch, &c.config.lora, 1, &err), &err);
    float *other = xcalloc((size_t)c.table->size, sizeof *other);
    must(slots_read_adapter(other, c.table, "tests/golden/bert-seqcls/init", &err), &err);
    assert_memory_equal(c.values, other, (size_t)c.table->size * sizeof *other);
    free(other);
    close_case(&c);
}

static void adapters_of_other_settings_are_refused(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_case(&c, "bert-seqcls");
    assert_false(slots_read_adapter(c.values, c.table, "tests/golden/bert-multilabel/init", &err));
    assert_non_null(strstr(err.what, "lacks 'base_model.model.bert.encoder.layer.1.attention"));
    assert_non_null(strstr(err.where, "bert-multilabel/init/adapter_model.safetensors"));
    assert_int_equal(err_exit_code(&err), 2);
    slots_close(c.table);
    err = (Err){ 0 };
    c.config.lora.r = 8;
    c.table = slots_open(c.arch, &c.config.lora, &err);
    c.values = xrealloc(c.values, (size_t)c.table->size * sizeof *c.values);
    assert_false(slots_read_adapter(c.values, c.table, "tests/golden/bert-seqcls/init", &err));
    assert_non_null(strstr(err.what, "[4, 32], this run needs [8, 32]"));
    err = (Err){ 0 };
    assert_false(slots_read_adapter(c.values, c.table, "tests/golden/bert-seqcls", &err));
    assert_non_null(strstr(err.what, "no adapter_model.safetensors"));
    close_case(&c);
}

static void values_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        const float bad[] = { NAN, INFINITY, -INFINITY };
        Case c;
        Err err = { 0 };
        open_case(&c, "bert-seqcls");
        char folder[] = "/tmp/slots_test.XXXXXX";
        assert_non_null(mkdtemp(folder));
        must(slots_init(c.values, c.table, c.arch, &c.config.lora, 1, &err), &err);
        const Slot *last = &c.table->slots[c.table->count - 1];
        c.values[last->offset + last->count - 1] = bad[k];
        must(slots_write_adapter(folder, &(AdapterForm){ .values = c.values }, c.table, &c.config.lora, "model", &err),
             &err);
        assert_false(slots_read_adapter(c.values, c.table, folder, &err));
        assert_non_null(strstr(err.what, last->name));
        assert_non_null(strstr(err.what, "holds values that are not finite"));
        assert_non_null(strstr(err.where, "adapter_model.safetensors"));
        assert_true(folder_remove(folder, &err));
        close_case(&c);
    }
}

static void other_tools_adapters_are_refused_by_name(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    LoraConfig lora;
    const float zero[32] = { 0 };
    const TensorOut loralib = {
        .name = "bert.encoder.layer.0.attention.self.query.lora_A", .dims = 1, .dim = { 32 }, .data = zero
    };
    open_case(&c, "bert-seqcls");
    char folder[] = "/tmp/slots_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_false(lora_config_read(&lora, folder, &err));
    assert_non_null(strstr(err.what, "not an adapter of PEFT: it has no adapter_config.json"));
    assert_non_null(strstr(err.where, folder));
    assert_int_equal(err_exit_code(&err), 2);
    err = (Err){ 0 };
    char *path = path_join(folder, "adapter_model.safetensors");
    must(safetensors_write(path, &loralib, 1, &err), &err);
    assert_false(slots_read_adapter(c.values, c.table, folder, &err));
    assert_non_null(strstr(err.what, "no tensor of this run: no 'base_model.model.bert"));
    assert_non_null(strstr(err.hint, "'bert.encoder.layer.0.attention.self.query.lora_A' is not a name of PEFT's"));
    err = (Err){ 0 };
    assert_false(slots_read_adapter(c.values, c.table, "tests/golden/gpt2-clm/init", &err));
    assert_non_null(strstr(err.hint, "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight'"));
    assert_non_null(strstr(err.hint, "another kind of model"));
    must(folder_remove(folder, &err), &err);
    free(path);
    close_case(&c);
}

static void settings_are_read_back_from_an_adapter(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        Case c;
        Err err = { 0 };
        LoraConfig lora;
        open_case(&c, golden_cases[k]);
        char *folder = xprintf("tests/golden/%s/expected", golden_cases[k]);
        must(lora_config_read(&lora, folder, &err), &err);
        SlotTable *table = slots_open(c.arch, &lora, &err);
        must(table != NULL, &err);
        assert_true(table->hash == c.table->hash);
        slots_close(table);
        lora_config_release(&lora);
        free(folder);
        close_case(&c);
    }
}

/* adapter_config.json with one field more. */
static bool read_text(const char *text, LoraConfig *lora, Err *err)
{
    char folder[] = "/tmp/slots_test.XXXXXX";
    Err other = { 0 };
    assert_non_null(mkdtemp(folder));
    char *path = path_join(folder, "adapter_config.json");
    must(file_write(path, text, strlen(text), &other), &other);
    const bool ok = lora_config_read(lora, folder, err);
    must(folder_remove(folder, &other), &other);
    free(path);
    return ok;
}

static void what_an_adapter_needs_is_never_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
    } bad[] = {
        { "{\"peft_type\": \"LORA\", \"use_qalora\": true}", "'use_qalora'" },
        { "{\"peft_type\": \"LORA\", \"use_rslora\": 1}", "'use_rslora' is not true or false" },
        { "{\"peft_type\": \"LORA\", \"init_lora_weights\": \"pissa_niter_4\"}", "'pissa_niter_4'" },
        { "{\"peft_type\": \"IA3\"}", "'IA3'" },
        { "{\"peft_type\": \"ADALORA\", \"init_r\": 0}", "'init_r' is out of range" },
        { "{\"peft_type\": \"ADALORA\", \"deltaT\": 0.5}", "'deltaT' is out of range" },
        { "{\"peft_type\": \"ADALORA\", \"init_r\": 2, \"rank_pattern\": {\"q.lora_E\": [true]}}",
          "'q.lora_E' in 'rank_pattern' is not a list of 2 truth values" },
        { "{\"peft_type\": \"ADALORA\", \"init_r\": 1, \"rank_pattern\": {\"q.lora_E\": [1]}}", "'q.lora_E'" },
        { "{\"peft_type\": \"LORA\", \"r\": 0}", "out of range" },
        { "{\"peft_type\": \"LORA\", \"r\": \"8\"}", "'r' is not a whole number" },
        { "{\"peft_type\": \"LORA\", \"rank_pattern\": {\"a\": 1.5}}", "'a' in 'rank_pattern'" },
        { "{\"peft_type\": \"LORA\", \"target_modules\": [1]}", "'target_modules'" },
        { "[]", "not a JSON object" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        LoraConfig lora;
        Err err = { 0 };
        assert_false(read_text(bad[i].text, &lora, &err));
        if (!strstr(err.what, bad[i].what) || !strstr(err.where, "adapter_config.json"))
            fail_msg("%s | %s", err.what, err.where);
    }
    LoraConfig lora;
    Err err = { 0 };
    must(read_text("{\"peft_type\": \"LORA\", \"target_modules\": \"all-linear\", \"r\": 4.0,"
                   " \"modules_to_save\": [\"classifier\", \"score\", \"classifier\"],"
                   " \"layers_to_transform\": 1, \"bias\": \"lora_only\"}",
                   &lora, &err),
         &err);
    assert_true(lora.all_linear && !lora.target_regex);
    assert_int_equal(lora.r, 4);
    assert_int_equal(lora.modules_to_save.count, 2);
    assert_int_equal(lora.layers_count, 1);
    assert_int_equal(lora.bias, BIAS_LORA_ONLY);
    lora_config_release(&lora);
}

/* ---- first values ------------------------------------------------------------------ */

static void first_values_have_pefts_distributions(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_case(&c, "bert-seqcls");
    LoraConfig lora = c.config.lora;
    lora.init_adapter = NULL;
    must(slots_init(c.values, c.table, c.arch, &lora, 42, &err), &err);
    const double bound = 1 / sqrt(32.0);
    double sum = 0, squares = 0, head = 0;
    int64_t n = 0, heads = 0;
    for (int i = 0; i < c.table->count; i++) {
        const Slot *slot = &c.table->slots[i];
        for (int64_t k = 0; k < slot->count; k++) {
            const double v = c.values[slot->offset + k];
            if (slot->kind == SLOT_LORA_A) {
                assert_true(fabs(v) <= bound);
                sum += v;
                squares += v * v;
                n++;
            } else if (slot->kind == SLOT_WEIGHT) {
                head += v * v;
                heads++;
            } else {
                assert_true(v == 0);
            }
        }
    }
    assert_int_equal(n, 4 * 128);
    assert_true(fabs(sum / (double)n) < 0.03 * bound * 5);
    assert_float_equal(sqrt(squares / (double)n), bound / sqrt(3.0), 0.1 * bound); /* U's deviation */
    assert_float_equal(sqrt(head / (double)heads), 0.02, 0.006);
    close_case(&c);
}

static void gaussian_values_have_the_deviation_one_over_r(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_case(&c, "bert-seqcls");
    LoraConfig lora = c.config.lora;
    lora.init_adapter = NULL;
    lora.init = INIT_GAUSSIAN;
    must(slots_init(c.values, c.table, c.arch, &lora, 42, &err), &err);
    double squares = 0;
    int64_t n = 0;
    for (int i = 0; i < c.table->count; i++) {
        const Slot *slot = &c.table->slots[i];
        for (int64_t k = 0; slot->kind == SLOT_LORA_A && k < slot->count; k++, n++)
            squares += pow(c.values[slot->offset + k], 2);
    }
    assert_float_equal(sqrt(squares / (double)n), 0.25, 0.03);
    close_case(&c);
}

static void first_values_depend_on_seed_and_name_alone(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_case(&c, "bert-seqcls");
    LoraConfig lora = c.config.lora;
    lora.init_adapter = NULL;
    char query[] = "query", *names[] = { query };
    LoraConfig other = lora;
    other.target_modules = (StringList){ names, 1 };
    SlotTable *table = slots_open(c.arch, &other, &err);
    must(table != NULL, &err);
    assert_true(table->hash != c.table->hash);
    float *values = xcalloc((size_t)table->size, sizeof *values);
    must(slots_init(c.values, c.table, c.arch, &lora, 42, &err), &err);
    must(slots_init(values, table, c.arch, &other, 42, &err), &err);
    const char *name = "base_model.model.bert.encoder.layer.1.attention.self.query.lora_A.weight";
    const Slot *here = find_slot(c.table, name), *there = find_slot(table, name);
    assert_true(here->offset != there->offset);
    assert_memory_equal(c.values + here->offset, values + there->offset, (size_t)here->count * sizeof *values);
    must(slots_init(values, table, c.arch, &other, 43, &err), &err);
    assert_true(c.values[here->offset] != values[there->offset]);
    free(values);
    slots_close(table);
    close_case(&c);
}

static void trained_parts_of_the_base_start_from_its_values(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_case(&c, "bert-seqcls");
    char norm[] = "output.LayerNorm", *saved[] = { norm };
    LoraConfig lora = c.config.lora;
    lora.init_adapter = NULL;
    lora.bias = BIAS_ALL;
    lora.modules_to_save = (StringList){ saved, 1 };
    SlotTable *table = slots_open(c.arch, &lora, &err);
    must(table != NULL, &err);
    float *values = xcalloc((size_t)table->size, sizeof *values);
    must(slots_init(values, table, c.arch, &lora, 42, &err), &err);
    SafeTensors *files = safetensors_open_model(c.config.model, &err);
    must(files != NULL, &err);
    int checked = 0;
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        const Module *module = &c.arch->modules[slot->module];
        if (slot->kind == SLOT_LORA_A || slot->kind == SLOT_LORA_B || module->is_new)
            continue;
        char *name = xprintf("%s.%s", module->path, slot->kind == SLOT_BIAS ? "bias" : "weight");
        const TensorView *tensor = safetensors_find(files, name);
        assert_non_null(tensor);
        assert_memory_equal(values + slot->offset, tensor->data, (size_t)slot->count * sizeof *values);
        free(name);
        checked++;
    }
    assert_int_equal(checked, 1 + 2 * 8 + 1 + 4); /* biases; weights of four norms */
    safetensors_close(files);
    free(values);
    slots_close(table);
    close_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_the_tensors_that_peft_writes),
        cmocka_unit_test(slots_do_not_overlap_and_are_aligned),
        cmocka_unit_test(scales_and_ranks_follow_the_patterns),
        cmocka_unit_test(stabilized_scales_go_with_the_root_of_the_rank),
        cmocka_unit_test(adapters_are_read_and_written_as_peft_does),
        cmocka_unit_test(an_init_adapter_gives_all_first_values),
        cmocka_unit_test(adapters_of_other_settings_are_refused),
        cmocka_unit_test(values_that_are_not_finite_are_refused),
        cmocka_unit_test(other_tools_adapters_are_refused_by_name),
        cmocka_unit_test(settings_are_read_back_from_an_adapter),
        cmocka_unit_test(what_an_adapter_needs_is_never_passed_over),
        cmocka_unit_test(first_values_have_pefts_distributions),
        cmocka_unit_test(gaussian_values_have_the_deviation_one_over_r),
        cmocka_unit_test(first_values_depend_on_seed_and_name_alone),
        cmocka_unit_test(trained_parts_of_the_base_start_from_its_values),
    };
    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
