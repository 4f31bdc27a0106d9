/* Several adapters over one base: PEFT's mixed batch, and sequences beside each other that are what they are alone. */
#include "worker/model/adapter.h"

#include "common/base/mem.h"
#include "tests/support/model_case.h"
#include "worker/model/decode.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- PEFT's mixed batch ----------------------------------------------------------------------- */

enum { MIXED = 6, ADAPTERS = 5 };
static const char *const names[ADAPTERS] = { "a", "b", "cat", "linear", NULL }; /* NULL: the base alone */
static const int of_row[MIXED] = { 0, 1, 4, 2, 0, 3 }; /* combine.json: "mixed" */

typedef struct Served {
    ModelArch *arch;
    Case first, one[ADAPTERS];
    Weights weights;
    Model *model;
    Adapter *adapter[ADAPTERS];
} Served;

static void open_one(Served *s, int i)
{
    Err err = { 0 };
    Case *c = &s->one[i];
    char *folder = xprintf("tests/golden/combine/%s", names[i] ? names[i] : "a");
    *c = (Case){ .arch = open_arch("tests/golden/combine/model", TASK_CAUSAL_LM, 0) };
    must(lora_config_read(&c->lora, folder, &err), &err);
    open_table(c);
    must(slots_read_adapter(c->values, c->table, folder, &err), &err);
    const AdapterOptions o = { c->arch, c->table, names[i] ? c->values : NULL };
    s->adapter[i] = adapter_open(s->model, &o, &err);
    must(s->adapter[i] != NULL, &err);
    assert_true(adapter_mixes(s->adapter[i]));
    free(folder);
}

static void open_served(Served *s)
{
    Err err = { 0 };
    *s = (Served){ .arch = open_arch("tests/golden/combine/model", TASK_CAUSAL_LM, 0) };
    s->first = (Case){ .arch = s->arch, .lora = settings("{\"r\": 2, \"target_modules\": [\"c_attn\"]}") };
    open_table(&s->first);
    SafeTensors *files = safetensors_open_model("tests/golden/combine/model", &err);
    must(files != NULL, &err);
    must(weights_plan(&s->weights, s->arch, files, &err), &err);
    s->weights.data = xcalloc(1, (size_t)s->weights.bytes);
    must(weights_load(&s->weights, files, 0, 1, &err), &err);
    safetensors_close(files);
    const ModelOptions o = { .most_tokens = 128, .most_sequences = 8, .longest = 64, .threads = 1, .most_R = 64 };
    s->model = model_open(s->arch, s->first.table, &s->weights, &o, &err);
    must(s->model != NULL, &err);
    for (int i = 0; i < ADAPTERS; i++)
        open_one(s, i);
}

static void close_served(Served *s)
{
    for (int i = 0; i < ADAPTERS; i++) {
        adapter_close(s->adapter[i]);
        close_case(&s->one[i]);
    }
    model_close(s->model);
    close_case(&s->first);
    free(s->weights.data);
    weights_release(&s->weights);
}

static void a_mixed_batch_is_that_of_peft(void **state)
{
    (void)state;
    Err err = { 0 };
    Served s;
    open_served(&s);
    Decoder *d = decode_open(s.model, &(DecodeOptions){ .lanes = MIXED, .longest = 64 }, &err);
    must(d != NULL, &err);
    json_t *rows[MIXED];
    FILE *file = fopen("tests/golden/combine/encoded.jsonl", "r");
    assert_non_null(file);
    int64_t lane[MIXED], start[MIXED + 1] = { 0 };
    int32_t ids[128];
    for (int i = 0; i < MIXED; i++) {
        rows[i] = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        const json_t *list = json_object_get(rows[i], "input_ids");
        start[i + 1] = start[i];
        for (size_t k = 0; k < json_array_size(list); k++)
            ids[start[i + 1]++] = (int32_t)json_integer_value(json_array_get(list, k));
        lane[i] = decode_join(d, s.adapter[of_row[i]], 64);
    }
    fclose(file);
    const int64_t V = s.arch->V;
    float *logits = xcalloc((size_t)(MIXED * V), sizeof *logits);
    decode_feed(d, &(DecodeFeed){ MIXED, lane, start, ids, NULL, NULL }, logits);
    SafeTensors *wanted = safetensors_open("tests/golden/combine/mixed.safetensors", &err);
    must(wanted != NULL, &err);
    for (int i = 0; i < MIXED; i++) {
        char *name = xprintf("mixed.row%d", i);
        const TensorView *row = safetensors_find(wanted, name);
        assert_non_null(row);
        float *floats = xmalloc((size_t)row->bytes);
        memcpy(floats, row->data, (size_t)row->bytes);
        const double off = difference(logits + i * V, floats, V);
        if (!(off < 1e-5))
            fail_msg("row %d is off by %g of the largest", i, off);
        free(floats);
        free(name);
        json_decref(rows[i]);
    }
    safetensors_close(wanted);
    decode_close(d);
    free(logits);
    close_served(&s);
}

static void what_there_is_no_room_for_is_refused(void **state)
{
    (void)state;
    Err err = { 0 };
    Served s;
    open_served(&s);
    Case wide = { .arch = open_arch("tests/golden/combine/model", TASK_CAUSAL_LM, 0),
                  .lora = settings("{\"r\": 65, \"target_modules\": [\"c_attn\"]}") };
    open_table(&wide);
    const AdapterOptions o = { wide.arch, wide.table, wide.values };
    assert_null(adapter_open(s.model, &o, &err));
    assert_string_equal(err.what, "the adapter's rank needs 65 columns, and there is room for 64");
    close_case(&wide);
    close_served(&s);
}

