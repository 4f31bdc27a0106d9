/* Losses whose classes have weights: beside torch's formula written out, and differences of it. */
#include "worker/layers/class_loss.h"

#include "tests/worker/kernels/support.h"

#include <string.h>

enum { N = 6, V = 4 };

static const int32_t goal[N] = { 2, 0, -100, 3, 0, 1 };
static const double weights[V] = { 0.25, 3, 1.5, 0 };

/* CrossEntropyLoss(weight=, label_smoothing=, reduction="sum") of a row. */
static double row_loss(const double *x, int64_t y, double e)
{
    double sum = 0, loss = 0;
    for (int64_t v = 0; v < V; v++)
        sum += exp(x[v]);
    for (int64_t v = 0; v < V; v++)
        loss += e / V * weights[v] * (log(sum) - x[v]);
    return loss + (1 - e) * weights[y] * (log(sum) - x[y]);
}

static void check(double e)
{
    float *x = random_new(N * V, 2.0f, 3), *dx = guarded_new(N * V);
    const LossOptions o = { e, weights, NULL };
    double expected = 0, weight = 0, row[V];
    const BatchLoss loss = class_loss(dx, x, goal, N, V, &o);
    for (int64_t n = 0; n < N; n++) {
        for (int64_t v = 0; v < V; v++)
            row[v] = (double)x[n * V + v];
        const bool counts = goal[n] >= 0;
        expected += counts ? row_loss(row, goal[n], e) : 0;
        weight += counts ? weights[goal[n]] : 0;
        for (int64_t v = 0; v < V; v++) {
            const double at = row[v], h = 1e-6;
            row[v] = at + h;
            const double above = counts ? row_loss(row, goal[n], e) : 0;
            row[v] = at - h;
            const double below = counts ? row_loss(row, goal[n], e) : 0;
            row[v] = at;
            check_near("dx", n * V + v, (double)dx[n * V + v], (above - below) / (2 * h), 1e-7);
        }
    }
    check_near("loss", 0, loss.sum, expected, 1e-12);
    check_near("loss", 1, class_loss(NULL, x, goal, N, V, &o).sum, loss.sum, 0);
    check_near("weight", 0, loss.weight, weight, 0);
    assert_int_equal(loss.count, N - 1);
    guarded_free(x, N * V);
    guarded_free(dx, N * V);
}

static void a_class_counts_its_weight(void **state)
{
    (void)state;
    check(0);
}

/* Rows of two tasks are those of either, among its own outputs; the others have no gradient. */
static void tasks_have_their_own_outputs(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b";
    const TaskLabels tasks[] = { { a, 0, 1 + 1 }, { b, 2, V } };
    const double twice[V] = { 1, 1, 2, 2 };
    float *x = random_new(N * V, 2.0f, 3), *dx = guarded_new(N * V), alone[2], own[2];
    const BatchLoss loss = class_loss(dx, x, goal, N, V, &(LossOptions){ 0.1, twice, tasks });
    double expected = 0, weight = 0;
    for (int64_t n = 0; n < N; n++) {
        const int64_t first = goal[n] >= 2 ? 2 : 0;
        const int32_t at = goal[n] < 0 ? goal[n] : (int32_t)(goal[n] - first);
        const double w = goal[n] < 0 ? 0 : twice[goal[n]];
        memcpy(own, x + n * V + first, sizeof own);
        const BatchLoss row = class_loss(alone, own, &at, 1, 2, &(LossOptions){ .smoothing = 0.1 });
        expected += w * row.sum;
        weight += w;
        for (int64_t v = 0; v < V; v++)
            check_near("dx", n * V + v, (double)dx[n * V + v],
                       v >= first && v < first + 2 ? w * (double)alone[v - first] : 0, 1e-7);
    }
    check_near("loss", 0, loss.sum, expected, 1e-12);
    check_near("weight", 0, loss.weight, weight, 0);
    guarded_free(x, N * V);
    guarded_free(dx, N * V);
}

static void a_softened_goal_weighs_every_class(void **state)
{
    (void)state;
    check(0.2);
}

/* torch 2.13: F.cross_entropy(x, y, weight, label_smoothing=e), its gradient at x. */
static void torch_has_the_same_mean(void **state)
{
    (void)state;
    static const float x[] = { 1.0f, -2.0f, 0.5f, 0.25f, 0.75f, -1.5f };
    static const int32_t y[] = { 0, 2 };
    static const double w[] = { 2, 0.5, 3 };
    static const double mean[] = { 1.87441134, 1.7968514 };
    static const double gradient[][6] = {
        { -0.158500433, 0.0120235551, 0.146476895, 0.212577879, 0.350481659, -0.563059509 },
        { -0.133846253, 0.00859002396, 0.12525624, 0.190977588, 0.333518416, -0.524496019 }
    };
    for (int i = 0; i < 2; i++) {
        float dx[6];
        const BatchLoss loss = class_loss(dx, x, y, 2, 3, &(LossOptions){ i ? 0.1 : 0, w, NULL });
        check_near("mean", i, loss.sum / loss.weight, mean[i], 1e-6);
        for (int k = 0; k < 6; k++)
            check_near("gradient", k, (double)dx[k] / loss.weight, gradient[i][k], 1e-6);
    }
}

static void without_weights_rows_are_counted(void **state)
{
    (void)state;
    float *x = random_new(N * V, 2.0f, 4);
    int64_t count;
    const double sum = kernels->cross_entropy(NULL, x, goal, N, V, 0.1, &count);
    const BatchLoss loss = class_loss(NULL, x, goal, N, V, &(LossOptions){ .smoothing = 0.1 });
    assert_true(loss.sum == sum && loss.count == count && loss.weight == (double)count);
    guarded_free(x, N * V);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_counts_its_weight),          cmocka_unit_test(tasks_have_their_own_outputs),
        cmocka_unit_test(a_softened_goal_weighs_every_class), cmocka_unit_test(torch_has_the_same_mean),
        cmocka_unit_test(without_weights_rows_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
