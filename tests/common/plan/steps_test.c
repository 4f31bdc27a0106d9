/* Length and cut of a run, by the loops that say what they are. */
#include "common/plan/steps.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_last_step_of_an_epoch_may_be_short(void **state)
{
    (void)state;
    assert_int_equal(steps_per_epoch(10, 5), 2);
    assert_int_equal(steps_per_epoch(11, 5), 3);
    assert_int_equal(steps_per_epoch(1, 5), 1);
    assert_int_equal(steps_per_epoch(0, 5), 0);
}

static void epochs_that_have_begun_are_ended_and_max_steps_is_asked_first(void **state)
{
    (void)state;
    assert_int_equal(steps_total(3, 2, -1), 6);
    assert_int_equal(steps_total(3, 1.5, -1), 5);
    assert_int_equal(steps_total(7, 0.01, -1), 1);
    assert_int_equal(steps_total(3, 2, 1000000000), 1000000000);
}

static void epochs_and_examples_are_counted_as_trainer_does(void **state)
{
    (void)state;
    assert_true(steps_epoch(7, 3) == 2.0 + 1.0 / 3.0);
    assert_true(steps_epoch(7, 0) == 0);
    int64_t seen = 0;
    for (int64_t step = 0; step < 9; step++) { /* 5 5 1, 5 5 1, ... */
        assert_int_equal(steps_examples(step, 11, 5), seen);
        seen += step % 3 == 2 ? 1 : 5;
    }
}

/* The sentence of the header, word by word. */
static int64_t by_trying(int64_t batch, int64_t longest, int64_t tokens, int64_t replicas)
{
    for (int64_t M = replicas; M < batch; M += replicas)
        if ((batch + M - 1) / M * longest <= tokens)
            return M;
    return batch;
}

static void micro_batches_are_the_fewest_that_fit(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        const RngKey key = rng_key(5, 0, 0, i);
        const int64_t batch = 1 + rng_bits(key, 0) % 100, longest = 1 + rng_bits(key, 1) % 600,
                      tokens = 1 + rng_bits(key, 2) % 5000, replicas = 1 + rng_bits(key, 3) % 20;
        assert_int_equal(steps_micro_batches(batch, longest, tokens, replicas),
                         by_trying(batch, longest, tokens, replicas));
    }
    assert_int_equal(steps_micro_batches(8, 10, 80, 0), 1); /* nobody knows of replicas yet */
}

/* Whatever a worker says that it has: no sum overflows, and there is an answer. */
static void figures_out_of_this_world_have_an_answer(void **state)
{
    (void)state;
    assert_int_equal(steps_micro_batches(32, INT64_MAX, 4096, 3), 32);
    assert_int_equal(steps_micro_batches(1048576, 1, 1, INT64_MAX), 1048576);
    assert_int_equal(steps_per_epoch(INT64_MAX, 2), INT64_MAX / 2 + 1);
    assert_true(steps_total(INT64_MAX, 1e6, -1) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_step_of_an_epoch_may_be_short),
        cmocka_unit_test(epochs_that_have_begun_are_ended_and_max_steps_is_asked_first),
        cmocka_unit_test(epochs_and_examples_are_counted_as_trainer_does),
        cmocka_unit_test(micro_batches_are_the_fewest_that_fit),
        cmocka_unit_test(figures_out_of_this_world_have_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
