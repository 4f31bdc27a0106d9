#include "tests/worker/kernels/support.h"

enum { C = 65 };
static const int64_t lengths[] = { 17, 1, 130, 3 };
static const float p = 0.1f;

typedef struct Batch {
    int64_t start[5];
    RngKey keys[4];
    Rows rows;
} Batch;

static void batch_init(Batch *batch)
{
    batch->rows = rows_of(batch->start, lengths, 4);
    for (int64_t b = 0; b < 4; b++)
        batch->keys[b] = rng_key(11, 5, 40 + b, 2);
}

static void elements_are_dropped_by_their_counter_and_scaled(void **state)
{
    (void)state;
    Batch batch;
    batch_init(&batch);
    const int64_t size = batch.rows.N * C;
    float *x = random_new(size, 1.0f, 1), *y = guarded_new(size);
    kernels->dropout_apply(y, x, &batch.rows, (Dropout){ p, batch.keys }, C);
    for (int64_t b = 0; b < 4; b++) {
        for (int64_t i = 0; i < lengths[b] * C; i++) {
            const int64_t at = batch.start[b] * C + i;
            const bool kept = rng_bits(batch.keys[b], (uint32_t)i) >= rng_threshold(p);
            check_near("y", at, (double)y[at], kept ? (double)x[at] / (1.0 - (double)p) : 0.0, 1e-6);
        }
    }
    kernels->dropout_apply(x, x, &batch.rows, (Dropout){ p, batch.keys }, C);
    check_same_bits("y over x", x, y, size);
    guarded_free(x, size);
    guarded_free(y, size);
}

/* Standard deviation of the mean rate over n draws: sqrt(p (1-p) / n). */
static void the_rate_is_p(void **state)
{
    (void)state;
    const float rates[] = { 0.05f, 0.1f, 0.5f, 0.9f };
    const int64_t one[] = { 4000 };
    int64_t start[2];
    const Rows rows = rows_of(start, one, 1);
    const RngKey key = rng_key(3, 9, 1, 1);
    const int64_t size = rows.N * C;
    float *x = guarded_new(size), *y = guarded_new(size);
    for (int64_t i = 0; i < size; i++)
        x[i] = 1.0f;
    for (size_t r = 0; r < COUNT_OF(rates); r++) {
        int64_t dropped = 0;
        kernels->dropout_apply(y, x, &rows, (Dropout){ rates[r], &key }, C);
        for (int64_t i = 0; i < size; i++)
            dropped += y[i] == 0.0f;
        const double rate = (double)rates[r], n = (double)size;
        assert_true(fabs((double)dropped / n - rate) < 4.0 * sqrt(rate * (1.0 - rate) / n));
    }
    guarded_free(x, size);
    guarded_free(y, size);
}

static void an_example_alone_has_the_mask_it_has_in_a_batch(void **state)
{
    (void)state;
    Batch batch;
    batch_init(&batch);
    const int64_t size = batch.rows.N * C, alone = lengths[2] * C, at = batch.start[2] * C;
    float *x = random_new(size, 1.0f, 1), *y = guarded_new(size), *y_alone = guarded_new(alone);
    int64_t start[2];
    const Rows rows = rows_of(start, lengths + 2, 1);
    kernels->dropout_apply(y, x, &batch.rows, (Dropout){ p, batch.keys }, C);
    kernels->dropout_apply(y_alone, x + at, &rows, (Dropout){ p, batch.keys + 2 }, C);
    check_same_bits("y", y + at, y_alone, alone);
    guarded_free(x, size);
    guarded_free(y, size);
    guarded_free(y_alone, alone);
}

static void p_zero_copies(void **state)
{
    (void)state;
    Batch batch;
    batch_init(&batch);
    const int64_t size = batch.rows.N * C;
    float *x = random_new(size, 1.0f, 1), *y = guarded_new(size);
    kernels->dropout_apply(y, x, &batch.rows, (Dropout){ 0 }, C);
    check_same_bits("y", y, x, size);
    guarded_free(x, size);
    guarded_free(y, size);
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    enum { WIDE = 257 }; /* enough elements for the threads to start */
    Batch batch;
    batch_init(&batch);
    const int64_t size = batch.rows.N * WIDE;
    float *x = random_new(size, 1.0f, 1), *one = guarded_new(size), *two = guarded_new(size);
    omp_set_num_threads(1);
    kernels->dropout_apply(one, x, &batch.rows, (Dropout){ p, batch.keys }, WIDE);
    omp_set_num_threads(2);
    kernels->dropout_apply(two, x, &batch.rows, (Dropout){ p, batch.keys }, WIDE);
    check_same_bits("y", one, two, size);
    guarded_free(x, size);
    guarded_free(one, size);
    guarded_free(two, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_dropped_by_their_counter_and_scaled),
        cmocka_unit_test(the_rate_is_p),
        cmocka_unit_test(an_example_alone_has_the_mask_it_has_in_a_batch),
        cmocka_unit_test(p_zero_copies),
        cmocka_unit_test(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
