/* Event files: checksums of the published value, records as TFRecord frames them. TensorBoard's own reader reads them in
 * tests/interop. */
#include "ps/tensorboard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3720, B.4 (iSCSI's CRC32C). */
static void checksums_are_those_of_the_standard(void **state)
{
    (void)state;
    uint8_t zeros[32] = { 0 }, ones[32], rising[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++)
        rising[i] = (uint8_t)i;
    assert_int_equal(tensorboard_crc(zeros, 32), 0x8a9136aaU);
    assert_int_equal(tensorboard_crc(ones, 32), 0x62a8ab43U);
    assert_int_equal(tensorboard_crc(rising, 32), 0x46dd794eU);
    assert_int_equal(tensorboard_crc("123456789", 9), 0xe3069283U);
}

static void a_record_is_length_checksum_data_checksum(void **state)
{
    (void)state;
    Text out = { 0 };
    tensorboard_record(&out, "abc", 3);
    assert_int_equal(out.size, 8 + 4 + 3 + 4);
    assert_memory_equal(out.data, "\3\0\0\0\0\0\0\0", 8);
    assert_memory_equal(out.data + 12, "abc", 3);
    const uint32_t plain = tensorboard_crc("abc", 3), mask = (plain >> 15 | plain << 17) + 0xa282ead8U;
    assert_memory_equal(out.data + 15, &mask, 4);
    text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_the_standard),
        cmocka_unit_test(a_record_is_length_checksum_data_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
