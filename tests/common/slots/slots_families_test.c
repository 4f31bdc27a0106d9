/* The slots of every family, against PEFT: which tensors are trained, their shapes,
 * which decay, and what an adapter's files hold. tests/golden/families/adapters.jsonl
 * is what make.py there got from the library. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/slots/slots.h"
#include "common/tensor/safetensors.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char PREFIX[] = "base_model.model.";

static void must(bool ok, const Err *err)
{
    if (!ok)
        fail_msg("%s | %s | %s", err->what, err->where, err->hint);
}

static ModelArch *open_arch(const char *folder, TaskType task, int64_t labels)
{
    Err err = { 0 };
    const StringList none = { 0 };
    ModelArch *arch = arch_open(folder, NULL, task, &none, labels,
                                labels == 1 ? PROBLEM_REGRESSION : PROBLEM_AUTO, &err);
    must(arch != NULL, &err);
    return arch;
}

static char *temporary_folder(void)
{
    char *folder = xstrdup("/tmp/slots_families.XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static void remove_temporary(char *folder)
{
    Err err = { 0 };
    must(folder_remove(folder, &err), &err);
    free(folder);
}

/* LoRA settings of an adapter_config.json that holds these keys. */
static LoraConfig read_settings(const json_t *keys)
{
    json_t *config = json_deep_copy(keys);
    if (!json_object_get(config, "r"))
        json_object_set_new(config, "r", json_integer(4));
    json_object_set_new(config, "peft_type", json_string("LORA"));
    char *folder = temporary_folder(), *path = path_join(folder, "adapter_config.json");
    Err err = { 0 };
    LoraConfig lora;
    must(json_write(path, config, &err), &err);
    must(lora_config_read(&lora, folder, &err), &err);
    remove_temporary(folder);
    free(path);
    json_decref(config);
    return lora;
}

static LoraConfig settings(const char *json)
{
    json_t *keys = json_loads(json, 0, NULL);
    assert_non_null(keys);
    const LoraConfig lora = read_settings(keys);
    json_decref(keys);
    return lora;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

/* Lists of names are sets to PEFT. */
static void sort_list(const json_t *list)
{
    const size_t n = json_array_size(list);
    json_t **items = xcalloc(n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = json_incref(json_array_get(list, i));
    if (n > 0 && json_is_string(items[0]))
        qsort(items, n, sizeof *items, by_text);
    for (size_t i = 0; i < n; i++)
        json_array_set_new((json_t *)(uintptr_t)list, i, items[i]);
    free(items);
}

/* Each key of `wanted` is in `got` with the same value. */
static void expect_config(const char *what, json_t *got, const json_t *wanted)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, key, value)
    {
        json_t *mine = json_object_get(got, key);
        if (strcmp(key, "layers_to_transform") != 0) {
            sort_list(mine);
            sort_list(value);
        }
        if (!mine || !json_equal(mine, value))
            fail_msg("%s: %s is %s, PEFT has %s", what, key, json_dumps(mine, JSON_ENCODE_ANY),
                     json_dumps(value, JSON_ENCODE_ANY));
    }
}

/* ---- what PEFT trains ------------------------------------------------------------ */

static const Slot *find_slot(const SlotTable *table, const char *bare)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->slots[i].name + strlen(PREFIX), bare) == 0)
            return &table->slots[i];
    return NULL;
}

static void expect_trained(const char *what, const SlotTable *table, const json_t *trained)
{
    for (size_t i = 0; i < json_array_size(trained); i++) {
        const json_t *row = json_array_get(trained, i), *shape = json_array_get(row, 1);
        const char *name = json_string_value(json_array_get(row, 0));
        const Slot *slot = find_slot(table, name);
        if (!slot)
            fail_msg("%s: no slot '%s'", what, name);
        if (slot->decay != json_is_true(json_array_get(row, 2)))
            fail_msg("%s: '%s' decays: %d", what, name, slot->decay);
        assert_int_equal(slot->dims, json_array_size(shape));
        for (int d = 0; d < slot->dims; d++) {
            const int at = slot->transposed ? 1 - d : d;
            assert_int_equal(slot->dim[at], json_integer_value(json_array_get(shape, (size_t)d)));
        }
    }
    for (int i = 0; i < table->count; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < json_array_size(trained); k++)
            found = strcmp(json_string_value(json_array_get(json_array_get(trained, k), 0)),
                           table->slots[i].name + strlen(PREFIX)) == 0;
        if (!found)
            fail_msg("%s: '%s' is no tensor of PEFT's", what, table->slots[i].name);
    }
}

