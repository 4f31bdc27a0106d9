#include "tests/worker/kernels/support.h"

enum { C = 17, WORDS = 11, POSITIONS = 9, TYPES = 2 };

/* Forms: no table of types; no types; both; and no table of positions. */
static void a_row_is_the_sum_of_its_embeddings(void **state)
{
    (void)state;
    const int32_t ids[] = { 1, 10, 0, 4, 2, 2, 9, 3, 1 }, types[] = { 0, 1, 1, 0, 0, 0, 1, 0, 1 };
    const int32_t places[] = { 2, 3, 4, 2, 8, 0, 1, 1, 7 };
    const int64_t N = COUNT_OF(ids);
    float *word = random_new(WORDS * C, 1.0f, 1), *position = random_new(POSITIONS * C, 1.0f, 2);
    float *type = random_new(TYPES * C, 1.0f, 3), *y = guarded_new(N * C);
    for (int form = 0; form < 6; form++) {
        const bool placed = form < 3;
        embed_forward(y, ids, form % 3 == 2 ? types : NULL, word, placed ? position : NULL,
                      placed ? places : NULL, form % 3 == 0 ? NULL : type, N, C);
        for (int64_t i = 0; i < N * C; i++) {
            const int64_t n = i / C, c = i % C;
            double sum = (double)word[ids[n] * C + c];
            if (placed)
                sum += (double)position[places[n] * C + c];
            if (form % 3 != 0)
                sum += (double)type[(form % 3 == 2 ? types[n] : 0) * C + c];
            check_near("y", i, (double)y[i], sum, 2e-7);
        }
    }
    guarded_free(word, WORDS * C);
    guarded_free(position, POSITIONS * C);
    guarded_free(type, TYPES * C);
    guarded_free(y, N * C);
}

/* What a convolution with kernel = stride = patch sees, pixel by pixel. */
static void check_patches(int64_t B, int64_t channels, int64_t size, int64_t patch)
{
    const int64_t side = size / patch, n = B * channels * size * size;
    const int64_t out_size = B * side * side * channels * patch * patch;
    float *pixels = random_new(n, 1.0f, 1), *out = guarded_new(out_size);
    patches_gather(out, pixels, B, channels, size, patch);
    for (int64_t b = 0; b < B; b++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t y = 0; y < side * patch; y++)
                for (int64_t x = 0; x < side * patch; x++) {
                    const int64_t row = (b * side + y / patch) * side + x / patch;
                    const int64_t column = (c * patch + y % patch) * patch + x % patch;
                    assert_true(out[row * channels * patch * patch + column] ==
                                pixels[((b * channels + c) * size + y) * size + x]);
                }
    guarded_free(pixels, n);
    guarded_free(out, out_size);
}

static void patches_are_what_a_convolution_sees(void **state)
{
    (void)state;
    check_patches(1, 1, 1, 1);
    check_patches(2, 3, 6, 2);
    check_patches(3, 1, 9, 3);
    check_patches(1, 3, 5, 5);
    check_patches(2, 3, 96, 16); /* more than one thread */
    check_patches(2, 3, 7, 2);   /* the last row and column belong to no patch */
}

static void patch_rows_stand_behind_the_first(void **state)
{
    (void)state;
    const int64_t sizes[][2] = { { 1, 1 }, { 3, 4 }, { 2, 9 }, { 9, 250 } };
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const int64_t images = sizes[s][0], P = sizes[s][1], N = images * (P + 1);
        float *x = random_new(images * P * C, 1.0f, 1), *bias = random_new(C, 1.0f, 2);
        float *first = random_new(C, 1.0f, 3), *position = random_new((P + 1) * C, 1.0f, 4);
        float *y = guarded_new(N * C);
        for (int with = 0; with < 2; with++) {
            patches_embed(y, x, with ? bias : NULL, first, position, images, P, C);
            for (int64_t i = 0; i < N * C; i++) {
                const int64_t b = i / C / (P + 1), t = i / C % (P + 1), c = i % C;
                double sum = (double)position[t * C + c];
                if (t == 0)
                    sum += (double)first[c];
                else
                    sum += (double)x[(b * P + t - 1) * C + c] + (with ? (double)bias[c] : 0.0);
                check_near("y", i, (double)y[i], sum, 2e-7);
            }
        }
        guarded_free(x, images * P * C);
        guarded_free(bias, C);
        guarded_free(first, C);
        guarded_free(position, (P + 1) * C);
        guarded_free(y, N * C);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_the_sum_of_its_embeddings),
        cmocka_unit_test(patches_are_what_a_convolution_sees),
        cmocka_unit_test(patch_rows_stand_behind_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
