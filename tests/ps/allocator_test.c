/* AdaLoRA's budget: every mask of the golden cases from PEFT's own scores is what dist/golden_test sees of a run; here
 * the rules themselves, of a table with two modules, beside a plain loop. */
#include "ps/allocator.h"

#include "common/base/mem.h"
#include "tests/support/slots_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { R = 3, STEPS = 30 };

#define LORA                                                                                                           \
    "{\"peft_type\": \"ADALORA\", \"init_r\": 3, \"target_r\": 1, \"tinit\": 4, \"tfinal\": 6, \"deltaT\": 5,"         \
    " \"beta1\": 0.7, \"beta2\": 0.9, \"target_modules\": [\"query\"]}"

typedef struct Fixture {
    Case c;
    Allocator a;
    float *gradient;
    double *S, *U; /* of the plain loop */
} Fixture;

static void open_fixture(Fixture *f)
{
    Err err = { 0 };
    open_with(&f->c, "bert-seqcls", TASK_SEQ_CLS, LORA);
    must(allocator_init(&f->a, f->c.table, &f->c.lora, &err), &err);
    f->gradient = xcalloc((size_t)f->c.table->size, sizeof *f->gradient);
    f->S = xcalloc((size_t)f->c.table->size, sizeof *f->S);
    f->U = xcalloc((size_t)f->c.table->size, sizeof *f->U);
    assert_int_equal(f->c.table->triplets, 2 * R);
}

static void close_fixture(Fixture *f)
{
    allocator_release(&f->a);
    free(f->gradient);
    free(f->S);
    free(f->U);
    close_case(&f->c);
}

/* Other values and gradients each step, as an optimizer would have it. */
static void stir(Fixture *f, int64_t t)
{
    for (int64_t i = 0; i < f->c.table->size; i++) {
        f->c.values[i] = (float)((i * 7919 + t * 104729) % 1009) / 500.0f - 1;
        f->gradient[i] = (float)((i * 6007 + t * 3571) % 997) / 5000.0f - 0.1f;
    }
}

static void observe(Fixture *f)
{
    for (int64_t i = 0; i < f->c.table->size; i++) {
        const double I = fabs((double)f->c.values[i] * (double)f->gradient[i]);
        f->S[i] = 0.7 * f->S[i] + 0.3 * I;
        f->U[i] = 0.9 * f->U[i] + 0.1 * fabs(I - f->S[i]);
    }
}

static double score(const Fixture *f, const ModuleSlots *of, int64_t i)
{
    const Slot *a = &f->c.table->slots[of->a], *b = &f->c.table->slots[of->b], *e = &f->c.table->slots[of->e];
    double of_a = 0, of_b = 0;
    for (int64_t k = 0; k < 32; k++) {
        of_a += f->S[a->offset + i * 32 + k] * f->U[a->offset + i * 32 + k] / 32;
        of_b += f->S[b->offset + k * R + i] * f->U[b->offset + k * R + i] / 32;
    }
    return f->S[e->offset + i] * f->U[e->offset + i] + of_a + of_b;
}

/* Those above the n-th smallest are kept. */
static void expect_mask(const Fixture *f, int64_t n)
{
    double all[2 * R], sorted[2 * R];
    int count = 0;
    for (int m = 0; m < f->c.arch->module_count; m++)
        for (int64_t i = 0; f->c.table->modules[m].e >= 0 && i < R; i++)
            all[count++] = score(f, &f->c.table->modules[m], i);
    memcpy(sorted, all, sizeof all);
    for (int i = 0; i < 2 * R; i++)
        for (int j = i + 1; j < 2 * R; j++)
            if (sorted[j] < sorted[i]) {
                const double was = sorted[i];
                sorted[i] = sorted[j];
                sorted[j] = was;
            }
    assert_float_equal(f->a.threshold / sorted[n - 1], 1, 1e-4);
    for (int i = 0; i < 2 * R; i++)
        assert_int_equal(f->a.kept[i], all[i] > sorted[n - 1] * (1 + 1e-6));
}

/* How many E are 0. */
static int zeros(const Fixture *f)
{
    int count = 0;
    for (int s = 0; s < f->c.table->count; s++)
        for (int64_t i = 0; f->c.table->slots[s].kind == SLOT_LORA_E && i < R; i++)
            count += f->c.values[f->c.table->slots[s].offset + i] == 0;
    return count;
}

/* b(t) = 4 (1 - (t - 4) / 20)^3 + 2, cut off; masks at 5, 10, 15, 20 and 24. */
static void masks_follow_the_budget(void **state)
{
    (void)state;
    static const struct {
        int64_t t, budget;
    } masks[] = { { 5, 5 }, { 10, 3 }, { 15, 2 }, { 20, 2 }, { 24, 2 } };
    Fixture f;
    open_fixture(&f);
    size_t next = 0;
    for (int64_t t = 0; t < STEPS; t++) {
        stir(&f, t);
        if (t < 24)
            observe(&f);
        allocator_step(&f.a, f.c.values, f.gradient, t, STEPS);
        if (next < LENGTH(masks) && t == masks[next].t) {
            expect_mask(&f, 2 * R - masks[next].budget);
            assert_int_equal(allocator_count(&f.a), masks[next].budget);
            assert_int_equal(zeros(&f), 2 * R - masks[next].budget);
            next++;
        } else {
            /* what was left out learns between masks, and not behind the last */
            assert_int_equal(zeros(&f), t > 24 ? 4 : 0);
        }
        assert_int_equal(f.a.masked, t >= 5);
    }
    assert_int_equal(next, LENGTH(masks));
    close_fixture(&f);
}

static void kept_triplets_are_read_as_they_were_written(void **state)
{
    (void)state;
    Fixture f, again;
    Err err = { 0 };
    Text text = { 0 };
    open_fixture(&f);
    open_fixture(&again);
    allocator_write(&f.a, &text);
    assert_int_equal(text.size, 0);
    must(allocator_read(&again.a, "", &err), &err);
    assert_false(again.a.masked);
    for (int64_t t = 0; t < 12; t++) {
        stir(&f, t);
        allocator_step(&f.a, f.c.values, f.gradient, t, STEPS);
    }
    allocator_write(&f.a, &text);
    must(allocator_read(&again.a, text.data, &err), &err);
    assert_true(again.a.masked);
    assert_memory_equal(again.a.kept, f.a.kept, 2 * R);
    assert_false(allocator_read(&again.a, "10101", &err));
    assert_non_null(strstr(err.what, "a digit for each triplet"));
    text_release(&text);
    close_fixture(&again);
    close_fixture(&f);
}

/* A run that was made shorter has its last mask when it is due, or at once. */
static void a_shorter_run_ends_with_the_target(void **state)
{
    (void)state;
    Fixture f;
    open_fixture(&f);
    for (int64_t t = 0; t < 9; t++) {
        stir(&f, t);
        allocator_step(&f.a, f.c.values, f.gradient, t, STEPS);
    }
    assert_int_equal(allocator_count(&f.a), 5);
    for (int64_t t = 9; t < 12; t++) {
        stir(&f, t);
        allocator_step(&f.a, f.c.values, f.gradient, t, 12); /* whose last mask was due at 6 */
        assert_int_equal(allocator_count(&f.a), 2);
        assert_int_equal(zeros(&f), 4);
    }
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_follow_the_budget),
        cmocka_unit_test(kept_triplets_are_read_as_they_were_written),
        cmocka_unit_test(a_shorter_run_ends_with_the_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