static json_t *written_config(const SlotTable *table, const ModelArch *arch, const LoraConfig *lora)
{
    char *folder = temporary_folder(), *path = path_join(folder, "adapter_config.json");
    float *values = xcalloc((size_t)table->size, sizeof *values);
    Err err = { 0 };
    must(slots_write_adapter(folder, values, table, arch, lora, "model", &err), &err);
    json_t *config = json_file(path, &err);
    must(config != NULL, &err);
    remove_temporary(folder);
    free(values);
    free(path);
    return config;
}

static void expect_row(const json_t *row)
{
    const char *task_name = json_string_value(json_object_get(row, "task"));
    TaskType task = TASK_SEQ_CLS;
    while (strcmp(config_task_name(task), task_name) != 0)
        task++;
    char *folder = xprintf("tests/golden/%s/model",
                           json_string_value(json_object_get(row, "case")));
    char *lora_text = json_dumps(json_object_get(row, "lora"), 0);
    char *what = xprintf("%s %s %s", folder, task_name, lora_text);
    ModelArch *arch = open_arch(folder, task, 3);
    LoraConfig lora = read_settings(json_object_get(row, "lora"));
    Err err = { 0 };
    SlotTable *table = slots_open(arch, &lora, &err);
    const char *error = json_string_value(json_object_get(row, "error"));
    /* PEFT cannot adapt "all-linear" of a TOKEN_CLS model; here the head is left out */
    const bool wider = error && task == TASK_TOKEN_CLS && lora.all_linear;
    if (error && !wider && table)
        fail_msg("%s: accepted, PEFT says %s", what, error);
    if ((!error || wider) && !table)
        fail_msg("%s: %s | %s | %s", what, err.what, err.where, err.hint);
    if (table && !error) {
        json_t *config = written_config(table, arch, &lora);
        expect_trained(what, table, json_object_get(row, "trained"));
        expect_config(what, config, json_object_get(row, "config"));
        const json_t *frozen = json_object_get(row, "frozen");
        assert_int_equal(table->base_count, json_array_size(frozen));
        for (int i = 0; i < table->base_count; i++)
            assert_string_equal(table->bases[i].name + strlen(PREFIX),
                                json_string_value(json_array_get(frozen, (size_t)i)));
        json_decref(config);
    }
    slots_close(table);
    lora_config_release(&lora);
    arch_close(arch);
    free(what);
    free(lora_text);
    free(folder);
}

static void slots_are_what_peft_trains_in_every_family(void **state)
{
    (void)state;
    Err err = { 0 };
    char *text = file_read("tests/golden/families/adapters.jsonl", NULL, &err);
    must(text != NULL, &err);
    char *rest = text, *line;
    int count = 0;
    while ((line = strsep(&rest, "\n"))) {
        json_t *row = *line ? json_loads(line, 0, NULL) : NULL;
        if (row)
            expect_row(row);
        count += row != NULL;
        json_decref(row);
    }
    assert_true(count > 120);
    free(text);
}

/* ---- the golden adapters ------------------------------------------------------------ */

