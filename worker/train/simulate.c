#include "worker/train/simulate.h"

#include "common/base/mem.h"
#include "worker/train/order.h"

#include <math.h>
#include <stdlib.h>

/* When micro-batch i has gone up stage s, or come back: [s * m + i]; below 0: not yet. */
typedef struct Course {
    double *up, *back;
    int count;
    int64_t m;
    double message;
} Course;

/* When what the entry waits for is there; below 0: that is not known yet. */
static double ready_at(const Course *c, int s, OrderStep step)
{
    if (step.back && s + 1 == c->count)
        return c->up[s * c->m + step.i];
    if (!step.back && s == 0)
        return 0;
    const double at = step.back ? c->back[(s + 1) * c->m + step.i] : c->up[(s - 1) * c->m + step.i];
    return at < 0 ? at : at + c->message;
}

/* Goes on with a stage's list as far as it is known what for; returns its next entry. */
static int64_t go_on(const Course *c, int s, int64_t k, double *free_at, const StageTimes *times)
{
    for (; k < 2 * c->m; k++) {
        const OrderStep step = order_step(c->count, s, c->m, k);
        const double ready = ready_at(c, s, step);
        if (ready < 0)
            break;
        *free_at = fmax(*free_at, ready) + (step.back ? times->back : times->up);
        (step.back ? c->back : c->up)[s * c->m + step.i] = *free_at;
    }
    return k;
}

double simulate(const StageTimes *stages, int count, int64_t m, double message)
{
    const size_t all = (size_t)(count * m) + 1;
    Course c = { xcalloc(all, sizeof(double)), xcalloc(all, sizeof(double)), count, m, message };
    int64_t *at = xcalloc((size_t)count, sizeof *at), left = 2 * m * count;
    double *free_at = xcalloc((size_t)count, sizeof *free_at), end = 0;
    for (size_t i = 0; i < all; i++)
        c.up[i] = c.back[i] = -1;
    while (left > 0) {
        const int64_t before = left;
        for (int s = 0; s < count; s++) {
            const int64_t next = go_on(&c, s, at[s], &free_at[s], &stages[s]);
            left -= next - at[s];
            at[s] = next;
        }
        REQUIRE(left < before); /* the lists wait for each other: order_test */
    }
    for (int s = 0; s < count; s++)
        end = fmax(end, free_at[s]);
    free(c.up);
    free(c.back);
    free(at);
    free(free_at);
    return end;
}
