/* Models of two stacks and models that embed, over a base of less than fp32: they give what the same model gives over fp32
 * numbers that are the rounded ones, logits and gradients. How numbers are rounded is quant_test's and precision_test's. */
#include "common/base/mem.h"
#include "tests/support/model_case.h"
#include "worker/layers/frozen.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const GoldenCase cases[] = { { "t5-seq2seq", TASK_SEQ_2_SEQ_LM, 0 },
                                    { "flan_t5-seq2seq", TASK_SEQ_2_SEQ_LM, 0 },
                                    { "bart-seq2seq", TASK_SEQ_2_SEQ_LM, 0 },
                                    { "bert-embed-mnr", TASK_FEATURE_EXTRACTION, 0 },
                                    { "modernbert-embed-cosent", TASK_FEATURE_EXTRACTION, 0 },
                                    { "mpnet-embed-cosine", TASK_FEATURE_EXTRACTION, 0 } };
static const Precision kinds[] = { PRECISION_BF16, PRECISION_INT8, PRECISION_NF4 };

enum { ROWS = 6 };

static Subject *open_case(const GoldenCase *of)
{
    char *init = xprintf("tests/golden/%s/init", of->name);
    Subject *s = open_subject_of(of, init, init);
    free(init);
    return s;
}

/* The fp32 base of `plain` gets the numbers that the packed one stands for. */
static void unpack_base(Subject *plain, const Subject *packed)
{
    const ModelArch *arch = plain->c.arch;
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        float *to = weights_room(&plain->weights, i);
        if (!to || m->in == 0 || (m->kind != MODULE_LINEAR && m->kind != MODULE_EMBEDDING))
            continue;
        const Frozen from = weights_frozen(&packed->weights, i);
        for (int64_t r = 0; r < m->out; r++)
            frozen_row(to + r * m->in, &from, r);
    }
}

/* out: what it predicts of some rows. Gives the loss, or of embeddings the half sum of squares, with its gradient. */
static double compute(const Subject *s, float *out, float *grad)
{
    Packed p = pack(s, &s->train, NULL, ROWS);
    Model *model = open_subject_model(s, &p, 0);
    const int64_t n = ROWS * s->c.arch->C;
    double loss = 0;
    model_predict(model, &p.batch, s->c.values, out);
    if (s->c.arch->head.task->embeds) {
        float *e = xcalloc((size_t)n, sizeof *e);
        model_bind(model, s->c.values);
        model_forward(model, 0, &p.batch, 0, e);
        for (int64_t i = 0; i < n; i++)
            loss += 0.5 * (double)e[i] * (double)e[i];
        model_backward(model, 0, &p.batch, 0, e, grad, NULL);
        free(e);
    } else {
        loss = model_train(model, &p.batch, s->c.values, grad, 0).sum;
    }
    model_close(model);
    unpack(&p);
    return loss;
}

static void check(const GoldenCase *of, Precision precision)
{
    Subject *packed = open_case(of), *plain = open_case(of);
    const int64_t size = packed->c.table->size, room = ROWS * MOST_LENGTH * (plain->c.arch->V + plain->c.arch->C);
    float *got = xcalloc((size_t)room, sizeof *got), *want = xcalloc((size_t)room, sizeof *want);
    float *before = xcalloc((size_t)room, sizeof *before);
    float *grad = xcalloc((size_t)size, sizeof *grad), *wanted = xcalloc((size_t)size, sizeof *wanted);
    const double exact = compute(plain, before, wanted);
    reload_subject(packed, precision, 1);
    assert_true(packed->weights.bytes < plain->weights.bytes);
    unpack_base(plain, packed);
    const double loss = compute(packed, got, grad), of_floats = compute(plain, want, wanted);
    assert_true(difference(got, want, room) < 1e-5);
    assert_true(difference(grad, wanted, size) < 1e-5);
    assert_true(fabs(loss - of_floats) < 1e-5 * of_floats);
    assert_true(fabs(loss - exact) < 0.2 * exact);
    assert_true(precision == PRECISION_BF16 || difference(got, before, room) > 1e-5); /* it was rounded at all */
    free(got);
    free(want);
    free(before);
    free(grad);
    free(wanted);
    close_subject(packed);
    close_subject(plain);
}

static void packed_bases_give_what_their_numbers_give(void **state)
{
    (void)state;
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (size_t k = 0; k < LENGTH(kinds); k++)
            check(&cases[c], kinds[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(packed_bases_give_what_their_numbers_give) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
