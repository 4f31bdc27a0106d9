/* Graphs of ONNX read back by a plain reader of protobuf: each node reads what is there before it, names and axes are
 * Optimum's, weights are the merged model's, also in a file of their own; and what has no form there. (What the graph
 * computes: tests/interop/exports.py, in onnxruntime.) */
#include "common/export/onnx_model.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/support/folder.h"
#include "tests/support/slots_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a reader --------------------------------------------------------------------------- */

/* A message, or bytes. */
typedef struct Bytes {
    const char *at;
    size_t size;
} Bytes;

typedef struct Field {
    int number;
    uint64_t value; /* of a varint */
    Bytes bytes; /* of all that has a length */
} Field;

static uint64_t varint(Bytes *b)
{
    uint64_t x = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(b->size > 0 && shift < 64);
        const unsigned char c = (unsigned char)*b->at++;
        b->size--;
        x |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return x;
    }
}

/* Takes the next field; false at the end. */
static bool next(Bytes *message, Field *field)
{
    if (message->size == 0)
        return false;
    const uint64_t tag = varint(message);
    *field = (Field){ .number = (int)(tag >> 3) };
    if ((tag & 7) == 0) {
        field->value = varint(message);
        return true;
    }
    const uint64_t size = (tag & 7) == 5 ? 4 : varint(message);
    assert_true((tag & 7) == 2 || (tag & 7) == 5);
    assert_true(size <= message->size);
    field->bytes = (Bytes){ message->at, size };
    message->at += size;
    message->size -= size;
    return true;
}

/* The n-th field of that number; its bytes are empty where there is none. */
static Field nth(Bytes message, int number, int n)
{
    Field field;
    while (next(&message, &field))
        if (field.number == number && n-- == 0)
            return field;
    return (Field){ 0 };
}

static int count_of(Bytes message, int number)
{
    Field field;
    int count = 0;
    while (next(&message, &field))
        count += field.number == number;
    return count;
}

static bool same(Bytes b, const char *text)
{
    return b.size == strlen(text) && memcmp(b.at, text, b.size) == 0;
}

/* ---- what is written ---------------------------------------------------------------------- */

typedef struct Subject {
    Case c;
    SafeTensors *files;
    SavedModel saved;
    Merged merged;
    char *folder;
    FileMap map, weights; /* of the files, when they are written */
    Bytes graph;
} Subject;

static void open_subject(Subject *s, const char *name, TaskType task, const char *lora)
{
    Err err = { 0 };
    *s = (Subject){ 0 };
    open_with(&s->c, name, task, lora);
    for (int64_t i = 0; i < s->c.table->size; i++)
        s->c.values[i] = (float)((double)(i * 7919 % 1000) / 10000 - 0.04);
    s->files = safetensors_open_model(s->c.arch->folder, &err);
    must(s->files != NULL, &err);
    saved_open(&s->saved, s->c.arch, s->files, DTYPE_F32, merged_unties(s->c.table));
    must(merged_init(&s->merged, s->c.table, s->c.values, &s->saved, &err), &err);
    s->folder = test_folder_new();
}

static void write_subject(Subject *s, const OnnxOptions *o)
{
    Err err = { 0 };
    must(onnx_model_write(s->folder, &s->merged, &s->saved, o, &err), &err);
    char *path = path_join(s->folder, "model.onnx"), *data = path_join(s->folder, "model.onnx_data");
    must(file_map(&s->map, path, &err), &err);
    assert_int_equal(file_exists(data), o->external);
    if (o->external)
        must(file_map(&s->weights, data, &err), &err);
    const Bytes model = { s->map.data, s->map.size };
    assert_int_equal(nth(model, 1, 0).value, 8); /* IR */
    assert_int_equal(nth(nth(model, 8, 0).bytes, 2, 0).value, 17); /* opset */
    s->graph = nth(model, 7, 0).bytes;
    free(data);
    free(path);
}

static void close_subject(Subject *s)
{
    file_unmap(&s->weights);
    file_unmap(&s->map);
    test_folder_drop(s->folder);
    merged_release(&s->merged);
    saved_release(&s->saved);
    safetensors_close(s->files);
    close_case(&s->c);
}

static bool is_value(const Subject *s, Bytes name, int nodes)
{
    for (int field = 5; field <= 11; field += 6) /* initializers, inputs */
        for (int i = 0; i < count_of(s->graph, field); i++) {
            const Bytes b = nth(nth(s->graph, field, i).bytes, field == 5 ? 8 : 1, 0).bytes;
            if (b.size == name.size && memcmp(b.at, name.at, b.size) == 0)
                return true;
        }
    for (int i = 0; i < nodes; i++) {
        const Bytes node = nth(s->graph, 1, i).bytes;
        for (int k = 0; k < count_of(node, 2); k++) {
            const Bytes b = nth(node, 2, k).bytes;
            if (b.size == name.size && memcmp(b.at, name.at, b.size) == 0)
                return true;
        }
    }
    return false;
}

