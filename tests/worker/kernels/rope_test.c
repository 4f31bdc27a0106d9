#include "tests/worker/kernels/support.h"

enum { LONGEST = 130 };

/* Angles as a model has them; any would do. */
static double angle_of(int64_t t, int64_t j, int64_t half)
{
    return (double)t * pow(10000.0, -(double)j / (double)half);
}

/* Where element i of the heads' turning pairs lies in a row: its first, and how far away its second is. */
static int64_t first_of(const RopeHeads *heads, int64_t i, int64_t *apart)
{
    const int64_t half = heads->R / 2, h = i / half, j = i % half;
    *apart = heads->neighbours ? 1 : half;
    return h / heads->count * heads->step + h % heads->count * heads->D + (heads->neighbours ? 2 * j : j);
}

/* What does not turn keeps its bits. */
static void check_rope(const RopeHeads *heads, int64_t ld, bool back)
{
    const int64_t lengths[] = { 1, 17, 0, LONGEST }, half = heads->R / 2, all = heads->groups * heads->count;
    int64_t start[5], apart;
    const Rows rows = rows_of(start, lengths, 4);
    float *x = random_new(rows.N * ld, 1.0f, 1), *before = random_new(rows.N * ld, 1.0f, 1);
    float *cosine = guarded_new(LONGEST * half), *sine = guarded_new(LONGEST * half);
    for (int64_t i = 0; i < LONGEST * half; i++) {
        cosine[i] = (float)cos(angle_of(i / half, i % half, half));
        sine[i] = (float)sin(angle_of(i / half, i % half, half));
    }
    bool *turns = xcalloc((size_t)ld, sizeof *turns);
    for (int64_t i = 0; i < all * half; i++) {
        const int64_t at = first_of(heads, i, &apart);
        turns[at] = turns[at + apart] = true;
    }
    kernels->rope_apply(x, ld, heads, &rows, cosine, sine, back);
    for (int64_t b = 0; b < rows.B; b++) {
        for (int64_t n = start[b]; n < start[b + 1]; n++) {
            for (int64_t i = 0; i < all * half; i++) {
                const int64_t at = n * ld + first_of(heads, i, &apart);
                const double angle = angle_of(n - start[b], i % half, half) * (back ? -1.0 : 1.0);
                const double a0 = (double)before[at], a1 = (double)before[at + apart];
                check_near("a", at, (double)x[at], a0 * cos(angle) - a1 * sin(angle), 1e-6);
                check_near("b", at, (double)x[at + apart], a1 * cos(angle) + a0 * sin(angle), 1e-6);
            }
            for (int64_t i = 0; i < ld; i++)
                if (!turns[i])
                    check_same_bits("what stands", x + n * ld + i, before + n * ld + i, 1);
        }
    }
    kernels->rope_apply(x, ld, heads, &rows, cosine, sine, !back);
    for (int64_t i = 0; i < rows.N * ld; i++)
        check_near("there and back", i, (double)x[i], (double)before[i], 1e-6);
    free(turns);
    guarded_free(x, rows.N * ld);
    guarded_free(before, rows.N * ld);
    guarded_free(cosine, LONGEST * half);
    guarded_free(sine, LONGEST * half);
}

static void check_whole(int64_t D, int64_t heads, bool back)
{
    check_rope(&(RopeHeads){ .groups = 1, .count = heads, .D = D, .R = D }, heads * D + 5, back);
}

static void pairs_turn_by_the_angle_of_their_place(void **state)
{
    (void)state;
    const int64_t sizes[] = { 2, 6, 32, 34, 64 };
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        check_whole(sizes[s], 1, false);
        check_whole(sizes[s], 3, false);
    }
}

static void a_gradient_turns_back(void **state)
{
    (void)state;
    check_whole(2, 1, true);
    check_whole(34, 3, true);
}

static void a_part_turns_in_groups_and_neighbours(void **state)
{
    (void)state;
    const int64_t parts[] = { 2, 4, 10, 16 };
    for (size_t p = 0; p < COUNT_OF(parts); p++)
        for (int how = 0; how < 4; how++) {
            const RopeHeads heads = {
                .groups = 3, .count = 2, .step = 4 * 16, .D = 16, .R = parts[p], .neighbours = how & 1
            };
            check_rope(&heads, 3 * 4 * 16 + 1, how & 2);
        }
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    enum { D = 34, HEADS = 9, N = LONGEST * 3, SIZE = N * D * HEADS };
    const int64_t start[] = { 0, LONGEST, LONGEST + 7, N - 100, N };
    const Rows rows = { .B = 4, .N = N, .longest = LONGEST, .start = start };
    const RopeHeads side = { .groups = 1, .count = HEADS, .D = D, .R = D };
    float *one = random_new(SIZE, 1.0f, 1), *two = random_new(SIZE, 1.0f, 1);
    float *cosine = random_new(N * D / 2, 1.0f, 2), *sine = random_new(N * D / 2, 1.0f, 3);
    omp_set_num_threads(1);
    kernels->rope_apply(one, D * HEADS, &side, &rows, cosine, sine, false);
    omp_set_num_threads(2);
    kernels->rope_apply(two, D * HEADS, &side, &rows, cosine, sine, false);
    check_same_bits("x", one, two, SIZE);
    guarded_free(one, SIZE);
    guarded_free(two, SIZE);
    guarded_free(cosine, N * D / 2);
    guarded_free(sine, N * D / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_turn_by_the_angle_of_their_place),
        cmocka_unit_test(a_gradient_turns_back),
        cmocka_unit_test(a_part_turns_in_groups_and_neighbours),
        cmocka_unit_test(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
