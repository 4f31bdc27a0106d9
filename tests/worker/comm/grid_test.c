/* Which rank computes what: every part of every copy once, and those who share memory on one node. */
#include "worker/comm/grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 64 };

static void expect_place(const Grid *g, int rank, GridPlace want)
{
    const GridPlace at = grid_place(g, rank);
    assert_memory_equal(&at, &want, sizeof want);
}

/* Each (replica, stage, lane, shard) is one rank's, and the ranks of a stage, its lanes and shards, lie on one node. */
static void check_all(const Grid *g)
{
    bool seen[MOST] = { false };
    const int replicas = g->ranks / (g->lanes * g->pipeline * g->tensor);
    assert_int_equal(replicas * g->lanes * g->pipeline * g->tensor, g->ranks);
    for (int r = 0; r < g->ranks; r++) {
        const GridPlace at = grid_place(g, r);
        assert_true(at.replica >= 0 && at.replica < replicas && at.stage >= 0 && at.stage < g->pipeline);
        assert_true(at.lane >= 0 && at.lane < g->lanes && at.shard >= 0 && at.shard < g->tensor);
        const int number = ((at.replica * g->pipeline + at.stage) * g->lanes + at.lane) * g->tensor + at.shard;
        assert_false(seen[number]);
        seen[number] = true;
        for (int other = 0; other < g->ranks && g->per_node > 0; other++) {
            const GridPlace with = grid_place(g, other);
            if (with.replica == at.replica && with.stage == at.stage && g->pipeline * g->tensor > 1)
                assert_int_equal(other / g->per_node, r / g->per_node);
        }
    }
}

static void whole_models_need_nothing_of_the_nodes(void **state)
{
    (void)state;
    Grid g = { .ranks = 7, .per_node = 0, .pipeline = 1, .tensor = 1 };
    assert_true(grid_check(&g, NULL));
    for (int r = 0; r < 7; r++)
        expect_place(&g, r, (GridPlace){ r, 0, 0, 0 });
    check_all(&g);
}

static void a_stage_a_node_has_a_lane_a_rank(void **state)
{
    (void)state;
    Grid g = { .ranks = 16, .per_node = 4, .pipeline = 2, .tensor = 1 };
    assert_true(grid_check(&g, NULL));
    assert_int_equal(g.lanes, 4);
    expect_place(&g, 0, (GridPlace){ 0, 0, 0, 0 });
    expect_place(&g, 3, (GridPlace){ 0, 0, 3, 0 });
    expect_place(&g, 5, (GridPlace){ 0, 1, 1, 0 });
    expect_place(&g, 8, (GridPlace){ 1, 0, 0, 0 });
    check_all(&g);
}

static void several_stages_on_a_node_share_its_ranks_out(void **state)
{
    (void)state;
    Grid g = { .ranks = 4, .per_node = 4, .pipeline = 4, .tensor = 1 };
    assert_true(grid_check(&g, NULL));
    assert_int_equal(g.lanes, 1);
    expect_place(&g, 2, (GridPlace){ 0, 2, 0, 0 });
    g = (Grid){ .ranks = 8, .per_node = 8, .pipeline = 2, .tensor = 2 };
    assert_true(grid_check(&g, NULL));
    assert_int_equal(g.lanes, 2);
    expect_place(&g, 5, (GridPlace){ 0, 1, 0, 1 });
}

static void whatever_comes_out_even_is_a_layout(void **state)
{
    (void)state;
    int even = 0;
    for (int nodes = 1; nodes <= 8; nodes++)
        for (int per_node = 1; per_node <= 8; per_node++)
            for (int pipeline = 1; pipeline <= 8; pipeline++)
                for (int tensor = 1; tensor <= 4; tensor++) {
                    Grid g = { nodes * per_node, per_node, pipeline, tensor, 0 };
                    if (grid_check(&g, NULL)) {
                        check_all(&g);
                        even++;
                    }
                }
    assert_true(even > 200);
}

static void what_does_not_is_refused(void **state)
{
    (void)state;
    Err err = { 0 };
    Grid g = { .ranks = 6, .per_node = 3, .pipeline = 4, .tensor = 1 };
    assert_false(grid_check(&g, &err));
    assert_string_equal(err.what, "6 ranks, 3 a node, do not make whole copies of the model: pipeline 4, tensor 1");
    g = (Grid){ .ranks = 6, .per_node = 0, .pipeline = 2, .tensor = 1 };
    assert_false(grid_check(&g, &err)); /* nodes are not alike */
    g = (Grid){ .ranks = 6, .per_node = 3, .pipeline = 1, .tensor = 2 };
    assert_false(grid_check(&g, &err)); /* a stage's shards on two nodes */
    assert_non_null(strstr(err.what, "do not leave the shards of a stage on one node"));
    g = (Grid){ .ranks = 6, .per_node = 2, .pipeline = 2, .tensor = 1 };
    assert_false(grid_check(&g, &err)); /* three lanes on nodes of two */
    assert_non_null(strstr(err.what, "do not leave the lanes of a stage on one node"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_models_need_nothing_of_the_nodes),
        cmocka_unit_test(a_stage_a_node_has_a_lane_a_rank),
        cmocka_unit_test(several_stages_on_a_node_share_its_ranks_out),
        cmocka_unit_test(whatever_comes_out_even_is_a_layout),
        cmocka_unit_test(what_does_not_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
