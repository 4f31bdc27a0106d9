/* Models that embed beside sentence-transformers: embeddings before and after training, and of the first step the loss
 * of all its rows and every gradient; the same in one piece and in several. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/metrics/embed_loss.h"
#include "common/slots/adapted.h"
#include "common/slots/slots_tensor.h"
#include "tests/support/model_case.h"
#include "worker/kernels/gemm.h"
#include "worker/model/adapter.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Whose losses are sums of exponentials of large numbers has figures of 15 and more. */
typedef struct EmbedCase {
    GoldenCase of;
    double loss; /* allowed, of the largest */
} EmbedCase;
static const EmbedCase cases[] = {
    { { "bert-embed-mnr", TASK_FEATURE_EXTRACTION, 0 }, 1e-5 },
    { { "bert-embed-triplet", TASK_FEATURE_EXTRACTION, 0 }, 1e-5 },
    { { "mpnet-embed-cosine", TASK_FEATURE_EXTRACTION, 0 }, 1e-5 },
    { { "modernbert-embed-cosent", TASK_FEATURE_EXTRACTION, 0 }, 1e-5 },
};
enum { CASES = sizeof cases / sizeof *cases };

static const EmbedProducts products = { gemm_nt, gemm_nn, gemm_tn };

/* The case with its adapter of that folder, and what its run says of embeddings. names: data.columns, owned. */
static Subject *open_part(const EmbedCase *of, const char *part, StringList *names)
{
    Err err = { 0 };
    Config c = { 0 };
    char *adapter = xprintf("tests/golden/%s/%s", of->of.name, part),
         *file = xprintf("tests/golden/%s/run.yaml", of->of.name);
    must(config_load(&c, &(ConfigSources){ .file = file }, &err), &err);
    Subject *s = open_subject_of(&of->of, adapter, adapter);
    const EmbedHead embed = adapted_embed(&c);
    arch_embed(s->c.arch, &embed);
    *names = c.data.columns;
    c.data.columns = (StringList){ 0 };
    config_release(&c);
    free(adapter);
    free(file);
    return s;
}

