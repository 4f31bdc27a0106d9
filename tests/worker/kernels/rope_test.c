#include "tests/worker/kernels/support.h"

enum { LONGEST = 130 };

/* Angles as a model has them; any would do. */
static double angle_of(int64_t t, int64_t j, int64_t half)
{
    return (double)t * pow(10000.0, -(double)j / (double)half);
}

static void check_rope(int64_t D, int64_t heads, bool back)
{
    const int64_t lengths[] = { 1, 17, 0, LONGEST }, half = D / 2, ld = heads * D + 5;
    int64_t start[5];
    const Rows rows = rows_of(start, lengths, 4);
    float *x = random_new(rows.N * ld, 1.0f, 1), *before = random_new(rows.N * ld, 1.0f, 1);
    float *cosine = guarded_new(LONGEST * half), *sine = guarded_new(LONGEST * half);
    for (int64_t i = 0; i < LONGEST * half; i++) {
        cosine[i] = (float)cos(angle_of(i / half, i % half, half));
        sine[i] = (float)sin(angle_of(i / half, i % half, half));
    }
    kernels->rope_apply(x, ld, heads, D, &rows, cosine, sine, back);
    for (int64_t b = 0; b < rows.B; b++) {
        for (int64_t n = start[b]; n < start[b + 1]; n++) {
            for (int64_t i = 0; i < heads * half; i++) {
                const int64_t at = n * ld + i / half * D + i % half;
                const double angle = angle_of(n - start[b], i % half, half) * (back ? -1.0 : 1.0);
                const double a0 = (double)before[at], a1 = (double)before[at + half];
                check_near("a", at, (double)x[at], a0 * cos(angle) - a1 * sin(angle), 1e-6);
                check_near("b", at, (double)x[at + half], a1 * cos(angle) + a0 * sin(angle), 1e-6);
            }
            check_same_bits("gap", x + n * ld + heads * D, before + n * ld + heads * D, 5);
        }
    }
    kernels->rope_apply(x, ld, heads, D, &rows, cosine, sine, !back);
    for (int64_t i = 0; i < rows.N * ld; i++)
        check_near("there and back", i, (double)x[i], (double)before[i], 1e-6);
    guarded_free(x, rows.N * ld);
    guarded_free(before, rows.N * ld);
    guarded_free(cosine, LONGEST * half);
    guarded_free(sine, LONGEST * half);
}

static void pairs_turn_by_the_angle_of_their_place(void **state)
{
    (void)state;
    const int64_t sizes[] = { 2, 6, 32, 34, 64 };
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        check_rope(sizes[s], 1, false);
        check_rope(sizes[s], 3, false);
    }
}

static void a_gradient_turns_back(void **state)
{
    (void)state;
    check_rope(2, 1, true);
    check_rope(34, 3, true);
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    enum { D = 34, HEADS = 9, N = LONGEST * 3, SIZE = N * D * HEADS };
    const int64_t start[] = { 0, LONGEST, LONGEST + 7, N - 100, N };
    const Rows rows = { .B = 4, .N = N, .longest = LONGEST, .start = start };
    float *one = random_new(SIZE, 1.0f, 1), *two = random_new(SIZE, 1.0f, 1);
    float *cosine = random_new(N * D / 2, 1.0f, 2), *sine = random_new(N * D / 2, 1.0f, 3);
    omp_set_num_threads(1);
    kernels->rope_apply(one, D * HEADS, HEADS, D, &rows, cosine, sine, false);
    omp_set_num_threads(2);
    kernels->rope_apply(two, D * HEADS, HEADS, D, &rows, cosine, sine, false);
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
        cmocka_unit_test(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
