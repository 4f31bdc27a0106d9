/* Steps of the store beside torch's AdamW written out in double: means, one norm over all tensors,
 * decay where Trainer has it. */
#include "ps/store.h"

#include "common/slots/absurd.h"

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/support/slots_case.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 5, COUNT = 16 };
#define DECAY 0.3

/* Tensors of both kinds: matrices, that decay, and biases, that do not. */
static void open_case(Case *c)
{
    open_with(c, "bert-seqcls", TASK_SEQ_CLS,
              "{\"r\": 2, \"lora_alpha\": 4, \"target_modules\": [\"query\"], \"bias\": \"lora_only\"}");
    int decays = 0;
    for (int i = 0; i < c->table->count; i++)
        decays += c->table->slots[i].decay;
    assert_true(decays > 0 && decays < c->table->count);
}

/* Sums of a step, as long as `length` says; padding between the tensors is 0. */
static void sums_of(float *sums, const SlotTable *table, int64_t step, float length)
{
    memset(sums, 0, (size_t)table->size * sizeof *sums);
    for (int i = 0; i < table->count; i++)
        rng_normal(sums + table->slots[i].offset, table->slots[i].count, length, rng_key(2, step, i, 0));
}

typedef struct Plain {
    double *value, *m, *v; /* [size] */
} Plain;

static double *zeros(int64_t n)
{
    return xcalloc((size_t)n, sizeof(double));
}

/* times: LoRA+'s of B and of biases; 1: plain. */
static double plain_step(Plain *p, const SlotTable *table, const float *sums, double max_norm, double times,
                         const AdamW *o)
{
    double square = 0;
    for (int64_t k = 0; k < table->size; k++)
        square += (double)sums[k] / COUNT * ((double)sums[k] / COUNT);
    const double norm = sqrt(square), factor = fmin(1.0, max_norm / (norm + 1e-6));
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        const double rate = o->learning_rate * (slot->kind == SLOT_LORA_B || slot->dims == 1 ? times : 1);
        for (int64_t k = slot->offset; k < slot->offset + slot->count; k++) {
            const double g = (double)sums[k] / COUNT * factor;
            p->m[k] = o->beta1 * p->m[k] + (1 - o->beta1) * g;
            p->v[k] = o->beta2 * p->v[k] + (1 - o->beta2) * g * g;
            const double m = p->m[k] / (1 - pow(o->beta1, (double)o->t)),
                         v = p->v[k] / (1 - pow(o->beta2, (double)o->t));
            const double decay = slot->decay ? DECAY : 0;
            p->value[k] -= rate * (decay * p->value[k] + m / (sqrt(v) + o->epsilon));
        }
    }
    return norm;
}

static void expect_near(const float *got, const double *want, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        assert_float_equal(got[k], want[k], 1e-5 * (1 + fabs(want[k])));
}

static void check_steps(const TrainConfig *train, double times)
{
    Case c;
    Store store;
    Err err = { 0 };
    open_case(&c);
    must(store_init(&store, c.table, &c.lora, train, false, &err), &err);
    const int64_t n = c.table->size;
    Plain plain = { zeros(n), zeros(n), zeros(n) };
    float *sums = xcalloc((size_t)n, sizeof *sums);
    sums_of(store.value, c.table, 99, 1);
    for (int64_t k = 0; k < n; k++)
        plain.value[k] = (double)store.value[k];
    for (int64_t t = 1; t <= STEPS; t++) {
        const AdamW o = { 0.02, 0.9, 0.999, 1e-8, 0, t };
        sums_of(sums, c.table, t, t % 2 ? 3.0F : 0.03F); /* longer than 0.5 in turn, and shorter */
        const double want = plain_step(&plain, c.table, sums, 0.5, times, &o);
        rates_set(store.rates, c.table->count, &(Schedule){ 0 }, 0.02, 0);
        const double norm = store_apply(&store, sums, COUNT, 0.5, &o, NULL); /* sums are means now */
        assert_float_equal(norm, want, 1e-5 * want);
        assert_true((norm > 0.5) == (t % 2 == 1));
        expect_near(store.value, plain.value, n);
        expect_near(store.m, plain.m, n);
        expect_near(store.v, plain.v, n);
    }
    free(sums);
    free(plain.value);
    free(plain.m);
    free(plain.v);
    store_release(&store);
    close_case(&c);
}

