/* The three verbs of a frozen matrix beside plain sums, at odd sizes. */
#include "worker/layers/frozen.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 5, OUT = 7, IN = 11, MORE = 4, LD = OUT + MORE + 3 };

typedef struct Fixture {
    float data[(OUT + MORE) * IN]; /* two matrices, one behind the other */
    float x[N * IN], g[N * LD];
    Frozen first, both;
} Fixture;

static Fixture fixture(void)
{
    Fixture f;
    rng_normal(f.data, (OUT + MORE) * IN, 0.5f, rng_key(1, 0, 0, 1));
    rng_normal(f.x, N * IN, 0.5f, rng_key(1, 0, 0, 2));
    rng_normal(f.g, N * LD, 0.5f, rng_key(1, 0, 0, 3));
    return f;
}

/* Views into f, where it lies. */
static void look(Fixture *f)
{
    const Frozen behind = frozen_of_floats(f->data + OUT * IN, MORE, IN);
    f->first = frozen_of_floats(f->data, OUT, IN);
    f->both = f->first;
    frozen_join(&f->both, &behind);
}

static void joined_matrices_are_one_product(void **state)
{
    (void)state;
    Fixture f = fixture();
    float y[N * LD];
    look(&f);
    assert_int_equal(f.both.out, OUT + MORE);
    for (int i = 0; i < N * LD; i++)
        y[i] = 9;
    frozen_product(y, LD, f.x, &f.both, N, false, NULL);
    for (int n = 0; n < N; n++)
        for (int o = 0; o < LD; o++) {
            double sum = o < OUT + MORE ? 0 : 9;
            for (int i = 0; i < IN && o < OUT + MORE; i++)
                sum += (double)f.x[n * IN + i] * (double)f.data[o * IN + i];
            assert_float_equal(y[n * LD + o], sum, 1e-5);
        }
}

static void the_gradient_is_added_to_what_beta_leaves(void **state)
{
    (void)state;
    Fixture f = fixture();
    look(&f);
    for (int beta = 0; beta < 2; beta++) {
        float dx[N * IN];
        for (int i = 0; i < N * IN; i++)
            dx[i] = beta ? 2 : NAN;
        frozen_pull(dx, f.g, LD, &f.first, N, (float)beta, NULL);
        for (int n = 0; n < N; n++)
            for (int i = 0; i < IN; i++) {
                double sum = beta ? 2 : 0;
                for (int o = 0; o < OUT; o++)
                    sum += (double)f.g[n * LD + o] * (double)f.data[o * IN + i];
                assert_float_equal(dx[n * IN + i], sum, 1e-5);
            }
    }
}

static void a_row_is_itself(void **state)
{
    (void)state;
    Fixture f = fixture();
    float row[IN];
    look(&f);
    for (int o = 0; o < OUT + MORE; o++) {
        frozen_row(row, &f.both, o);
        assert_memory_equal(row, f.data + o * IN, sizeof row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_matrices_are_one_product),
        cmocka_unit_test(the_gradient_is_added_to_what_beta_leaves),
        cmocka_unit_test(a_row_is_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