static void check_order(const Subject *s, const char *what)
{
    const int nodes = count_of(s->graph, 1);
    for (int i = 0; i < nodes; i++) {
        const Bytes node = nth(s->graph, 1, i).bytes;
        for (int k = 0; k < count_of(node, 1); k++) {
            const Bytes name = nth(node, 1, k).bytes;
            if (!is_value(s, name, i))
                fail_msg("%s: node %d reads '%.*s', which is not there", what, i, (int)name.size, name.at);
        }
        for (int k = 0; k < count_of(node, 2); k++)
            assert_false(is_value(s, nth(node, 2, k).bytes, i));
    }
    for (int i = 0; i < count_of(s->graph, 12); i++)
        assert_true(is_value(s, nth(nth(s->graph, 12, i).bytes, 1, 0).bytes, nodes));
}

/* "input_ids[batch_size,sequence_length] ..." of inputs (11) or outputs (12). */
static void describe(const Subject *s, int field, Text *out)
{
    for (int i = 0; i < count_of(s->graph, field); i++) {
        const Bytes value = nth(s->graph, field, i).bytes, name = nth(value, 1, 0).bytes;
        const Bytes shape = nth(nth(nth(value, 2, 0).bytes, 1, 0).bytes, 2, 0).bytes;
        text_addf(out, "%s%.*s[", i ? " " : "", (int)name.size, name.at);
        for (int d = 0; d < count_of(shape, 1); d++) {
            const Bytes dim = nth(shape, 1, d).bytes, param = nth(dim, 2, 0).bytes;
            if (param.size > 0)
                text_addf(out, "%s%.*s", d ? "," : "", (int)param.size, param.at);
            else
                text_addf(out, "%s%lld", d ? "," : "", (long long)nth(dim, 1, 0).value);
        }
        text_adds(out, "]");
    }
}

static void expect_values(const Subject *s, int field, const char *wanted)
{
    Text got = { 0 };
    describe(s, field, &got);
    assert_string_equal(got.data, wanted);
    text_release(&got);
}

static void names_and_axes_are_optimums(void **state)
{
    (void)state;
#define TEXT "[batch_size,sequence_length]"
#define ALL "past_sequence_length + sequence_length"
    static const struct {
        const char *model;
        TaskType task;
        bool no_cache;
        const char *lora, *inputs, *outputs;
    } rows[] = {
        { "bert-seqcls", TASK_SEQ_CLS, false, "{\"target_modules\": [\"query\"]}",
          "input_ids" TEXT " attention_mask" TEXT " token_type_ids" TEXT, "logits[batch_size,3]" },
        { "roberta-pair", TASK_SEQ_CLS, false, "{\"target_modules\": [\"query\"]}",
          "input_ids" TEXT " attention_mask" TEXT, "logits[batch_size,3]" },
        { "bert-tokcls", TASK_TOKEN_CLS, false, "{\"target_modules\": [\"query\"]}",
          "input_ids" TEXT " attention_mask" TEXT " token_type_ids" TEXT, "logits[batch_size,sequence_length,3]" },
        { "gpt2-clm", TASK_CAUSAL_LM, true, "{\"target_modules\": [\"c_attn\"]}",
          "input_ids" TEXT " attention_mask" TEXT " position_ids" TEXT, "logits[batch_size,sequence_length,604]" },
        { "llama-clm", TASK_CAUSAL_LM, false, "{\"target_modules\": [\"q_proj\"]}",
          "input_ids" TEXT " attention_mask[batch_size," ALL "] position_ids" TEXT
          " past_key_values.0.key[batch_size,2,past_sequence_length,8] past_key_values.0.value[batch_size,2,past_sequence_length,8]"
          " past_key_values.1.key[batch_size,2,past_sequence_length,8] past_key_values.1.value[batch_size,2,past_sequence_length,8]",
          "logits[batch_size,sequence_length,604] present.0.key[batch_size,2," ALL
          ",8] present.0.value[batch_size,2," ALL ",8] present.1.key[batch_size,2," ALL
          ",8] present.1.value[batch_size,2," ALL ",8]" },
        { "gpt2-seqcls", TASK_SEQ_CLS, false, "{\"target_modules\": [\"c_attn\"]}",
          "input_ids" TEXT " attention_mask" TEXT, "logits[batch_size,3]" },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        Subject s;
        open_subject(&s, rows[i].model, rows[i].task, rows[i].lora);
        write_subject(&s, &(OnnxOptions){ .no_cache = rows[i].no_cache });
        expect_values(&s, 11, rows[i].inputs);
        expect_values(&s, 12, rows[i].outputs);
        check_order(&s, rows[i].model);
        close_subject(&s);
    }
}