static void steps_are_those_of_adamw_in_double(void **state)
{
    (void)state;
    check_steps(&(TrainConfig){ .weight_decay = DECAY }, 1);
    check_steps(&(TrainConfig){ .learning_rate = 0.02, .loraplus_lr_ratio = 3, .loraplus_weight_decay = DECAY }, 3);
}

static void a_number_that_is_none_is_found_in_its_tensor(void **state)
{
    (void)state;
    Case c;
    Store store;
    Err err = { 0 };
    open_case(&c);
    must(store_init(&store, c.table, &c.lora, &(TrainConfig){ .weight_decay = DECAY }, false, &err), &err);
    float *sums = xcalloc((size_t)c.table->size, sizeof *sums);
    assert_null(absurd_slot(c.table, sums, 4));
    assert_true(absurd_loss(NAN, 4) && absurd_loss(-1e30, 4) && !absurd_loss(1e18, 4));
    const float bad[] = { NAN, INFINITY, -INFINITY, -8e19f }; /* of 4: the square of their mean is infinite */
    for (int i = 0; i < c.table->count; i++) {
        const Slot *slot = &c.table->slots[i];
        const int64_t ends[] = { slot->offset, slot->offset + slot->count - 1 };
        for (int k = 0; k < 2; k++) {
            sums[ends[k]] = bad[(i + k) % 4];
            assert_ptr_equal(absurd_slot(c.table, sums, 4), slot);
            sums[ends[k]] = 7e19f; /* a mean of 1.75e19 */
            assert_null(absurd_slot(c.table, sums, 4));
            sums[ends[k]] = 0;
        }
    }
    free(sums);
    store_release(&store);
    close_case(&c);
}

/* Tensors that end within blocks and go over them: every number is updated once, by any threads. */
static void threads_change_no_bit(void **state)
{
    (void)state;
    enum { SLOTS = 3 };
    const int64_t counts[SLOTS] = { ADAMW_BLOCK - 100, 3, 2 * (int64_t)ADAMW_BLOCK + 5 };
    char name[] = "w";
    Slot slots[SLOTS] = { 0 };
    SlotTable table = { .slots = slots, .count = SLOTS };
    Module module = { .kind = MODULE_LINEAR };
    ModelArch arch = { .modules = &module, .module_count = 1 };
    table.arch = &arch;
    for (int i = 0; i < SLOTS; i++) {
        slots[i] = (Slot){ .name = name, .offset = table.size, .count = counts[i], .dims = 1, .decay = i != 1 };
        table.size += (counts[i] + 15) / 16 * 16;
    }
    const size_t bytes = (size_t)table.size * sizeof(float);
    float *sums = xmalloc(bytes), *value = xcalloc(1, bytes), *m = xcalloc(1, bytes), *v = xcalloc(1, bytes);
    const int threads[] = { 1, 4 }, before = omp_get_max_threads();
    const AdamW o = { 0.02, 0.9, 0.999, 1e-8, 0, 1 };
    for (int k = 0; k < 2; k++) {
        Store store;
        Err err = { 0 };
        must(store_init(&store, &table, &(LoraConfig){ 0 }, &(TrainConfig){ .weight_decay = DECAY }, false, &err),
             &err);
        memset(sums, 0, bytes);
        for (int i = 0; i < SLOTS; i++)
            rng_normal(sums + slots[i].offset, counts[i], 1, rng_key(3, i, 0, 0));
        omp_set_num_threads(threads[k]);
        rates_set(store.rates, table.count, &(Schedule){ 0 }, 0.02, 0);
        store_apply(&store, sums, COUNT, 0.5, &o, NULL);
        omp_set_num_threads(before);
        if (k == 0) { /* tensor by tensor, of the clipped means that are left */
            for (int i = 0; i < SLOTS; i++) {
                AdamW of = o;
                of.weight_decay = i == 1 ? 0 : DECAY;
                const int64_t at = slots[i].offset;
                adamw_update(value + at, m + at, v + at, sums + at, counts[i], &of);
            }
        }
        assert_memory_equal(store.value, value, bytes);
        assert_memory_equal(store.m, m, bytes);
        assert_memory_equal(store.v, v, bytes);
        store_release(&store);
    }
    free(sums);
    free(value);
    free(m);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_those_of_adamw_in_double),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(a_number_that_is_none_is_found_in_its_tensor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
