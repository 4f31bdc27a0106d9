/* Models over a base of less than fp32, beside PyTorch's first step over the same rounded base
 * (tests/golden/precision/make.py), multiplied as floats and in bf16. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/slots/slots_tensor.h"
#include "tests/support/halves.h"
#include "tests/support/model_case.h"
#include "worker/kernels/gemm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *name;
    Precision precision;
} kinds[] = { { "bf16", PRECISION_BF16 }, { "int8", PRECISION_INT8 }, { "nf4", PRECISION_NF4 } };
static const char *const cases[] = { "bert-seqcls", "gpt2-clm", "llama-clm" };

static Subject *open_case(const char *name, Precision precision)
{
    Subject *s = open_subject(golden_index(name));
    reload_subject(s, precision, 1);
    return s;
}

static SafeTensors *open_expected(const char *name, const char *kind, bool products)
{
    Err err = { 0 };
    char *path = xprintf("tests/golden/precision/%s.%s%s.safetensors", name, kind, products ? "-products" : "");
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    free(path);
    return file;
}

/* Rows of the case's first step. */
static int first_rows(const Subject *s, int *rows)
{
    Err err = { 0 };
    char *path = file_of(s, "expected/trajectory.jsonl"), *text = file_read(path, NULL, &err);
    must(text != NULL, &err);
    json_t *step = json_bytes(text, strcspn(text, "\n"), path, &err);
    must(step != NULL, &err);
    const json_t *list = json_object_get(step, "rows");
    const int count = (int)json_array_size(list);
    for (int i = 0; i < count; i++)
        rows[i] = (int)json_integer_value(json_array_get(list, (size_t)i));
    json_decref(step);
    free(text);
    free(path);
    return count;
}

/* The mean loss of the first step; its mean gradient goes to grad. */
static double first_step(const Subject *s, float *grad)
{
    int rows[MOST_ROWS];
    const int count = first_rows(s, rows);
    Packed p = pack(s, &s->train, rows, count);
    Model *model = open_subject_model(s, &p, 0);
    const BatchLoss loss = model_train(model, &p.batch, s->c.values, grad, 0);
    for (int64_t i = 0; i < s->c.table->size; i++)
        grad[i] /= (float)loss.count;
    model_close(model);
    unpack(&p);
    return loss.sum / (double)loss.count;
}

static void expect_near(const char *what, const SafeTensors *file, const char *name, const float *got, int64_t count,
                        double most)
{
    Err err = { 0 };
    const TensorView *view = safetensors_find(file, name);
    assert_non_null(view);
    assert_int_equal(view->count, count);
    float *wanted = xcalloc((size_t)count, sizeof *wanted);
    must(tensor_to_f32(wanted, view, 0, count, &err), &err);
    const double off = difference(got, wanted, count);
    if (!(off < most))
        fail_msg("%s: %s is off by %g of its largest", what, name, off);
    free(wanted);
}

/* How far numbers may be off, of the largest of their tensor. As a number comes near the middle between two of bf16, the
 * last bit of a sum decides which it becomes: measured 1.4e-3 at most for a gradient, 2.4e-4 for logits, 2e-6 for losses. */
typedef struct Tolerance {
    double loss, gradient, logits;
} Tolerance;

static const Tolerance of_floats = { 1e-5, 1e-4, 1e-5 }, of_halves = { 1e-5, 4e-3, 1e-3 };

static void check_logits(const char *what, const Subject *s, const SafeTensors *file, double most)
{
    const bool tokens = s->c.arch->head.rows == READ_LABELLED;
    Packed p = pack(s, &s->train, NULL, 2);
    Model *model = open_subject_model(s, &p, 0);
    const int64_t rows = tokens ? p.batch.N : p.batch.B, labels = s->c.arch->head.labels;
    float *logits = xcalloc((size_t)(rows * labels), sizeof *logits);
    model_predict(model, &p.batch, s->c.values, logits);
    for (int r = 0; r < 2; r++) {
        const int64_t first = tokens ? p.start[r] : r, end = tokens ? p.start[r + 1] : r + 1;
        expect_near(what, file, r == 0 ? "logits.row0" : "logits.row1", logits + first * labels, (end - first) * labels,
                    most);
    }
    free(logits);
    model_close(model);
    unpack(&p);
}

