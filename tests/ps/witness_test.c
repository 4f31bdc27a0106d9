/* Pieces that come twice: the same bits are nothing, others are told with who gave them, also behind the step. */
#include "ps/witness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t see(Witness *witness, int64_t step, int64_t begin, int64_t at, uint64_t client, float value)
{
    float data[] = { 1, value };
    const Msg push = { .type = MSG_PUSH,
                       .step = step,
                       .range = { { begin, begin + 1 } },
                       .range_count = 1,
                       .at = at,
                       .client = client,
                       .data = data,
                       .size = sizeof data };
    return witness_see(witness, &push);
}

static void other_bits_of_a_piece_are_told_with_who_gave_the_first(void **state)
{
    (void)state;
    Witness witness = { 0 };
    for (int64_t step = 0; step < 5; step++) {
        for (int64_t m = 0; m < 300; m++)
            for (int64_t at = 0; at < 2; at++)
                assert_int_equal(see(&witness, step, m, at, 1, 2), 0);
        assert_int_equal(see(&witness, step, 7, 0, 2, 2), 0); /* the same bits */
        assert_int_equal(see(&witness, step, 7, 0, 1, 3), 0); /* its own repeated: a message, not a machine */
        assert_int_equal(see(&witness, step, 7, 1, 2, 3), 1);
        assert_int_equal(see(&witness, step, 301, 0, 2, 3), 0);
        if (step > 1) {
            assert_int_equal(see(&witness, step - 1, 299, 1, 3, 4), 1); /* behind the step */
            assert_int_equal(see(&witness, step - 2, 299, 1, 3, 4), 0); /* forgotten */
        }
    }
    assert_int_equal(witness.differing, 5 + 3);
    witness_release(&witness);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(other_bits_of_a_piece_are_told_with_who_gave_the_first) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
