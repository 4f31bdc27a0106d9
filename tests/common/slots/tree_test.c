/* The tree against its plain definition: nodes found by halving from the root. */
#include "common/slots/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { MOST = 40 };

typedef struct Node {
    bool is;
    int64_t parent_begin, parent_end; /* parent_end 0: the root */
    bool left;
} Node;

/* Marks the nodes at and below [begin, begin + width), cut off at M. A node whose
 * right half is empty is the same range as its left half, and is listed once: with
 * the parent that adds something to it. */
static void mark(Node nodes[MOST + 1][MOST + 1], int64_t begin, int64_t width, int64_t M, const Node *above)
{
    const int64_t end = begin + width < M ? begin + width : M, half = width / 2;
    if (begin >= M)
        return;
    nodes[begin][end] = *above;
    if (width == 1)
        return;
    const bool joins = begin + half < M;
    const Node left = { true, begin, end, true }, right = { true, begin, end, false };
    mark(nodes, begin, half, M, joins ? &left : above);
    mark(nodes, begin + half, half, M, &right);
}

static void define(Node nodes[MOST + 1][MOST + 1], int64_t M)
{
    for (int i = 0; i <= MOST; i++)
        for (int j = 0; j <= MOST; j++)
            nodes[i][j] = (Node){ 0 };
    int64_t width = 1;
    while (width < M)
        width *= 2;
    const Node root = { .is = true };
    mark(nodes, 0, width, M, &root);
}

static void ranges_are_nodes_as_defined(void **state)
{
    (void)state;
    static Node nodes[MOST + 1][MOST + 1];
    for (int64_t M = 1; M <= MOST; M++) {
        define(nodes, M);
        for (int64_t begin = 0; begin < M; begin++)
            for (int64_t end = begin + 1; end <= M; end++)
                if (tree_is_node(begin, end, M) != nodes[begin][end].is)
                    fail_msg("[%d, %d) of %d", (int)begin, (int)end, (int)M);
        assert_false(tree_is_node(0, M + 1, M));
        assert_false(tree_is_node(0, 0, M));
        assert_false(tree_is_node(-1, 1, M));
    }
}

static void the_largest_node_of_a_range_is_found(void **state)
{
    (void)state;
    static Node nodes[MOST + 1][MOST + 1];
    for (int64_t M = 1; M <= MOST; M++) {
        define(nodes, M);
        for (int64_t begin = 0; begin < M; begin++)
            for (int64_t end = begin + 1; end <= M; end++) {
                int64_t best = end;
                while (!nodes[begin][best].is)
                    best--;
                if (tree_node_end(begin, end, M) != best)
                    fail_msg("[%d, %d) of %d", (int)begin, (int)end, (int)M);
            }
    }
}

static void parents_and_siblings_are_as_defined(void **state)
{
    (void)state;
    static Node nodes[MOST + 1][MOST + 1];
    int checked = 0;
    for (int64_t M = 1; M <= MOST; M++) {
        define(nodes, M);
        for (int64_t begin = 0; begin < M; begin++) {
            for (int64_t end = begin + 1; end <= M; end++) {
                const Node *node = &nodes[begin][end];
                if (!node->is)
                    continue;
                int64_t pb = -1, pe = -1, sb = -1, se = -1;
                bool left = false;
                const bool has = tree_parent(begin, end, M, &pb, &pe, &sb, &se, &left);
                assert_int_equal(has, node->parent_end > 0);
                if (!has)
                    continue;
                checked++;
                assert_int_equal(pb, node->parent_begin);
                assert_int_equal(pe, node->parent_end);
                assert_int_equal(left, node->left);
                assert_int_equal(sb, left ? end : pb);
                assert_int_equal(se, left ? pe : begin);
                assert_true(nodes[sb][se].is);
            }
        }
    }
    assert_true(checked > 1000);
}

/* Leaves of any range come one by one, siblings become one: what lies there, the next leaf included, needs as much room
 * as is said, and for some range all of it. */
static void there_is_as_much_room_as_sums_take(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= MOST / 2; n++) {
        int most = 0;
        for (int64_t M = n; M <= MOST; M++)
            for (int64_t begin = 0; begin + n <= M; begin++)
                for (int64_t end = begin + 1; end <= begin + n; end++) {
                    int before = 1, all = 0; /* the leaf before it is added; behind that */
                    for (int64_t at = begin; at < end - 1; at = tree_node_end(at, end - 1, M))
                        before++;
                    for (int64_t at = begin; at < end; at = tree_node_end(at, end, M))
                        all++;
                    most = before > most ? before : most;
                    most = all > most ? all : most;
                }
        assert_int_equal(tree_room(n), most);
    }
    assert_int_equal(tree_room(1), 1); /* as many ranks as micro-batches */
    assert_int_equal(tree_room(4), 3);
    assert_true(tree_room(1 << 20) <= 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_nodes_as_defined),
        cmocka_unit_test(the_largest_node_of_a_range_is_found),
        cmocka_unit_test(parents_and_siblings_are_as_defined),
        cmocka_unit_test(there_is_as_much_room_as_sums_take),
    };
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