/* The numbers of an initializer, in the file or beside it; NULL: there is none of the name. */
static const float *numbers_of(const Subject *s, const char *name, int64_t dim[2])
{
    for (int i = 0; i < count_of(s->graph, 5); i++) {
        const Bytes t = nth(s->graph, 5, i).bytes;
        if (!same(nth(t, 8, 0).bytes, name))
            continue;
        for (int d = 0; d < 2; d++)
            dim[d] = (int64_t)nth(t, 1, d).value;
        if (nth(t, 14, 0).value == 0)
            return (const float *)(const void *)nth(t, 9, 0).bytes.at;
        const Bytes place = nth(t, 13, 0).bytes, offset = nth(nth(t, 13, 1).bytes, 2, 0).bytes,
                    length = nth(nth(t, 13, 2).bytes, 2, 0).bytes;
        assert_true(same(nth(place, 2, 0).bytes, "model.onnx_data"));
        char text[32];
        snprintf(text, sizeof text, "%.*s", (int)offset.size, offset.at);
        const long long at = strtoll(text, NULL, 10);
        snprintf(text, sizeof text, "%.*s", (int)length.size, length.at);
        assert_int_equal(at % 4096, 0);
        assert_true((size_t)(at + strtoll(text, NULL, 10)) <= s->weights.size);
        assert_int_equal(strtoll(text, NULL, 10), dim[0] * dim[1] * 4);
        return (const float *)(const void *)(s->weights.data + at);
    }
    return NULL;
}

static const SavedTensor *saved_named(const Subject *s, const char *name)
{
    for (int i = 0; i < s->saved.count; i++)
        if (strcmp(s->saved.tensors[i].name, name) == 0)
            return &s->saved.tensors[i];
    fail_msg("no tensor '%s'", name);
    return NULL;
}

static void weights_are_the_merged_models(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        TaskType task;
        const char *lora, *name;
        bool turned; /* a linear's [out, in] is written as [in, out] */
    } rows[] = {
        { "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"c_attn\", \"wte\"]}",
          "transformer.h.1.attn.c_attn.weight", false },
        { "gpt2-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"c_attn\", \"wte\"]}", "transformer.wte.weight", false },
        { "llama-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}", "model.layers.0.self_attn.q_proj.weight",
          true },
        { "bert-seqcls", TASK_SEQ_CLS, "{\"target_modules\": [\"query\"]}", "classifier.weight",
          false }, /* Gemm turns it */
        { "bert-seqcls", TASK_SEQ_CLS, "{\"target_modules\": [\"dense\"], \"exclude_modules\": \".*pooler.*\"}",
          "bert.encoder.layer.1.output.dense.weight", true },
    };
    for (int external = 0; external < 2; external++)
        for (size_t i = 0; i < LENGTH(rows); i++) {
            Subject s;
            Err err = { 0 };
            int64_t dim[2] = { 0 };
            open_subject(&s, rows[i].model, rows[i].task, rows[i].lora);
            write_subject(&s, &(OnnxOptions){ .external = external });
            const SavedTensor *t = saved_named(&s, rows[i].name);
            float *want = xcalloc((size_t)t->count, sizeof *want);
            must(merged_read(&s.merged, t, want, &err), &err);
            const char *got = (const char *)numbers_of(&s, rows[i].name, dim);
            assert_non_null(got);
            assert_int_equal(dim[0], t->dim[rows[i].turned ? 1 : 0]);
            for (int64_t r = 0; r < t->dim[0]; r++)
                for (int64_t c = 0; c < t->dim[1]; c++) {
                    float x;
                    const int64_t at = rows[i].turned ? c * t->dim[0] + r : r * t->dim[1] + c;
                    memcpy(&x, got + at * 4, sizeof x);
                    assert_true(x == want[r * t->dim[1] + c]);
                }
            free(want);
            close_subject(&s);
        }
}

static void what_has_no_nodes_is_refused(void **state)
{
    (void)state;
    Subject s;
    Err err = { 0 };
    open_subject(&s, "opt-clm", TASK_CAUSAL_LM, "{\"target_modules\": [\"q_proj\"]}");
    assert_false(onnx_model_write(s.folder, &s.merged, &s.saved, &(OnnxOptions){ 0 }, &err));
    assert_string_equal(err.what,
                        "a table of positions that begins at another row (model_type 'opt') has no ONNX form here");
    assert_int_equal(err_exit_code(&err), 2);
    close_subject(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_axes_are_optimums),
        cmocka_unit_test(weights_are_the_merged_models),
        cmocka_unit_test(what_has_no_nodes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
