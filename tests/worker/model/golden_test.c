/* The models of all golden cases beside Transformers and PEFT: logits before and after training, the
 * loss and every gradient of the first step. Token ids are those of the case, so nothing but the model
 * is tested here. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/slots/orthogonality.h"
#include "common/slots/slots_tensor.h"
#include "tests/support/model_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- logits ------------------------------------------------------------------------- */

static void expect_logits(const SafeTensors *file, const char *name, const float *logits, int64_t count, double off)
{
    Err err = { 0 };
    const TensorView *view = safetensors_find(file, name);
    assert_non_null(view);
    assert_int_equal(view->count, count);
    float *expected = xcalloc((size_t)count, sizeof *expected);
    must(tensor_to_f32(expected, view, 0, count, &err), &err);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)logits[i] - (double)expected[i]) < off))
            fail_msg("%s: logit %lld is %g instead of %g", name, (long long)i, (double)logits[i], (double)expected[i]);
    free(expected);
}

static double logits_off(const Subject *s)
{
    const int g = golden_index(s->name);
    return g >= GOLDEN_LOOSE && g < GOLDEN ? 1e-4 : 1e-5;
}

/* Rows of logits that a row of the case has. */
static int64_t said(const Subject *s, const Packed *p, int r)
{
    int64_t count = p->start[r + 1] - p->start[r];
    for (int64_t t = p->start[r]; s->c.arch->source_layers > 0 && t < p->start[r + 1]; t++)
        count -= p->types[t] == 0;
    return count;
}

static void check_logits(const Subject *s, const char *when, const char *adapter)
{
    Err err = { 0 };
    char *folder = file_of(s, adapter), *path = file_of(s, "expected/logits.safetensors");
    must(slots_read(s->c.values, s->c.table, folder, &err), &err);
    const bool tokens = s->c.arch->head.rows == READ_LABELLED;
    Packed p = pack(s, &s->dev, NULL, tokens ? 2 : s->dev.count);
    Model *model = open_subject_model(s, &p, 0);
    const int64_t rows = tokens ? p.batch.N : p.batch.B, labels = s->c.arch->head.labels;
    int64_t at[3] = { 0 }; /* of the first two rows: all their tokens, of two stacks the target's */
    for (int r = 0; tokens && r < 2; r++)
        at[r + 1] = at[r] + said(s, &p, r);
    float *logits = xcalloc((size_t)(rows * labels), sizeof *logits);
    model_predict(model, &p.batch, s->c.values, logits);
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    char name[40];
    for (int r = 0; r < (tokens ? 2 : 1); r++) {
        snprintf(name, sizeof name, tokens ? "%s.row%d" : "%s.rows", when, r);
        expect_logits(file, name, logits + at[r] * labels, (tokens ? at[r + 1] - at[r] : rows) * labels, logits_off(s));
    }
    safetensors_close(file);
    model_close(model);
    unpack(&p);
    free(logits);
    free(folder);
    free(path);
}

/* expected/noise.json: ranges without a gradient but rounding noise. They become 0. */
static void clear_noise(const Subject *s, const Slot *slot, float *x)
{
    Err err = { 0 };
    char *path = file_of(s, "expected/noise.json");
    json_t *list = file_exists(path) ? json_file(path, &err) : NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *range = json_array_get(list, i);
        const int64_t from = json_integer_value(json_object_get(range, "from"));
        const int64_t to = json_integer_value(json_object_get(range, "to"));
        if (strcmp(json_string_value(json_object_get(range, "name")), slot->name) == 0)
            memset(x + from, 0, (size_t)(to - from) * sizeof *x);
    }
    json_decref(list);
    free(path);
}

/* A gradient of a slot as it lies in memory. */
static void read_gradient(float *out, const Slot *slot, const SafeTensors *file)
{
    Err err = { 0 };
    const TensorView *view = safetensors_find(file, slot->name);
    assert_non_null(view);
    must(slot_fits(slot, view, &err) && slot_read(out, slot, view, &err), &err);
}

/* ---- the first step ----------------------------------------------------------------- */

/* Its rows and its mean loss. */
static double first_step(const Subject *s, int *rows, int *count)
{
    Err err = { 0 };
    char *path = file_of(s, "expected/trajectory.jsonl"), *text = file_read(path, NULL, &err);
    must(text != NULL, &err);
    json_t *step = json_bytes(text, strcspn(text, "\n"), path, &err);
    must(step != NULL, &err);
    const json_t *list = json_object_get(step, "rows");
    *count = (int)json_array_size(list);
    for (int i = 0; i < *count; i++)
        rows[i] = (int)json_integer_value(json_array_get(list, (size_t)i));
    const double loss = json_real_value(json_object_get(step, "loss"));
    json_decref(step);
    free(text);
    free(path);
    return loss;
}

static void check_first_step(const Subject *s)
{
    int rows[MOST_ROWS], count;
    const double expected_loss = first_step(s, rows, &count);
    Packed p = pack(s, &s->train, rows, count);
    Model *model = open_subject_model(s, &p, 0);
    const SlotTable *table = s->c.table;
    float *grad = xcalloc((size_t)table->size, sizeof *grad), *wanted = xcalloc((size_t)table->size, sizeof *wanted);
    const BatchLoss loss = model_train(model, &p.batch, s->c.values, grad, 0);
    for (int64_t i = 0; i < table->size; i++)
        grad[i] /= (float)loss.count;
    const double weight = s->c.lora.ada.orth_reg_weight; /* a method's own term, of the mean */
    const double penalty = table->triplets > 0 ? weight * orthogonality(grad, table, s->c.values, weight) : 0;
    assert_float_equal(loss.sum / (double)loss.count + penalty, expected_loss, 1e-5);

    Err err = { 0 };
    char *path = file_of(s, "expected/grads.safetensors");
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    assert_int_equal(safetensors_count(file), table->count);
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        read_gradient(wanted, slot, file);
        clear_noise(s, slot, wanted);
        clear_noise(s, slot, grad + slot->offset);
        const double off = difference(grad + slot->offset, wanted, slot->count);
        if (!(off < 1e-4))
            fail_msg("%s: the gradient is off by %g of its largest", slot->name, off);
    }
    safetensors_close(file);
    model_close(model);
    unpack(&p);
    free(path);
    free(grad);
    free(wanted);
}

static void check(void **state)
{
    const GoldenCase *of = *state;
    const int g = (int)(of - golden);
    char *trained = xprintf("tests/golden/%s/expected", of->name);
    Subject *after = open_subject_adapter(g, trained), *s = open_subject(g); /* AdaLoRA's ranks are others */
    check_logits(after, "after", "expected");
    close_subject(after);
    free(trained);
    check_logits(s, "before", first_values_of((int)(of - golden)));
    check_first_step(s);
    close_subject(s);
}

int main(void)
{
    struct CMUnitTest tests[GOLDEN_ALL];
    for (int g = 0; g < GOLDEN_ALL; g++)
        tests[g] = (struct CMUnitTest){ golden[g].name, check, NULL, NULL, (void *)(uintptr_t)&golden[g] };
    return _cmocka_run_group_tests("golden models", tests, GOLDEN_ALL, NULL, NULL);
}