static void check(const char *name, int kind, bool products)
{
    const Tolerance most = products ? of_halves : of_floats;
    char *what = xprintf("%s %s%s", name, kinds[kind].name, products ? ", products in bf16" : "");
    Subject *s = open_case(name, kinds[kind].precision);
    SafeTensors *file = open_expected(name, kinds[kind].name, products);
    float *grad = xcalloc((size_t)s->c.table->size, sizeof *grad);
    const float loss = (float)first_step(s, grad);
    expect_near(what, file, "loss", &loss, 1, most.loss);
    for (int i = 0; i < s->c.table->count; i++) {
        const Slot *slot = &s->c.table->slots[i];
        expect_near(what, file, slot->name, grad + slot->offset, slot->count, most.gradient);
    }
    check_logits(what, s, file, most.logits);
    safetensors_close(file);
    close_subject(s);
    free(grad);
    free(what);
}

static void first_steps_are_pytorchs(void **state)
{
    (void)state;
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (size_t k = 0; k < LENGTH(kinds); k++)
            check(cases[c], (int)k, false);
}

static void in_bf16_they_are_pytorchs_of_rounded_factors(void **state)
{
    (void)state;
    if (!halves_level(0))
        skip();
    for (int way = 0; halves_use(way); way++)
        for (size_t c = 0; c < LENGTH(cases); c++)
            for (size_t k = 0; k < LENGTH(kinds); k++)
                check(cases[c], (int)k, true);
}

static double cosine(const float *a, const float *b, int64_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* The cases' weights are random; nf4 rounds such by a tenth (PyTorch's gradients are equal above), and those of a model
 * that has learnt by less. */
static void first_gradients_point_where_those_of_fp32_do(void **state)
{
    (void)state;
    static const double least[] = { 0.999, 0.99, 0.9 };
    for (size_t c = 0; c < LENGTH(cases); c++) {
        Subject *s = open_case(cases[c], PRECISION_FP32);
        const int64_t n = s->c.table->size;
        float *plain = xcalloc((size_t)n, sizeof *plain), *grad = xcalloc((size_t)n, sizeof *grad);
        first_step(s, plain);
        for (size_t k = 0; k < LENGTH(kinds); k++) {
            reload_subject(s, kinds[k].precision, 1);
            for (int way = -1; halves_use(way); way++) {
                first_step(s, grad);
                const double got = cosine(plain, grad, n);
                if (!(got >= least[k]))
                    fail_msg("%s %s: the gradient's cosine with that of fp32 is %g", cases[c], kinds[k].name, got);
            }
        }
        close_subject(s);
        free(plain);
        free(grad);
    }
}

static void ranks_that_load_together_load_the_same(void **state)
{
    (void)state;
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (size_t k = 0; k < LENGTH(kinds); k++) {
            Subject *s = open_case(cases[c], kinds[k].precision), *other = open_case(cases[c], PRECISION_FP32);
            reload_subject(other, kinds[k].precision, 3);
            assert_int_equal(s->weights.bytes, other->weights.bytes);
            assert_memory_equal(s->weights.data, other->weights.data, (size_t)s->weights.bytes);
            close_subject(s);
            close_subject(other);
        }
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for (size_t k = 0; halves_use((int)(k / LENGTH(kinds)) - 1); k++) {
        Subject *s = open_case("llama-clm", kinds[k % LENGTH(kinds)].precision);
        const size_t bytes = (size_t)s->c.table->size * sizeof(float);
        float *one = xcalloc(1, bytes), *three = xcalloc(1, bytes);
        gemm_set_threads(1);
        first_step(s, one);
        gemm_set_threads(3);
        first_step(s, three);
        gemm_set_threads(1);
        assert_memory_equal(one, three, bytes);
        close_subject(s);
        free(one);
        free(three);
    }
}

/* A number of the body takes 16, 8 or about 4 bits; of words, two thirds of this model, 16 at the least. */
static void the_base_takes_less(void **state)
{
    (void)state;
    static const double most[] = { 0.53, 0.44, 0.40 };
    for (size_t k = 0; k < LENGTH(kinds); k++) {
        Subject *s = open_case("llama-clm", PRECISION_FP32);
        const double before = (double)s->weights.bytes;
        reload_subject(s, kinds[k].precision, 1);
        assert_true((double)s->weights.bytes < most[k] * before);
        close_subject(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_steps_are_pytorchs),
        cmocka_unit_test(in_bf16_they_are_pytorchs_of_rounded_factors),
        cmocka_unit_test(first_gradients_point_where_those_of_fp32_do),
        cmocka_unit_test(ranks_that_load_together_load_the_same),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(the_base_takes_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
