/* The lists of all stages, played against each other: nobody waits for ever, each micro-batch goes up and comes back once
 * a stage and in its turn, no stage keeps more of them than it says; and where all cost the same, the time is that of
 * 1F1B: (m + p - 1) (f + b). */
#include "worker/train/order.h"

#include "common/base/rng.h"
#include "worker/train/simulate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { STAGES = 8, BATCHES = 40, DRAWS = 1000 };

/* When a micro-batch has gone up a stage, and come back; -1: not yet. */
typedef struct Times {
    double up[STAGES][BATCHES], back[STAGES][BATCHES];
} Times;

/* What entry k of a stage's list waits for: NAN when that is not there yet. */
static double ready_at(const Times *t, int stages, int s, OrderStep step)
{
    const double at =
        !step.back ? (s > 0 ? t->up[s - 1][step.i] : 0) : (s + 1 < stages ? t->back[s + 1][step.i] : t->up[s][step.i]);
    return at < 0 ? NAN : at;
}

/* Time of the last backward; costs[2 m]: of the forwards and backwards of any stage. */
static double play(int stages, int64_t m, const double *costs)
{
    Times t;
    int64_t at[STAGES] = { 0 }, kept[STAGES] = { 0 }, done = 0;
    double free_at[STAGES] = { 0 }, end = 0;
    for (int s = 0; s < STAGES; s++)
        for (int i = 0; i < BATCHES; i++)
            t.up[s][i] = t.back[s][i] = -1;
    for (bool moved = true; moved;) {
        moved = false;
        for (int s = 0; s < stages; s++) {
            if (at[s] == 2 * m)
                continue;
            const OrderStep step = order_step(stages, s, m, at[s]);
            const double ready = ready_at(&t, stages, s, step);
            assert_true(step.i >= 0 && step.i < m);
            if (isnan(ready))
                continue;
            double *when = step.back ? &t.back[s][step.i] : &t.up[s][step.i];
            assert_true(*when < 0 && (!step.back || t.up[s][step.i] >= 0));
            assert_true(step.i == 0 || (step.back ? t.back : t.up)[s][step.i - 1] >= 0); /* in their turn */
            free_at[s] = fmax(free_at[s], ready) + costs[2 * step.i + step.back];
            *when = free_at[s];
            kept[s] += step.back ? -1 : 1;
            assert_true(kept[s] <= order_flights(stages, s, m));
            if (s + 1 == stages && !step.back) { /* its backward is the next call */
                const OrderStep next = order_step(stages, s, m, at[s] + 1);
                assert_true(next.back && next.i == step.i);
            }
            end = fmax(end, free_at[s]);
            at[s]++;
            done++;
            moved = true;
        }
    }
    assert_int_equal(done, 2 * m * stages); /* nobody waits for ever */
    return end;
}

static void equal_ones_take_the_time_of_1f1b(void **state)
{
    (void)state;
    double costs[2 * BATCHES];
    for (int64_t i = 0; i < BATCHES; i++) {
        costs[2 * i] = 1;
        costs[2 * i + 1] = 2;
    }
    for (int stages = 1; stages <= STAGES; stages++)
        for (int64_t m = 0; m <= BATCHES; m++)
            assert_true(play(stages, m, costs) == (m > 0 ? (double)(m + stages - 1) * 3 : 0));
}

/* What `lora plan` goes by, beside the same lists played here. */
static void the_simulation_takes_that_time_too(void **state)
{
    (void)state;
    StageTimes times[STAGES];
    for (int s = 0; s < STAGES; s++)
        times[s] = (StageTimes){ 1, 2 };
    for (int stages = 1; stages <= STAGES; stages++)
        for (int64_t m = 0; m <= BATCHES; m++)
            assert_true(simulate(times, stages, m, 0) == (m > 0 ? (double)(m + stages - 1) * 3 : 0));
    times[1] = (StageTimes){ 3, 4 };
    assert_true(simulate(times, 2, 1, 0.25) == 1 + 0.25 + 3 + 4 + 0.25 + 2);
    assert_true(simulate(times, 2, 5, 0) == 1 + 5 * 7 + 2); /* the slow stage never waits */
}

static void whatever_they_cost_all_come_back(void **state)
{
    (void)state;
    for (int64_t draw = 0; draw < DRAWS; draw++) {
        float noise[2 * BATCHES];
        double costs[2 * BATCHES];
        rng_normal(noise, 2 * BATCHES, 1, rng_key(5, draw, 0, 0));
        for (int i = 0; i < 2 * BATCHES; i++)
            costs[i] = exp((double)noise[i]);
        play(1 + (int)(draw % STAGES), draw * 7 % (BATCHES + 1), costs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ones_take_the_time_of_1f1b),
        cmocka_unit_test(the_simulation_takes_that_time_too),
        cmocka_unit_test(whatever_they_cost_all_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