/* ---- heads ---------------------------------------------------------------------------------------- */

enum { ROWS = 6 };

/* Rows of three sets of values, one of them the base's: each is what it is alone, to the bit, and what model_predict
 * gives, to the rounding of products. */
static void rows_are_what_they_are_alone(const char *name, const char *lora, bool mixes)
{
    Err err = { 0 };
    const int g = golden_index(name);
    Subject *s = lora ? open_subject_with(g, lora) : open_subject(g);
    Packed p = pack(s, &s->dev, NULL, ROWS);
    Model *model = open_subject_model(s, &p, 0);
    const ModelArch *arch = s->c.arch;
    const int64_t size = s->c.table->size, labels = arch->head.labels, rows = arch->head.task->of_tokens ? 1 : 0;
    float *values[3] = { xcalloc((size_t)size, sizeof(float)), xcalloc((size_t)size, sizeof(float)), NULL };
    Adapter *three[3], *adapter[ROWS];
    for (int a = 0; a < 3; a++) {
        for (int64_t i = 0; values[a] && i < size; i++)
            values[a][i] = s->c.values[i] + (float)((i * 7 + a * 13) % 11 - 5) * 0.01f;
        three[a] = adapter_open(model, &(AdapterOptions){ .values = values[a] }, &err);
        must(three[a] != NULL, &err);
        assert_true(adapter_mixes(three[a]) == (mixes || !values[a]));
    }
    for (int b = 0; b < ROWS; b++)
        adapter[b] = three[b / 2];
    const int64_t all = (rows ? p.batch.N : ROWS) * labels;
    float *together = xcalloc((size_t)all, sizeof *together), *alone = xcalloc((size_t)all, sizeof *alone);
    float *plain = xcalloc((size_t)all, sizeof *plain), *at = together;
    adapter_predict(model, &p.batch, adapter, together);
    for (int b = 0; b < ROWS; b++) {
        const int64_t n = p.start[b + 1] - p.start[b], start[] = { 0, n };
        const int64_t floats = arch->channels * arch->image_size * arch->image_size;
        const Batch one = { .B = 1,
                            .N = n,
                            .start = start,
                            .ids = p.batch.ids ? p.batch.ids + p.start[b] : NULL,
                            .types = p.batch.types ? p.batch.types + p.start[b] : NULL,
                            .example = p.batch.example,
                            .pixels = p.batch.pixels ? p.batch.pixels + b * floats : NULL };
        const int64_t count = (rows ? n : 1) * labels;
        adapter_predict(model, &one, &adapter[b], alone);
        assert_memory_equal(at, alone, (size_t)count * sizeof *at);
        model_predict(model, &one, values[b / 2], plain);
        assert_true(difference(at, plain, count) < 1e-5 || plain[0] == 0);
        at += count;
    }
    for (int a = 0; a < 3; a++) {
        adapter_close(three[a]);
        free(values[a]);
    }
    model_close(model);
    unpack(&p);
    close_subject(s);
    free(together);
    free(alone);
    free(plain);
}

static void each_row_has_its_own_head(void **state)
{
    rows_are_what_they_are_alone(*state, NULL, true);
}

static void what_trains_more_than_loras_has_its_own_pass(void **state)
{
    rows_are_what_they_are_alone(*state, "{\"r\": 3, \"target_modules\": [\"query\", \"word_embeddings\"]}", false);
    rows_are_what_they_are_alone("roberta-pair", NULL, false); /* it trains biases */
    rows_are_what_they_are_alone(*state, "{\"r\": 3, \"target_modules\": [\"value\"], \"bias\": \"all\"}", false);
}

/* Through what is beside the rows of tokens: tables of distances, layers that run again, means. */
static void so_it_is_in_other_encoders(void **state)
{
    (void)state;
    rows_are_what_they_are_alone("albert-seqcls", NULL, true);
    rows_are_what_they_are_alone("modernbert-seqcls", NULL, true);
    rows_are_what_they_are_alone("deberta-v3-seqcls", NULL, false); /* its LoRA is in the distances, too */
    rows_are_what_they_are_alone("mpnet-seqcls",
                                 "{\"r\": 3, \"target_modules\": [\"q\"], \"modules_to_save\":"
                                 "[\"relative_attention_bias\"]}",
                                 false);
}

#define CASE(test, name)                                                                                               \
    {                                                                                                                  \
#test ": " name, test, NULL, NULL, (void *)(uintptr_t)name                                                     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mixed_batch_is_that_of_peft),
        cmocka_unit_test(what_there_is_no_room_for_is_refused),
        cmocka_unit_test(so_it_is_in_other_encoders),
        CASE(each_row_has_its_own_head, "bert-seqcls"),
        CASE(each_row_has_its_own_head, "bert-multilabel"),
        CASE(each_row_has_its_own_head, "bert-tokcls"),
        CASE(each_row_has_its_own_head, "distilbert-regress"),
        CASE(each_row_has_its_own_head, "gpt2-seqcls"),
        CASE(each_row_has_its_own_head, "vit-imgcls"),
        CASE(what_trains_more_than_loras_has_its_own_pass, "bert-seqcls"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
