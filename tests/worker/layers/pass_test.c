#include "worker/layers/pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LAYERS = 300, SITES = 40 }; /* more sites than there are: some to come */

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void no_two_sites_of_any_layers_share_a_stream(void **state)
{
    (void)state;
    static uint64_t streams[LAYERS * SITES];
    for (int layer = 0; layer < LAYERS; layer++)
        for (int site = 0; site < SITES; site++)
            streams[layer * SITES + site] = site_stream(layer, (Site)site);
    qsort(streams, LAYERS * SITES, sizeof *streams, by_value);
    for (int i = 1; i < LAYERS * SITES; i++)
        assert_true(streams[i] != streams[i - 1]);
}

/* Runs that are gone on with have their masks by these. */
static void the_first_sixteen_sites_have_the_streams_that_runs_began_with(void **state)
{
    (void)state;
    for (int layer = 0; layer < LAYERS; layer++)
        for (int site = 0; site < 16; site++)
            assert_true(site_stream(layer, (Site)site) == (uint64_t)(layer * 16 + site));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_sites_of_any_layers_share_a_stream),
        cmocka_unit_test(the_first_sixteen_sites_have_the_streams_that_runs_began_with),
    };
    return cmocka_run_group_tests_name("pass", tests, NULL, NULL);
}
