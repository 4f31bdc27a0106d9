/* Rows that hold the padding's id, beside Transformers and PEFT (golden/padding/make.py): places of
 * RoBERTa, rows of the embeddings without a gradient, the row that a GPT classifier reads. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/model_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct PaddingCase {
    const char *folder;
    int g; /* in golden[] */
    const char *still[2]; /* tensors of which the padding's row (or column) has no gradient */
} PaddingCase;

static const PaddingCase cases[] = {
    { "roberta-lora",
      3,
      { "roberta.embeddings.word_embeddings.lora_embedding_A",
        "roberta.embeddings.position_embeddings.lora_embedding_A" } },
    { "roberta-whole",
      3,
      { "roberta.embeddings.word_embeddings.weight", "roberta.embeddings.position_embeddings.weight" } },
    { "bert-lora", 0, { "bert.embeddings.word_embeddings.lora_embedding_A", NULL } },
    { "distilbert-lora", 4, { "distilbert.embeddings.word_embeddings.lora_embedding_A", NULL } },
    { "gpt2-lora", 7, { NULL, NULL } }, /* wte has no padding_idx */
    { "llama-lora", 8, { "model.embed_tokens.lora_embedding_A", NULL } },
};
enum { CASES = sizeof cases / sizeof *cases };

static void read_ints(int32_t *out, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
}

/* rows.jsonl takes the place of the case's training rows. The objects, for what they expect; json_decref it. */
static json_t *read_rows(Subject *s, const char *folder)
{
    Err err = { 0 };
    char *path = xprintf("tests/golden/padding/%s/rows.jsonl", folder), *text = file_read(path, NULL, &err),
         *rest = NULL;
    must(text != NULL, &err);
    json_t *all = json_array();
    s->train.count = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *from = json_bytes(line, strlen(line), path, &err);
        must(from != NULL, &err);
        Row *row = &s->train.rows[s->train.count++];
        const json_t *labels = json_object_get(from, "labels");
        *row = (Row){ .length = (int64_t)json_array_size(json_object_get(from, "input_ids")) };
        read_ints(row->ids, json_object_get(from, "input_ids"));
        read_ints(row->labels, labels);
        row->goal[0] = (float)json_number_value(labels);
        json_array_append_new(all, from);
    }
    assert_true(s->train.count > 5);
    free(text);
    free(path);
    return all;
}

static double sum_of(const json_t *rows, const char *key)
{
    double sum = 0;
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row) sum += json_number_value(json_object_get(row, key));
    return sum;
}

static void expect_logits(const json_t *rows, const float *logits, int64_t labels)
{
    for (size_t i = 0; i < json_array_size(rows); i++)
        for (int64_t k = 0; k < labels; k++) {
            const json_t *want = json_array_get(json_object_get(json_array_get(rows, i), "logits"), (size_t)k);
            const double got = (double)logits[(int64_t)i * labels + k];
            if (!(fabs(got - json_number_value(want)) < 1e-5))
                fail_msg("row %zu: logit %d is %g instead of %g", i, (int)k, got, json_number_value(want));
        }
}

static void expect_grads(const Subject *s, const float *grad, const char *folder)
{
    Err err = { 0 };
    char *path = xprintf("tests/golden/padding/%s/grads.safetensors", folder);
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    assert_int_equal(safetensors_count(file), s->c.table->count);
    for (int i = 0; i < s->c.table->count; i++) {
        const Slot *slot = &s->c.table->slots[i];
        const TensorView *view = safetensors_find(file, slot->name);
        float *wanted = xcalloc((size_t)slot->count, sizeof *wanted);
        assert_non_null(view);
        must(tensor_to_f32(wanted, view, 0, slot->count, &err), &err);
        const double off = difference(grad + slot->offset, wanted, slot->count);
        if (!(off < 1e-4))
            fail_msg("%s: %s: the gradient is off by %g of its largest", folder, slot->name, off);
        free(wanted);
    }
    safetensors_close(file);
    free(path);
}

/* Exactly 0, where a tolerance would let a little through. */
static void expect_still(const Subject *s, const float *grad, const char *name)
{
    const Slot *slot = find_slot(s->c.table, name);
    assert_non_null(slot);
    const bool whole = strstr(name, "lora_") == NULL;
    const int64_t rows = slot->dim[whole ? 0 : 1], width = slot->dim[whole ? 1 : 0], pad = s->c.arch->pad_id;
    double next = 0;
    for (int64_t c = 0; c < width; c++) {
        assert_true(grad[slot->offset + (whole ? pad * width + c : c * rows + pad)] == 0);
        next += fabs((double)grad[slot->offset + (whole ? 20 * width + c : c * rows + 20)]);
    }
    assert_true(strstr(name, "position") || next > 0); /* a word that is in the rows */
}

static void check(void **state)
{
    const PaddingCase *c = *state;
    char *adapter = xprintf("tests/golden/padding/%s", c->folder);
    Subject *s = open_subject_adapter(c->g, adapter);
    json_t *rows = read_rows(s, c->folder);
    Packed p = pack(s, &s->train, NULL, s->train.count);
    Model *model = open_subject_model(s, &p, 0);
    float *grad = xcalloc((size_t)s->c.table->size, sizeof *grad);
    float *logits = xcalloc((size_t)((p.batch.N + 1) * (s->c.arch->head.labels + 1)), sizeof *logits);
    model_predict(model, &p.batch, s->c.values, logits);
    if (s->c.arch->head.task->type == TASK_SEQ_CLS)
        expect_logits(rows, logits, s->c.arch->head.labels);
    const BatchLoss loss = model_train(model, &p.batch, s->c.values, grad, 0);
    assert_int_equal(loss.count, (int64_t)sum_of(rows, "count"));
    assert_float_equal(loss.sum, sum_of(rows, "loss"), 1e-4);
    expect_grads(s, grad, c->folder);
    for (int i = 0; i < 2; i++)
        if (c->still[i])
            expect_still(s, grad, c->still[i]);
    free(grad);
    free(logits);
    model_close(model);
    unpack(&p);
    json_decref(rows);
    close_subject(s);
    free(adapter);
}

int main(void)
{
    struct CMUnitTest tests[CASES];
    for (int i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){ cases[i].folder, check, NULL, NULL, (void *)(uintptr_t)&cases[i] };
    return _cmocka_run_group_tests("padding ids in rows", tests, CASES, NULL, NULL);
}
