/* Plain gradient descent beside its formula in double, whole and in parts. (Beside torch.optim.SGD: golden/bert-fomaml.) */
#include "common/optim/sgd.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { N = 37 };

static void fill(float *value, float *g)
{
    for (int i = 0; i < N; i++) {
        value[i] = (float)sin(1 + i);
        g[i] = (float)cos(3 * i);
    }
}

static void it_goes_down(void **state)
{
    (void)state;
    float value[N], g[N], before[N];
    fill(value, g);
    memcpy(before, value, sizeof value);
    sgd_update(value, g, N, 0.25, 0.125);
    for (int i = 0; i < N; i++) {
        const double want = (double)before[i] - 0.25 * ((double)g[i] + 0.125 * (double)before[i]);
        assert_true(fabs((double)value[i] - want) < 1e-7);
    }
}

static void parts_give_the_bits_of_the_whole(void **state)
{
    (void)state;
    float value[N], g[N], parts[N];
    fill(value, g);
    memcpy(parts, value, sizeof value);
    sgd_update(value, g, N, 0.3, 0.01);
    for (int at = 0; at < N; at += 5)
        sgd_update(parts + at, g + at, N - at < 5 ? N - at : 5, 0.3, 0.01);
    assert_memory_equal(value, parts, sizeof value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_down),
        cmocka_unit_test(parts_give_the_bits_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
