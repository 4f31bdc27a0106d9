/* AdaLoRA's files: cropped to what is kept, also to nothing; a run that begins with one has all triplets again. */
#include "common/slots/adalora.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LORA "{\"peft_type\": \"ADALORA\", \"init_r\": 4, \"target_modules\": [\"query\", \"value\"]}"

static void open_filled(Case *c)
{
    open_with(c, "bert-seqcls", TASK_SEQ_CLS, LORA);
    for (int s = 0; s < c->table->count; s++)
        for (int64_t i = 0; i < c->table->slots[s].count; i++)
            c->values[c->table->slots[s].offset + i] = (float)(1000 * s + i);
}

/* Triplets 1 and 3 of the first module, none of the second, all of the others. */
static bool *some(const SlotTable *table)
{
    bool *kept = xcalloc((size_t)table->triplets, sizeof *kept);
    for (int64_t i = 0; i < table->triplets; i++)
        kept[i] = i >= 8 || i == 1 || i == 3;
    return kept;
}

static void write_cropped(const Case *c, const char *folder)
{
    Err err = { 0 };
    bool *kept = some(c->table);
    const AdapterForm form = { .values = c->values, .kept = kept, .total_step = 70 };
    must(slots_write_adapter(folder, &form, c->table, &c->lora, "model", &err), &err);
    free(kept);
}

static float at(const Case *c, int slot, int64_t i)
{
    return c->values[c->table->slots[slot].offset + i];
}

static void a_file_holds_what_is_kept(void **state)
{
    (void)state;
    Case c, small = { 0 };
    Err err = { 0 };
    open_filled(&c);
    char *folder = test_folder_new();
    write_cropped(&c, folder);
    small.arch = open_arch("tests/golden/bert-seqcls/model", TASK_SEQ_CLS, 3);
    must(lora_config_read(&small.lora, folder, &err), &err);
    open_table(&small);
    must(slots_read_adapter(small.values, small.table, folder, &err), &err);
    assert_int_equal(small.lora.method, METHOD_ADALORA);
    assert_int_equal(small.lora.ada.total_step, 70);
    static const int64_t ranks[] = { 2, 0, 4, 4 };
    int module = 0;
    for (int m = 0; m < small.arch->module_count; m++) {
        const ModuleSlots *of = &small.table->modules[m], *whole = &c.table->modules[m];
        if (of->e < 0)
            continue;
        assert_int_equal(of->r, ranks[module]);
        assert_true(of->scale == whole->scale); /* of what it was at the start */
        const int64_t from[] = { module == 0 ? 1 : 0, module == 0 ? 3 : 1 };
        for (int64_t i = 0; i < 2 && of->r > 0; i++) {
            assert_true(at(&small, of->e, i) == at(&c, whole->e, from[i]));
            assert_true(at(&small, of->a, i * 32 + 5) == at(&c, whole->a, from[i] * 32 + 5));
            assert_true(at(&small, of->b, 7 * of->r + i) == at(&c, whole->b, 7 * 4 + from[i]));
        }
        module++;
    }
    assert_int_equal(module, 4);
    test_folder_drop(folder);
    close_case(&small);
    close_case(&c);
}

/* What is missing begins anew, with E = 0: nothing changes, and it may win. */
static void a_run_that_begins_with_it_has_all_triplets(void **state)
{
    (void)state;
    Case c, next;
    Err err = { 0 };
    open_filled(&c);
    char *folder = test_folder_new();
    write_cropped(&c, folder);
    open_with(&next, "bert-seqcls", TASK_SEQ_CLS, LORA);
    next.lora.init_adapter = xstrdup(folder);
    must(slots_init(next.values, next.table, next.arch, &next.lora, 3, &err), &err);
    for (int m = 0; m < c.arch->module_count; m++) {
        const ModuleSlots *of = &c.table->modules[m];
        bool *kept = some(c.table);
        for (int64_t i = 0; of->e >= 0 && i < 4; i++) {
            const bool has = kept[of->triplet + i];
            assert_true(at(&next, of->e, i) == (has ? at(&c, of->e, i) : 0));
            assert_true((at(&next, of->a, i * 32 + 5) == at(&c, of->a, i * 32 + 5)) == has);
            assert_true((at(&next, of->b, 7 * 4 + i) == at(&c, of->b, 7 * 4 + i)) == has);
            assert_true(at(&next, of->a, i * 32 + 5) != 0 && at(&next, of->b, 7 * 4 + i) != 0);
        }
        if (of->weight >= 0)
            assert_true(at(&next, of->weight, 3) == at(&c, of->weight, 3));
        free(kept);
    }
    test_folder_drop(folder);
    close_case(&next);
    close_case(&c);
}

static void a_run_begins_with_no_product(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS, LORA);
    must(slots_init(c.values, c.table, c.arch, &c.lora, 3, &err), &err);
    for (int s = 0; s < c.table->count; s++) {
        const Slot *slot = &c.table->slots[s];
        double squares = 0;
        for (int64_t i = 0; i < slot->count; i++)
            squares += (double)at(&c, s, i) * (double)at(&c, s, i) / (double)slot->count;
        if (slot->kind == SLOT_LORA_E)
            assert_true(squares == 0);
        else if (slot->kind == SLOT_LORA_A || slot->kind == SLOT_LORA_B)
            assert_float_equal(squares, 0.02 * 0.02, 0.0002);
    }
    close_case(&c);
}

static void an_embedding_is_refused_by_name(void **state)
{
    (void)state;
    Err err = { 0 };
    ModelArch *arch = open_arch("tests/golden/bert-seqcls/model", TASK_SEQ_CLS, 3);
    LoraConfig lora = settings("{\"peft_type\": \"ADALORA\", \"target_modules\": [\"word_embeddings\"]}");
    assert_null(slots_open(arch, &lora, &err));
    assert_non_null(strstr(err.what, "AdaLoRA does not know embeddings, and 'bert.embeddings.word_embeddings' is one"));
    lora_config_release(&lora);
    arch_close(arch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_holds_what_is_kept),
        cmocka_unit_test(a_run_that_begins_with_it_has_all_triplets),
        cmocka_unit_test(a_run_begins_with_no_product),
        cmocka_unit_test(an_embedding_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
