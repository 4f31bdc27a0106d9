/* AdaLoRA's regulariser beside its definition, and its gradient beside slopes. */
#include "common/slots/orthogonality.h"

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

#define LORA "{\"peft_type\": \"ADALORA\", \"init_r\": 5, \"target_modules\": [\"query\", \"intermediate.dense\"]}"

static void open_filled(Case *c)
{
    open_with(c, "bert-seqcls", TASK_SEQ_CLS, LORA);
    for (int64_t i = 0; i < c->table->size; i++)
        c->values[i] = (float)(i * 7919 % 1000) / 2000.0f - 0.2f;
}

/* |A A^T - I| or |B^T B - I| */
static double defined(const Case *c, int s)
{
    const Slot *slot = &c->table->slots[s];
    const bool rows = slot->kind == SLOT_LORA_A;
    const int64_t r = slot->dim[rows ? 0 : 1], n = slot->dim[rows ? 1 : 0];
    const float *x = c->values + slot->offset;
    double squares = 0;
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            double sum = i == j ? -1 : 0;
            for (int64_t k = 0; k < n; k++)
                sum += (double)x[rows ? i * n + k : k * r + i] * (double)x[rows ? j * n + k : k * r + j];
            squares += sum * sum;
        }
    return sqrt(squares);
}

static double mean_defined(const Case *c)
{
    double sum = 0, count = 0;
    for (int s = 0; s < c->table->count; s++)
        if (c->table->slots[s].kind == SLOT_LORA_A || c->table->slots[s].kind == SLOT_LORA_B) {
            sum += defined(c, s);
            count++;
        }
    return sum / count;
}

static void it_is_the_mean_distance_from_orthonormal(void **state)
{
    (void)state;
    Case c;
    open_filled(&c);
    assert_float_equal(orthogonality(NULL, c.table, c.values, 1), mean_defined(&c), 1e-5);
    close_case(&c);
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS, "{\"target_modules\": [\"query\"]}");
    assert_true(orthogonality(NULL, c.table, c.values, 1) == 0);
    close_case(&c);
}

static void its_gradient_is_its_slope(void **state)
{
    (void)state;
    Case c;
    open_filled(&c);
    float *gradient = xcalloc((size_t)c.table->size, sizeof *gradient);
    for (int64_t i = 0; i < c.table->size; i++)
        gradient[i] = 1; /* it is added */
    orthogonality(gradient, c.table, c.values, 0.3);
    for (int s = 0; s < c.table->count; s++) {
        const Slot *slot = &c.table->slots[s];
        for (int64_t i = 0; i < slot->count; i += 37) {
            float *x = &c.values[slot->offset + i];
            const float was = *x, step = 1e-2f;
            *x = was + step;
            const double above = mean_defined(&c);
            *x = was - step;
            const double slope = (above - mean_defined(&c)) / (2 * (double)step);
            *x = was;
            assert_float_equal(gradient[slot->offset + i], 1 + 0.3 * slope, 2e-5);
        }
    }
    free(gradient);
    close_case(&c);
}

/* Where a matrix is orthonormal the norm has no slope: it is taken for 0. */
static void of_orthonormal_ones_there_is_nothing(void **state)
{
    (void)state;
    Case c;
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS, LORA);
    for (int s = 0; s < c.table->count; s++) {
        const Slot *slot = &c.table->slots[s];
        for (int64_t i = 0; i < 5 && (slot->kind == SLOT_LORA_A || slot->kind == SLOT_LORA_B); i++)
            c.values[slot->offset + i * slot->dim[1] + i] = 1;
    }
    float *gradient = xcalloc((size_t)c.table->size, sizeof *gradient);
    double sum = 0;
    assert_true(orthogonality(gradient, c.table, c.values, 1) == 0);
    for (int64_t i = 0; i < c.table->size; i++)
        sum += fabs((double)gradient[i]);
    assert_true(sum == 0);
    free(gradient);
    close_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_mean_distance_from_orthonormal),
        cmocka_unit_test(its_gradient_is_its_slope),
        cmocka_unit_test(of_orthonormal_ones_there_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
