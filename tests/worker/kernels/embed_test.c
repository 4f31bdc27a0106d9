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
            embed_forward(y, ids, form == 2 ? types : NULL, word, position, places,
                          form == 0 ? NULL : type, rows.N, C);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_the_sum_of_its_three_embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
