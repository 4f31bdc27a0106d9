/* A model that is trained whole: its slots, which of them decay, and its folder, beside Transformers. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/model/stored.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *of_case(int g, const char *file)
{
    return xprintf("tests/golden/%s/%s", golden[g].name, file);
}

static void slots_are_the_tensors_of_the_model(void **state)
{
    (void)state;
    for (int g = GOLDEN; g < GOLDEN_ALL; g++) {
        Case c;
        Err err = { 0 };
        open_golden(&c, g);
        char *path = of_case(g, "expected/model.safetensors");
        SafeTensors *model = safetensors_open(path, &err);
        must(model != NULL, &err);
        assert_int_equal(safetensors_count(model), c.table->count);
        for (int i = 0; i < c.table->count; i++)
            assert_non_null(safetensors_find(model, c.table->slots[i].name));
        assert_int_equal(c.table->trainable, arch_parameters(c.arch));
        safetensors_close(model);
        free(path);
        close_case(&c);
    }
}

static void those_decay_that_trainer_says(void **state)
{
    (void)state;
    for (int g = GOLDEN; g < GOLDEN_ALL; g++) {
        Case c;
        Err err = { 0 };
        open_golden(&c, g);
        char *path = of_case(g, "expected/decay.json");
        json_t *names = json_file(path, &err);
        must(names != NULL, &err);
        size_t count = 0;
        for (int i = 0; i < c.table->count; i++) {
            bool listed = false;
            for (size_t n = 0; n < json_array_size(names); n++)
                listed = listed || strcmp(json_string_value(json_array_get(names, n)), c.table->slots[i].name) == 0;
            if (listed != c.table->slots[i].decay)
                fail_msg("%s %s", c.table->slots[i].name, listed ? "should decay" : "should not decay");
            count += listed;
        }
        assert_int_equal(count, json_array_size(names));
        json_decref(names);
        free(path);
        close_case(&c);
    }
}

static void a_tied_head_is_the_word_tables_slot(void **state)
{
    (void)state;
    Case c;
    open_golden(&c, golden_index("gpt2-full-clm"));
    const int word = arch_module_index(c.arch, -1, ROLE_WORD), head = arch_module_index(c.arch, -1, ROLE_HEAD);
    assert_true(c.arch->modules[head].tied);
    assert_int_equal(c.table->modules[head].weight, c.table->modules[word].weight);
    close_case(&c);
}

/* The bytes of save_pretrained; config.json says what from_pretrained needs. */
static void the_folder_is_that_of_save_pretrained(void **state)
{
    (void)state;
    for (int g = GOLDEN; g < GOLDEN_ALL; g++) {
        Case c;
        Err err = { 0 };
        open_golden(&c, g);
        char *expected = of_case(g, "expected"), *folder = test_folder_new();
        char *a = path_join(folder, "model.safetensors"), *b = path_join(expected, "model.safetensors");
        must(slots_read(c.values, c.table, expected, &err), &err);
        must(slots_write(folder, &(AdapterForm){ .values = c.values }, c.table, &c.lora, "base", true, &err), &err);
        size_t na, nb;
        char *got = file_read(a, &na, &err), *wanted = file_read(b, &nb, &err);
        must(got && wanted, &err);
        assert_int_equal(na, nb);
        assert_memory_equal(got, wanted, na);
        TaskType task;
        char *path = path_join(folder, "config.json");
        json_t *config = json_file(path, &err);
        must(config != NULL, &err);
        assert_true(
            arch_class_task(json_string_value(json_array_get(json_object_get(config, "architectures"), 0)), &task));
        assert_int_equal(task, golden[g].task);
        assert_int_equal(json_object_size(json_object_get(config, "id2label")), golden[g].labels);
        assert_string_equal(json_get_string(config, "dtype", "", &err), "float32");
        assert_string_equal(json_get_string(config, "problem_type", "none", &err),
                            task == TASK_SEQ_CLS ? "single_label_classification" : "none");
        json_decref(config);
        test_folder_drop(folder);
        free(path);
        free(got);
        free(wanted);
        free(a);
        free(b);
        free(expected);
        close_case(&c);
    }
}

/* A model of files without the tensor that is named, or with lm_head.weight besides. */
static char *make_model(const Case *c, const char *without, bool head)
{
    Err err = { 0 };
    SafeTensors *st = safetensors_open_model(c->arch->folder, &err);
    must(st != NULL, &err);
    TensorOut out[64];
    int n = 0;
    for (int64_t i = 0; i < safetensors_count(st); i++) {
        const TensorView *t = safetensors_at(st, i);
        if (without && strcmp(t->name, without) == 0)
            continue;
        out[n] = (TensorOut){ .name = t->name, .dims = t->dims, .data = t->data };
        memcpy(out[n++].dim, t->dim, sizeof t->dim);
    }
    if (head) { /* another matrix than the word table: positions, again and again */
        float *room = xcalloc((size_t)(c->arch->V * c->arch->C), sizeof *room);
        out[n++] = (TensorOut){ .name = "lm_head.weight", .dims = 2, .dim = { c->arch->V, c->arch->C }, .data = room };
    }
    char *folder = test_folder_new(), *path = path_join(folder, "model.safetensors");
    must(safetensors_write(path, out, n, &err), &err);
    if (head)
        free((void *)(uintptr_t)out[n - 1].data);
    free(path);
    safetensors_close(st);
    return folder;
}

static void a_folder_that_is_not_the_runs_is_refused(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_golden(&c, golden_index("gpt2-full-clm"));
    char *folder = make_model(&c, "transformer.ln_f.bias", false);
    assert_false(slots_read(c.values, c.table, folder, &err));
    assert_string_equal(err.what, "there is no tensor 'transformer.ln_f.bias'");
    assert_string_equal(err.where, folder);
    test_folder_drop(folder);
    folder = make_model(&c, NULL, true);
    err = (Err){ 0 };
    assert_false(slots_read(c.values, c.table, folder, &err));
    assert_non_null(strstr(err.what, "tensors, this run has"));
    test_folder_drop(folder);
    close_case(&c);
}

static void a_tie_that_the_files_break_is_refused(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_golden(&c, golden_index("gpt2-full-clm"));
    char *folder = make_model(&c, NULL, true), *own = c.arch->folder;
    c.arch->folder = folder;
    assert_false(slots_init(c.values, c.table, c.arch, &c.lora, 1, &err));
    assert_string_equal(err.what,
                        "'lm_head' is tied to the word table by config.json, and another matrix in the files");
    assert_string_equal(err.hint, "train both by model_config: {tie_word_embeddings: false}");
    c.arch->folder = own;
    test_folder_drop(folder);
    close_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_the_tensors_of_the_model),
        cmocka_unit_test(those_decay_that_trainer_says),
        cmocka_unit_test(a_tied_head_is_the_word_tables_slot),
        cmocka_unit_test(the_folder_is_that_of_save_pretrained),
        cmocka_unit_test(a_folder_that_is_not_the_runs_is_refused),
        cmocka_unit_test(a_tie_that_the_files_break_is_refused),
    };
    return cmocka_run_group_tests_name("slots_folder", tests, NULL, NULL);
}