static const struct {
    const char *name;
    TaskType task;
    int64_t labels;
} golden[] = {
    { "bert-seqcls", TASK_SEQ_CLS, 3 },       { "bert-multilabel", TASK_SEQ_CLS, 4 },
    { "bert-tokcls", TASK_TOKEN_CLS, 7 },     { "roberta-pair", TASK_SEQ_CLS, 2 },
    { "distilbert-regress", TASK_SEQ_CLS, 1 }, { "gpt2-clm", TASK_CAUSAL_LM, 0 },
    { "gpt2-text", TASK_CAUSAL_LM, 0 },       { "gpt2-seqcls", TASK_SEQ_CLS, 3 },
    { "llama-clm", TASK_CAUSAL_LM, 0 },       { "qwen2-clm", TASK_CAUSAL_LM, 0 },
    { "vit-imgcls", TASK_IMAGE_CLS, 3 },
};
enum { GOLDEN = sizeof golden / sizeof *golden };

typedef struct Case {
    ModelArch *arch;
    LoraConfig lora;
    SlotTable *table;
    float *values;
} Case;

static void open_table(Case *c)
{
    Err err = { 0 };
    c->table = slots_open(c->arch, &c->lora, &err);
    must(c->table != NULL, &err);
    c->values = xcalloc((size_t)c->table->size, sizeof *c->values);
}

static void open_golden(Case *c, int g)
{
    Err err = { 0 };
    char *folder = xprintf("tests/golden/%s/model", golden[g].name);
    char *adapter = xprintf("tests/golden/%s/expected", golden[g].name);
    c->arch = open_arch(folder, golden[g].task, golden[g].labels);
    must(lora_config_read(&c->lora, adapter, &err), &err);
    open_table(c);
    free(adapter);
    free(folder);
}

/* A golden model with settings of its own. */
static void open_with(Case *c, const char *name, TaskType task, const char *lora)
{
    char *folder = xprintf("tests/golden/%s/model", name);
    c->arch = open_arch(folder, task, task == TASK_CAUSAL_LM ? 0 : 3);
    c->lora = settings(lora);
    open_table(c);
    free(folder);
}

static void close_case(Case *c)
{
    free(c->values);
    slots_close(c->table);
    lora_config_release(&c->lora);
    arch_close(c->arch);
}

static void expect_same_bytes(const char *a, const char *b)
{
    Err err = { 0 };
    size_t na = 0, nb = 0;
    char *one = file_read(a, &na, &err), *two = file_read(b, &nb, &err);
    must(one && two, &err);
    if (na != nb || memcmp(one, two, na) != 0)
        fail_msg("%s is not %s", a, b);
    free(one);
    free(two);
}

static void expect_round_trip(int g, const char *part)
{
    Case c;
    Err err = { 0 };
    open_golden(&c, g);
    char *from = xprintf("tests/golden/%s/%s", golden[g].name, part);
    char *to = temporary_folder();
    must(slots_read_adapter(c.values, c.table, from, &err), &err);
    must(slots_write_adapter(to, c.values, c.table, c.arch, &c.lora, "model", &err), &err);
    char *a = path_join(to, "adapter_model.safetensors");
    char *b = path_join(from, "adapter_model.safetensors");
    expect_same_bytes(a, b);
    char *aj = path_join(to, "adapter_config.json"), *bj = path_join(from, "adapter_config.json");
    json_t *got = json_file(aj, &err), *wanted = json_file(bj, &err);
    must(got && wanted, &err);
    expect_config(golden[g].name, got, wanted);
    assert_int_equal(json_object_size(got), json_object_size(wanted));
    json_decref(got);
    json_decref(wanted);
    free(aj);
    free(bj);
    free(a);
    free(b);
    remove_temporary(to);
    free(from);
    close_case(&c);
}

static void golden_adapters_are_read_and_written_byte_for_byte(void **state)
{
    (void)state;
    for (int g = 0; g < GOLDEN; g++) {
        expect_round_trip(g, "init");
        expect_round_trip(g, "expected");
    }
}

