#include "tests/worker/kernels/support.h"

enum { MOST_TILE_ROWS = 8 };

/* a is [M,K] by rows, or its transpose when `turned`. */
static void check_product(int64_t M, int64_t N, int64_t K, bool turned, bool add)
{
    const int64_t lda = (turned ? M : K) + 1, ldb = N + 3, ldc = N + 5;
    const int64_t a_size = (turned ? K : M) * lda;
    float *a = random_new(a_size, 1.0f, 1), *b = random_new(K * ldb, 1.0f, 2);
    float *c = random_new(M * ldc, 1.0f, 3);
    const TileLeft left = { a, turned ? 1 : lda, turned ? lda : 1 };
    double *expected = doubles_new(M * ldc);
    for (int64_t m = 0; m < M; m++) {
        for (int64_t n = 0; n < ldc; n++) {
            double sum = add || n >= N ? (double)c[m * ldc + n] : 0.0;
            for (int64_t k = 0; k < K && n < N; k++)
                sum += (double)left.at[m * left.row + k * left.step] * (double)b[k * ldb + n];
            expected[m * ldc + n] = sum;
        }
    }
    kernels->tile_product(c, ldc, left, b, ldb, M, N, K, add);
    check_all_near("c", c, expected, M * ldc, 1e-5);
    guarded_free(a, a_size);
    guarded_free(b, K * ldb);
    guarded_free(c, M * ldc);
    free(expected);
}

static void products_equal_the_sums(void **state)
{
    (void)state;
    const int64_t lanes = kernels->lanes, columns[] = { lanes, 2 * lanes, 3 * lanes, 5 * lanes };
    for (int64_t M = 1; M <= 2 * MOST_TILE_ROWS + 1; M++) {
        for (size_t n = 0; n < COUNT_OF(columns); n++) {
            check_product(M, columns[n], 17, false, false);
            check_product(M, columns[n], 3, true, true);
        }
    }
}

static void a_transpose_is_padded_with_zeros_to_whole_vectors(void **state)
{
    (void)state;
    const int64_t sizes[] = { 1, 3, 8, 16, 17, 32, 65 };
    for (size_t t = 0; t < COUNT_OF(sizes); t++) {
        for (size_t d = 0; d < COUNT_OF(sizes); d++) {
            const int64_t T = sizes[t], D = sizes[d], ld = D + 2,
                          width = (T + kernels->lanes - 1) / kernels->lanes * kernels->lanes;
            float *src = random_new(T * ld - 2, 1.0f, 4), *dst = guarded_new(D * (width + 1));
            kernels->tile_transpose(dst, width + 1, src, ld, T, D);
            for (int64_t i = 0; i < D; i++) {
                for (int64_t j = 0; j < width; j++)
                    assert_true(dst[i * (width + 1) + j] == (j < T ? src[j * ld + i] : 0.0f));
                assert_true(dst[i * (width + 1) + width] == guard_value);
            }
            guarded_free(src, T * ld - 2);
            guarded_free(dst, D * (width + 1));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_equal_the_sums),
        cmocka_unit_test(a_transpose_is_padded_with_zeros_to_whole_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
