#include "tests/worker/kernels/support.h"

enum { C = 17, WORDS = 11, POSITIONS = 9, TYPES = 2 };

static void a_row_is_the_sum_of_its_three_embeddings(void **state)
{
    (void)state;
    const int64_t lengths[] = { 3, 1, 0, 5 };
    const int32_t ids[] = { 1, 10, 0, 4, 2, 2, 9, 3, 1 }, types[] = { 0, 1, 1, 0, 0, 0, 1, 0, 1 };
    int64_t start[5];
    const Rows rows = rows_of(start, lengths, 4);
    float *word = random_new(WORDS * C, 1.0f, 1), *position = random_new(POSITIONS * C, 1.0f, 2);
    float *type = random_new(TYPES * C, 1.0f, 3), *y = guarded_new(rows.N * C);
    for (int form = 0; form < 3; form++) { /* no table of types; no types; both */
        for (int64_t offset = 0; offset <= 2; offset += 2) {
            int32_t places[9];
            for (int64_t b = 0; b < rows.B; b++)
                for (int64_t i = 0; i < lengths[b]; i++)
                    places[start[b] + i] = (int32_t)(i + offset);
            kernels->embed_forward(y, ids, form == 2 ? types : NULL, word, position, places, form == 0 ? NULL : type,
                                   rows.N, C);
            for (int64_t b = 0; b < rows.B; b++) {
                for (int64_t i = 0; i < lengths[b] * C; i++) {
                    const int64_t n = start[b] + i / C, c = i % C;
                    double sum = (double)word[ids[n] * C + c];
                    sum += (double)position[(i / C + offset) * C + c];
                    if (form != 0)
                        sum += (double)type[(form == 2 ? types[n] : 0) * C + c];
                    check_near("y", n * C + c, (double)y[n * C + c], sum, 2e-7);
                }
            }
        }
    }
    guarded_free(word, WORDS * C);
    guarded_free(position, POSITIONS * C);
    guarded_free(type, TYPES * C);
    guarded_free(y, rows.N * C);
}

/* Against the sum that a convolution is: one output channel, whose kernel counts up. */
static void patches_are_what_a_convolution_sees(void **state)
{
    (void)state;
    enum { B = 2, CHANNELS = 3, PATCH = 4, SIDE = 3, SIZE = PATCH * SIDE };
    enum { WIDTH = CHANNELS * PATCH * PATCH, ALL = B * CHANNELS * SIZE * SIZE };
    float *pixels = random_new(ALL, 1.0f, 5), *out = guarded_new(ALL);
    kernels->patches_gather(out, pixels, B, CHANNELS, SIZE, PATCH);
    for (int64_t n = 0; n < B * SIDE * SIDE; n++) {
        const int64_t b = n / (SIDE * SIDE), row = n / SIDE % SIDE, column = n % SIDE;
        double sum = 0, expected = 0;
        for (int64_t i = 0; i < WIDTH; i++) {
            const int64_t c = i / (PATCH * PATCH), y = i / PATCH % PATCH, x = i % PATCH;
            const int64_t line = (b * CHANNELS + c) * SIZE + row * PATCH + y;
            expected += (double)i * (double)pixels[line * SIZE + column * PATCH + x];
            sum += (double)i * (double)out[n * WIDTH + i];
        }
        check_near("sum", n, sum, expected, 1e-12);
    }
    guarded_free(pixels, ALL);
    guarded_free(out, ALL);
}

static void a_row_of_its_own_stands_before_the_patches(void **state)
{
    (void)state;
    enum { B = 3, P = 5, ALL = B * (P + 1) * C };
    float *x = random_new(B * P * C, 1.0f, 6), *bias = random_new(C, 1.0f, 7);
    float *first = random_new(C, 1.0f, 8), *position = random_new((P + 1) * C, 1.0f, 9);
    float *y = guarded_new(ALL);
    for (int with = 0; with < 2; with++) {
        kernels->patches_embed(y, x, with ? bias : NULL, first, position, B, P, C);
        for (int64_t i = 0; i < ALL; i++) {
            const int64_t c = i % C, t = i / C % (P + 1), b = i / C / (P + 1);
            double sum = (double)position[t * C + c];
            if (t == 0)
                sum += (double)first[c];
            else
                sum += (double)x[(b * P + t - 1) * C + c] + (with ? (double)bias[c] : 0);
            check_near("y", i, (double)y[i], sum, 3e-7);
        }
    }
    guarded_free(x, B * P * C);
    guarded_free(bias, C);
    guarded_free(first, C);
    guarded_free(position, (P + 1) * C);
    guarded_free(y, ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_the_sum_of_its_three_embeddings),
        cmocka_unit_test(patches_are_what_a_convolution_sees),
        cmocka_unit_test(a_row_of_its_own_stands_before_the_patches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