static void slots_are_the_tensors_that_get_gradients(void **state)
{
    (void)state;
    for (int g = 0; g < GOLDEN; g++) {
        Case c;
        Err err = { 0 };
        open_golden(&c, g);
        char *path = xprintf("tests/golden/%s/expected/grads.safetensors", golden[g].name);
        SafeTensors *grads = safetensors_open(path, &err);
        must(grads != NULL, &err);
        assert_int_equal(safetensors_count(grads), c.table->count);
        for (int i = 0; i < c.table->count; i++)
            assert_non_null(safetensors_find(grads, c.table->slots[i].name));
        safetensors_close(grads);
        free(path);
        close_case(&c);
    }
}

/* ---- names of before --------------------------------------------------------------- */

static void vits_targets_may_have_the_names_of_before(void **state)
{
    (void)state;
    static const struct {
        const char *given, *written;
    } rows[] = {
        { "\"query\", \"value\"", "[\"q_proj\", \"v_proj\"]" },
        { "\"attention.output.dense\", \"key\"", "[\"k_proj\", \"o_proj\"]" },
        { "\"intermediate.dense\", \"projection\"", "[\"fc1\", \"projection\"]" },
        { "\"output.dense\"", "[\"fc2\", \"o_proj\"]" }, /* both ended so */
        { "\"dense\"", "[\"fc1\", \"fc2\", \"o_proj\"]" },
        { "\"vit.encoder.layer.1.attention.attention.query\"",
          "[\"vit.layers.1.attention.q_proj\"]" },
        { "\"q_proj\", \"query\"", "[\"q_proj\"]" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Case c;
        char *lora = xprintf("{\"target_modules\": [%s], \"modules_to_save\": [\"classifier\"]}",
                             rows[i].given);
        open_with(&c, "vit-imgcls", TASK_IMAGE_CLS, lora);
        json_t *wanted = json_pack("{s:o}", "target_modules", json_loads(rows[i].written, 0, NULL));
        json_t *config = written_config(c.table, c.arch, &c.lora);
        expect_config(rows[i].given, config, wanted);
        /* what was written means the same modules */
        LoraConfig again = read_settings(config);
        Err err = { 0 };
        SlotTable *table = slots_open(c.arch, &again, &err);
        must(table != NULL, &err);
        assert_int_equal(table->hash, c.table->hash);
        slots_close(table);
        lora_config_release(&again);
        json_decref(config);
        json_decref(wanted);
        close_case(&c);
        free(lora);
    }
}

static void excluded_names_of_before_are_written_as_todays(void **state)
{
    (void)state;
    Case c;
    open_with(&c, "vit-imgcls", TASK_IMAGE_CLS,
              "{\"target_modules\": \"all-linear\", \"exclude_modules\": [\"query\"],"
              " \"modules_to_save\": [\"classifier\"]}");
    assert_null(find_slot(c.table, "vit.layers.0.attention.q_proj.lora_A.weight"));
    assert_non_null(find_slot(c.table, "vit.layers.0.attention.k_proj.lora_A.weight"));
    json_t *config = written_config(c.table, c.arch, &c.lora);
    json_t *wanted = json_pack("{s:[s]}", "exclude_modules", "q_proj");
    expect_config("exclude", config, wanted);
    json_decref(wanted);
    json_decref(config);
    close_case(&c);
}

/* The golden ViT adapter under the names it had in Transformers 4. */
static void adapters_of_before_are_read(void **state)
{
    (void)state;
    static const char *const words[][2] = { { "vit.layers.", "vit.encoder.layer." },
                                            { "attention.q_proj", "attention.attention.query" },
                                            { "attention.v_proj", "attention.attention.value" } };
    Case c;
    Err err = { 0 };
    open_golden(&c, GOLDEN - 1);
    const char *from = "tests/golden/vit-imgcls/expected";
    SafeTensors *file =
        safetensors_open("tests/golden/vit-imgcls/expected/adapter_model.safetensors", &err);
    must(file != NULL, &err);
    const int64_t n = safetensors_count(file);
    TensorOut *out = xcalloc((size_t)n, sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        const TensorView *t = safetensors_at(file, i);
        char *name = xstrdup(t->name);
        for (int w = 0; w < 3; w++) {
            char *at = strstr(name, words[w][0]);
            if (!at)
                continue;
            char *next = xprintf("%.*s%s%s", (int)(at - name), name, words[w][1],
                                 at + strlen(words[w][0]));
            free(name);
            name = next;
        }
        out[i] = (TensorOut){ .name = name, .dims = t->dims, .data = t->data };
        memcpy(out[i].dim, t->dim, sizeof out[i].dim);
    }
    char *folder = temporary_folder(), *path = path_join(folder, "adapter_model.safetensors");
    must(safetensors_write(path, out, n, &err), &err);
    float *old = xcalloc((size_t)c.table->size, sizeof *old);
    must(slots_read_adapter(old, c.table, folder, &err), &err);
    must(slots_read_adapter(c.values, c.table, from, &err), &err);
    assert_memory_equal(old, c.values, (size_t)c.table->size * sizeof *old);
    free(old);
    for (int64_t i = 0; i < n; i++)
        free((char *)(uintptr_t)out[i].name);
    free(out);
    safetensors_close(file);
    remove_temporary(folder);
    free(path);
    close_case(&c);
}

/* ---- first values --------------------------------------------------------------------- */

static double mean_square(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum / (double)n;
}

static const float *slot_values(const Case *c, const char *bare, int64_t *count)
{
    const Slot *slot = find_slot(c->table, bare);
    if (!slot)
        fail_msg("no slot '%s'", bare);
    *count = slot->count;
    return c->values + slot->offset;
}

static void of_a_table_it_is_b_that_is_random(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    int64_t n;
    open_with(&c, "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"wte\"], \"r\": 16}");
    must(slots_init(c.values, c.table, c.arch, &c.lora, 5, &err), &err);
    const float *a = slot_values(&c, "transformer.wte.lora_embedding_A", &n);
    assert_int_equal(n, 16 * 604);
    assert_true(mean_square(a, n) == 0);
    const float *b = slot_values(&c, "transformer.wte.lora_embedding_B", &n);
    assert_int_equal(n, 32 * 16);
    assert_true(fabs(mean_square(b, n) - 1) < 0.2);
    close_case(&c);
}

static void of_a_convolution_all_of_a_kernel_is_its_input(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    int64_t n;
    open_with(&c, "vit-imgcls", TASK_IMAGE_CLS,
              "{\"target_modules\": [\"projection\"], \"modules_to_save\": [\"classifier\"]}");
    must(slots_init(c.values, c.table, c.arch, &c.lora, 5, &err), &err);
    const float *a =
        slot_values(&c, "vit.embeddings.patch_embeddings.projection.lora_A.weight", &n);
    assert_int_equal(n, 4 * 3 * 8 * 8);
    assert_true(fabs(mean_square(a, n) * 3 * 192 - 1) < 0.2); /* U(-b, b), b = 1/sqrt(192) */
    const float *b =
        slot_values(&c, "vit.embeddings.patch_embeddings.projection.lora_B.weight", &n);
    assert_true(n == 32 * 4 && mean_square(b, n) == 0);
    close_case(&c);
}

static void a_conv1d_that_is_trained_whole_is_turned(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    int64_t n;
    open_with(&c, "gpt2-clm", TASK_CAUSAL_LM,
              "{\"target_modules\": [\"c_attn\"], \"modules_to_save\": [\"c_fc\", \"lm_head\"]}");
    must(slots_init(c.values, c.table, c.arch, &c.lora, 5, &err), &err);
    SafeTensors *files = safetensors_open_model(c.arch->folder, &err);
    must(files != NULL, &err);
    const TensorView *t = safetensors_find(files, "transformer.h.1.mlp.c_fc.weight");
    const float *file = t->data, *got = slot_values(&c, "transformer.h.1.mlp.c_fc.weight", &n);
    for (int64_t o = 0; o < 128; o++)
        for (int64_t i = 0; i < 32; i++)
            assert_true(got[o * 32 + i] == file[i * 128 + o]);
    /* the tied head begins as the word table */
    t = safetensors_find(files, "transformer.wte.weight");
    assert_memory_equal(slot_values(&c, "lm_head.weight", &n), t->data, t->bytes);
    char *folder = temporary_folder(), *path = path_join(folder, "adapter_model.safetensors");
    must(slots_write_adapter(folder, c.values, c.table, c.arch, &c.lora, "model", &err), &err);
    SafeTensors *adapter = safetensors_open(path, &err);
    must(adapter != NULL, &err);
    const TensorView *saved =
        safetensors_find(adapter, "base_model.model.transformer.h.1.mlp.c_fc.weight");
    assert_true(saved->dim[0] == 32 && saved->dim[1] == 128);
    assert_memory_equal(saved->data, file, saved->bytes);
    float *again = xcalloc((size_t)c.table->size, sizeof *again);
    must(slots_read_adapter(again, c.table, folder, &err), &err);
    assert_memory_equal(again, c.values, (size_t)c.table->size * sizeof *again);
    free(again);
    safetensors_close(adapter);
    safetensors_close(files);
    remove_temporary(folder);
    free(path);
    close_case(&c);
}

static void a_table_under_a_lora_comes_along(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_with(&c, "llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"embed_tokens\"]}");
    must(slots_init(c.values, c.table, c.arch, &c.lora, 5, &err), &err);
    char *folder = temporary_folder(), *path = path_join(folder, "adapter_model.safetensors");
    must(slots_write_adapter(folder, c.values, c.table, c.arch, &c.lora, "model", &err), &err);
    SafeTensors *adapter = safetensors_open(path, &err);
    must(adapter != NULL, &err);
    assert_int_equal(safetensors_count(adapter), 3);
    const TensorView *base =
        safetensors_find(adapter, "base_model.model.model.embed_tokens.base_layer.weight");
    SafeTensors *files = safetensors_open_model(c.arch->folder, &err);
    const TensorView *word = safetensors_find(files, "model.embed_tokens.weight");
    float *room = xcalloc((size_t)word->count, sizeof *room); /* bfloat16 there, f32 here */
    must(tensor_to_f32(room, word, 0, word->count, &err), &err);
    assert_int_equal(base->count, word->count);
    assert_memory_equal(base->data, room, base->bytes);
    must(slots_read_adapter(c.values, c.table, folder, &err), &err);
    /* the table of another model is refused */
    TensorOut out[3];
    room[7] += 1;
    for (int i = 0; i < 3; i++) {
        const TensorView *t = safetensors_at(adapter, i);
        out[i] = (TensorOut){ .name = t->name, .dims = t->dims, .data = t == base ? room : t->data };
        memcpy(out[i].dim, t->dim, sizeof out[i].dim);
    }
    char *other = temporary_folder(), *damaged = path_join(other, "adapter_model.safetensors");
    must(safetensors_write(damaged, out, 3, &err), &err);
    assert_false(slots_read_adapter(c.values, c.table, other, &err));
    if (!strstr(err.what, "embed_tokens.base_layer.weight' is not the model's"))
        fail_msg("%s | %s", err.what, err.where);
    remove_temporary(other);
    free(damaged);
    free(room);
    safetensors_close(files);
    safetensors_close(adapter);
    remove_temporary(folder);
    free(path);
    close_case(&c);
}

/* ---- what is refused --------------------------------------------------------------------- */

static void expect_refused(const char *name, TaskType task, const char *keys, const char *what,
                           const char *hint)
{
    Err err = { 0 };
    char *folder = xprintf("tests/golden/%s/model", name);
    ModelArch *arch = open_arch(folder, task, task == TASK_CAUSAL_LM ? 0 : 3);
    LoraConfig lora = settings(keys);
    SlotTable *table = slots_open(arch, &lora, &err);
    float *values = table ? xcalloc((size_t)table->size, sizeof *values) : NULL;
    if (table && slots_init(values, table, arch, &lora, 1, &err))
        fail_msg("accepted, '%s' expected", what);
    if (!strstr(err.what, what) || !strstr(err.hint, hint))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
    free(values);
    slots_close(table);
    lora_config_release(&lora);
    arch_close(arch);
    free(folder);
}

static void settings_that_cannot_be_are_refused(void **state)
{
    (void)state;
    expect_refused("distilbert-regress", TASK_SEQ_CLS, "{}",
                   "model_type 'distilbert' has no default target_modules", "[q_lin, v_lin]");
    expect_refused("vit-imgcls", TASK_IMAGE_CLS, "{}", "no default target_modules", "q_proj");
    expect_refused("distilbert-regress", TASK_SEQ_CLS, "{\"target_modules\": \"all-linear\"}",
                   "'pre_classifier' is adapted by target_modules and trained whole",
                   "exclude_modules");
    expect_refused("bert-tokcls", TASK_TOKEN_CLS, "{\"target_modules\": [\"classifier\"]}",
                   "'classifier' is adapted by target_modules and trained whole", "");
    expect_refused("bert-tokcls", TASK_TOKEN_CLS, "{\"target_modules\": \".*(query|classifier)\"}",
                   "'classifier' is adapted", "");
    expect_refused("llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"input_layernorm\"]}",
                   "which is a norm", "modules_to_save");
    expect_refused("vit-imgcls", TASK_IMAGE_CLS, "{\"target_modules\": [\"cls_token\"]}",
                   "'cls_token' matches no module", "");
    expect_refused("vit-imgcls", TASK_IMAGE_CLS, "{\"target_modules\": [\"queri\"]}",
                   "'queri' matches no module", "q_proj");
    expect_refused("vit-imgcls", TASK_IMAGE_CLS,
                   "{\"target_modules\": [\"q_proj\"], \"modules_to_save\": [\"score\"]}",
                   "'score' matches no module", "classifier");
    expect_refused("gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}",
                   "'q_proj' matches no module", "c_attn");
}

static void a_head_that_nothing_holds_has_to_be_trained(void **state)
{
    (void)state;
    Err err = { 0 };
    char *folder = temporary_folder(), *path = path_join(folder, "model.safetensors");
    char *config = path_join(folder, "config.json");
    const float one = 1;
    const TensorOut other = { .name = "other", .dims = 1, .dim = { 1 }, .data = &one };
    must(safetensors_write(path, &other, 1, &err), &err);
    size_t size;
    char *text = file_read("tests/golden/vit-imgcls/model/config.json", &size, &err);
    must(text && file_write(config, text, size, &err), &err);
    Case c = { .arch = open_arch(folder, TASK_IMAGE_CLS, 3),
               .lora = settings("{\"target_modules\": [\"q_proj\"]}") };
    open_table(&c);
    assert_false(slots_init(c.values, c.table, c.arch, &c.lora, 1, &err));
    if (!strstr(err.what, "the model has no 'classifier', and nothing trains it"))
        fail_msg("%s", err.what);
    assert_string_equal(err.hint, "lora.modules_to_save: [classifier]");
    close_case(&c);
    free(text);
    free(config);
    free(path);
    remove_temporary(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_what_peft_trains_in_every_family),
        cmocka_unit_test(golden_adapters_are_read_and_written_byte_for_byte),
        cmocka_unit_test(slots_are_the_tensors_that_get_gradients),
        cmocka_unit_test(vits_targets_may_have_the_names_of_before),
        cmocka_unit_test(excluded_names_of_before_are_written_as_todays),
        cmocka_unit_test(adapters_of_before_are_read),
        cmocka_unit_test(of_a_table_it_is_b_that_is_random),
        cmocka_unit_test(of_a_convolution_all_of_a_kernel_is_its_input),
        cmocka_unit_test(a_conv1d_that_is_trained_whole_is_turned),
        cmocka_unit_test(a_table_under_a_lora_comes_along),
        cmocka_unit_test(settings_that_cannot_be_are_refused),
        cmocka_unit_test(a_head_that_nothing_holds_has_to_be_trained),
    };
    return cmocka_run_group_tests_name("slots_families", tests, NULL, NULL);
}