static void release_names(StringList *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

static void check_column(const Subject *s, const SafeTensors *file, const char *name, const float *e, int64_t column)
{
    Err err = { 0 };
    const TensorView *view = safetensors_find(file, name);
    const EmbedHead *embed = &s->c.arch->head.embed;
    const int64_t C = s->c.arch->C, rows = s->dev.count / embed->columns;
    assert_non_null(view);
    assert_int_equal(view->count, rows * C);
    float *wanted = xcalloc((size_t)view->count, sizeof *wanted), *got = xcalloc((size_t)C, sizeof *got);
    must(tensor_to_f32(wanted, view, 0, view->count, &err), &err);
    for (int64_t b = 0; b < rows; b++) {
        memcpy(got, e + (b * embed->columns + column) * C, (size_t)C * sizeof *got);
        if (embed->how.normalize == NORMALIZE_YES)
            embed_normalize(got, 1, C);
        for (int64_t c = 0; c < C; c++)
            assert_float_equal(got[c], wanted[b * C + c], 1e-5);
    }
    free(wanted);
    free(got);
}

static void check_embeddings(const EmbedCase *of, const char *when, const char *part)
{
    Err err = { 0 };
    StringList names;
    Subject *s = open_part(of, part, &names);
    char *path = file_of(s, "expected/logits.safetensors");
    Packed p = pack(s, &s->dev, NULL, s->dev.count);
    Model *model = open_subject_model(s, &p, 0);
    float *e = xcalloc((size_t)(p.batch.B * s->c.arch->C), sizeof *e);
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    model_predict(model, &p.batch, s->c.values, e);
    for (int c = 0; c < names.count; c++) {
        char name[80];
        snprintf(name, sizeof name, "%s.%s", when, names.items[c]);
        check_column(s, file, name, e, c);
    }
    safetensors_close(file);
    model_close(model);
    unpack(&p);
    release_names(&names);
    close_subject(s);
    free(path);
    free(e);
}

/* ---- the first step ----------------------------------------------------------------------------- */

/* Its texts, and its loss by the oracle. */
static double first_step(const Subject *s, int *texts, int *count)
{
    Err err = { 0 };
    char *path = file_of(s, "expected/trajectory.jsonl"), *text = file_read(path, NULL, &err);
    must(text != NULL, &err);
    json_t *step = json_bytes(text, strcspn(text, "\n"), path, &err);
    must(step != NULL, &err);
    const json_t *rows = json_object_get(step, "rows");
    const int columns = (int)s->c.arch->head.embed.columns;
    *count = (int)json_array_size(rows) * columns;
    for (int i = 0; i < *count; i++)
        texts[i] = (int)json_integer_value(json_array_get(rows, (size_t)(i / columns))) * columns + i % columns;
    const double loss = json_real_value(json_object_get(step, "loss"));
    json_decref(step);
    free(text);
    free(path);
    return loss;
}

/* grad[table->size] of the mean loss, which it gives, with the step in so many pieces. */
static double step_in_pieces(const Subject *s, const int *texts, int count, int pieces, float *grad)
{
    const EmbedHead *embed = &s->c.arch->head.embed;
    const int columns = (int)embed->columns, rows = count / columns;
    const int64_t C = s->c.arch->C, size = s->c.table->size;
    Packed all = pack(s, &s->train, texts, count);
    Model *model = open_subject_model(s, &all, 0);
    float *e = xcalloc((size_t)(count * C), sizeof *e), *de = xcalloc((size_t)(count * C), sizeof *de);
    float *again = xcalloc((size_t)(count * C), sizeof *again), *part = xcalloc((size_t)size, sizeof *part);
    float *room = xcalloc((size_t)embed_loss_room(&embed->how, rows, columns, C), sizeof *room);
    double *each = xcalloc((size_t)rows, sizeof *each), sum = 0;
    model_bind(model, s->c.values);
    for (int back = 0; back < 2; back++) {
        for (int i = 0; i < pieces; i++) {
            const int first = rows * i / pieces * columns, end = rows * (i + 1) / pieces * columns;
            Packed p = pack(s, &s->train, texts + first, end - first);
            model_forward(model, 0, &p.batch, 0, back ? again : e + first * C);
            if (back)
                model_backward(model, 0, &p.batch, 0, de + first * C, part, NULL);
            assert_true(!back || memcmp(again, e + first * C, (size_t)((end - first) * C) * sizeof *e) == 0);
            for (int64_t k = 0; back && k < size; k++)
                grad[k] += part[k] / (float)rows;
            unpack(&p);
        }
        const EmbedBatch batch = { e, all.goal, rows, columns, C };
        if (!back)
            embed_loss(each, de, &batch, &embed->how, &products, room);
    }
    for (int b = 0; b < rows; b++)
        sum += each[b];
    model_close(model);
    unpack(&all);
    free(e), free(de), free(again), free(part), free(room), free(each);
    return sum / rows;
}

static void check_gradients(const Subject *s, const float *grad)
{
    Err err = { 0 };
    char *path = file_of(s, "expected/grads.safetensors");
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    assert_int_equal(safetensors_count(file), s->c.table->count);
    for (int i = 0; i < s->c.table->count; i++) {
        const Slot *slot = &s->c.table->slots[i];
        const TensorView *view = safetensors_find(file, slot->name);
        assert_non_null(view);
        float *wanted = xcalloc((size_t)slot->count, sizeof *wanted);
        must(slot_fits(slot, view, &err) && slot_read(wanted, slot, view, &err), &err);
        const double off = difference(grad + slot->offset, wanted, slot->count);
        if (!(off < 1e-4))
            fail_msg("%s: the gradient is off by %g of its largest", slot->name, off);
        free(wanted);
    }
    safetensors_close(file);
    free(path);
}

static void check(void **state)
{
    const EmbedCase *of = *state;
    StringList names;
    int texts[MOST_ROWS], count;
    check_embeddings(of, "before", "init");
    check_embeddings(of, "after", "expected");
    Subject *s = open_part(of, "init", &names);
    const double wanted = first_step(s, texts, &count);
    float *grad = xcalloc((size_t)s->c.table->size, sizeof *grad);
    for (int pieces = 1; pieces <= 4; pieces += 3) {
        memset(grad, 0, (size_t)s->c.table->size * sizeof *grad);
        const double loss = step_in_pieces(s, texts, count, pieces, grad);
        assert_float_equal(loss, wanted, of->loss * fmax(1, fabs(wanted)));
        check_gradients(s, grad);
    }
    release_names(&names);
    close_subject(s);
    free(grad);
}

/* ---- beside each other --------------------------------------------------------------------------- */

enum { BESIDE = 6 };

/* Texts of two adapters and of the base alone: each is what it is alone, to the bit, and model_predict's. */
static void texts_are_what_they_are_alone(void **state)
{
    Err err = { 0 };
    StringList names;
    Subject *s = open_part(*state, "expected", &names);
    Packed p = pack(s, &s->dev, NULL, BESIDE);
    Model *model = open_subject_model(s, &p, 0);
    const int64_t size = s->c.table->size, C = s->c.arch->C;
    float *other = xcalloc((size_t)size, sizeof *other), *values[] = { s->c.values, other, NULL };
    float *together = xcalloc((size_t)(BESIDE * C), sizeof *together), *alone = xcalloc((size_t)C, sizeof *alone);
    float *plain = xcalloc((size_t)C, sizeof *plain);
    Adapter *three[3], *adapter[BESIDE];
    for (int64_t i = 0; i < size; i++)
        other[i] = s->c.values[i] + (float)(i % 11 - 5) * 0.01f;
    for (int a = 0; a < 3; a++) {
        three[a] = adapter_open(model, &(AdapterOptions){ .values = values[a] }, &err);
        must(three[a] != NULL, &err);
        adapter[2 * a] = adapter[2 * a + 1] = three[a];
    }
    adapter_predict(model, &p.batch, adapter, together);
    for (int b = 0; b < BESIDE; b++) {
        const int64_t start[] = { 0, p.start[b + 1] - p.start[b] };
        const Batch one = { .B = 1,
                            .N = start[1],
                            .start = start,
                            .ids = p.batch.ids + p.start[b],
                            .types = p.batch.types ? p.batch.types + p.start[b] : NULL,
                            .example = p.batch.example };
        adapter_predict(model, &one, &adapter[b], alone);
        assert_memory_equal(together + b * C, alone, (size_t)C * sizeof *alone);
        model_predict(model, &one, values[b / 2], plain);
        assert_true(difference(alone, plain, C) < 1e-5);
    }
    assert_true(difference(together, together + 2 * C, C) > 1e-3);
    for (int a = 0; a < 3; a++)
        adapter_close(three[a]);
    model_close(model);
    unpack(&p);
    release_names(&names);
    close_subject(s);
    free(other), free(together), free(alone), free(plain);
}

static void adapters_that_pool_otherwise_are_refused(void **state)
{
    Err err = { 0 };
    StringList names, again;
    Subject *s = open_part(*state, "expected", &names), *other = open_part(*state, "expected", &again);
    Packed p = pack(s, &s->dev, NULL, 2);
    Model *model = open_subject_model(s, &p, 0);
    const AdapterOptions o = { other->c.arch, other->c.table, other->c.values };
    Adapter *same = adapter_open(model, &o, &err);
    must(same != NULL, &err);
    adapter_close(same);
    EmbedHead embed = other->c.arch->head.embed;
    embed.how.pooling = embed.how.pooling == POOLING_CLS ? POOLING_MEAN : POOLING_CLS;
    arch_embed(other->c.arch, &embed);
    assert_null(adapter_open(model, &o, &err));
    assert_string_equal(err.what, "the adapter's embeddings are not pooled as those of the first one");
    model_close(model);
    unpack(&p);
    release_names(&names), release_names(&again);
    close_subject(other), close_subject(s);
}

int main(void)
{
    struct CMUnitTest tests[2 * CASES + 1];
    for (int i = 0; i < CASES; i++) {
        void *of = (void *)(uintptr_t)&cases[i];
        tests[2 * i] = (struct CMUnitTest){ cases[i].of.name, check, NULL, NULL, of };
        tests[2 * i + 1] =
            (struct CMUnitTest){ "texts_are_what_they_are_alone", texts_are_what_they_are_alone, NULL, NULL, of };
    }
    tests[2 * CASES] =
        (struct CMUnitTest){ "adapters_that_pool_otherwise_are_refused", adapters_that_pool_otherwise_are_refused, NULL,
                             NULL, (void *)(uintptr_t)&cases[0] };
    return _cmocka_run_group_tests("models that embed", tests, 2 * CASES + 1, NULL, NULL);
}
