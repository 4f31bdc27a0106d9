/* The write-ahead log after crashes and damage. */
#include "ps/wal.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { RECORDS = 4, PAYLOAD = 40, WHOLE = 24 + PAYLOAD + 8 };

typedef struct Seen {
    int count;
    bool right;
} Seen;

static void payload_of(char out[PAYLOAD], int i)
{
    for (int k = 0; k < PAYLOAD; k++)
        out[k] = (char)(i * 31 + k);
}

static bool look(void *self, WalType type, const void *payload, size_t size, Err *err)
{
    Seen *seen = self;
    char want[PAYLOAD];
    (void)err;
    payload_of(want, seen->count);
    if (size != PAYLOAD || memcmp(want, payload, PAYLOAD) != 0 || type != (seen->count == 0 ? WAL_HEADER : WAL_STEP))
        seen->right = false;
    seen->count++;
    return true;
}

typedef struct Place {
    char *folder;
    char *path;
    char *bytes;
    size_t size;
} Place;

/* A log of RECORDS records, the later ones appended in two parts. */
static int make(void **state)
{
    Place *place = xcalloc(1, sizeof *place);
    place->folder = test_folder_new();
    place->path = path_join(place->folder, "log");
    Wal wal = WAL_CLOSED;
    char payload[PAYLOAD];
    payload_of(payload, 0);
    const WalType type = WAL_HEADER;
    const WalPart first = { payload, PAYLOAD };
    assert_true(wal_start(&wal, place->path, &type, &first, 1, NULL));
    for (int i = 1; i < RECORDS; i++) {
        payload_of(payload, i);
        const WalPart parts[] = { { payload, 8 }, { payload + 8, PAYLOAD - 8 } };
        assert_true(wal_append(&wal, WAL_STEP, parts, 2, NULL));
    }
    assert_true(wal_sync(&wal, NULL));
    wal_close(&wal);
    place->bytes = file_read(place->path, &place->size, NULL);
    assert_int_equal(place->size, RECORDS * WHOLE);
    *state = place;
    return 0;
}

static int clean(void **state)
{
    Place *place = *state;
    test_folder_drop(place->folder);
    free(place->path);
    free(place->bytes);
    free(place);
    return 0;
}

static void a_log_cut_at_any_byte_keeps_its_whole_records_and_goes_on(void **state)
{
    Place *place = *state;
    for (size_t cut = WHOLE; cut <= place->size; cut++) {
        assert_true(file_write(place->path, place->bytes, cut, NULL));
        Seen seen = { .right = true };
        Wal wal = WAL_CLOSED;
        assert_true(wal_open(&wal, place->path, PAYLOAD, look, &seen, NULL));
        assert_true(seen.right);
        assert_int_equal(seen.count, cut / WHOLE);
        for (int i = seen.count; i < RECORDS; i++) {
            char payload[PAYLOAD];
            payload_of(payload, i);
            assert_true(wal_append(&wal, WAL_STEP, &(WalPart){ payload, PAYLOAD }, 1, NULL));
        }
        wal_close(&wal);
        size_t size;
        char *again = file_read(place->path, &size, NULL);
        assert_int_equal(size, place->size);
        assert_memory_equal(again, place->bytes, size);
        free(again);
    }
}

static void a_flipped_bit_is_an_error_or_costs_the_last_record_only(void **state)
{
    Place *place = *state;
    for (size_t bit = 0; bit < 8 * place->size; bit++) {
        place->bytes[bit / 8] ^= (char)(1 << bit % 8);
        assert_true(file_write(place->path, place->bytes, place->size, NULL));
        place->bytes[bit / 8] ^= (char)(1 << bit % 8);
        Seen seen = { .right = true };
        Wal wal = WAL_CLOSED;
        Err err = { 0 };
        const bool ok = wal_open(&wal, place->path, PAYLOAD, look, &seen, &err);
        assert_true(seen.right);
        assert_int_equal(ok, bit / 8 / WHOLE == RECORDS - 1);
        assert_int_equal(seen.count, bit / 8 / WHOLE);
        if (!ok) {
            assert_int_equal(err.kind, ERR_IO);
            assert_string_equal(err.where, place->path);
        }
        wal_close(&wal);
    }
}

static void an_empty_rest_of_zeros_is_cut_off(void **state)
{
    Place *place = *state;
    char *longer = xcalloc(place->size + 30, 1);
    memcpy(longer, place->bytes, place->size);
    assert_true(file_write(place->path, longer, place->size + 30, NULL));
    Seen seen = { .right = true };
    Wal wal = WAL_CLOSED;
    assert_true(wal_open(&wal, place->path, PAYLOAD, look, &seen, NULL));
    assert_int_equal(seen.count, RECORDS);
    assert_int_equal(file_size(place->path), (int64_t)place->size);
    wal_close(&wal);
    free(longer);
}

/* The k-th record as another program would begin it. */
static void set_type(Place *place, int k, uint32_t type)
{
    char *head = place->bytes + (size_t)k * WHOLE;
    memcpy(head, &type, sizeof type);
    const uint64_t digest = digest_fast(head, 16);
    memcpy(head + 16, &digest, sizeof digest);
    assert_true(file_write(place->path, place->bytes, place->size, NULL));
}

static void expect_refused(const Place *place, int records, ErrKind kind, const char *what)
{
    Seen seen = { .right = true };
    Wal wal = WAL_CLOSED;
    Err err = { 0 };
    assert_false(wal_open(&wal, place->path, PAYLOAD, look, &seen, &err));
    assert_int_equal(seen.count, records);
    assert_int_equal(err.kind, kind);
    assert_string_equal(err.what, what);
    assert_string_equal(err.where, place->path);
    assert_int_equal(file_size(place->path), (int64_t)place->size); /* nothing is cut off */
}

static void logs_of_other_versions_are_told(void **state)
{
    Place *place = *state;
    set_type(place, 2, 0x57414c93);
    expect_refused(place, 2, ERR_INPUT,
                   "the write-ahead log was written by a newer version of this program (format 9, here 8)");
    set_type(place, 0, 0x57414c31); /* as the first ones began */
    expect_refused(place, 0, ERR_INPUT,
                   "the write-ahead log was written by an older version of this program (format 3, here 8)");
    set_type(place, 0, 0x12345678);
    expect_refused(place, 0, ERR_IO, "the write-ahead log holds a record that no version of this program writes");
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_log_cut_at_any_byte_keeps_its_whole_records_and_goes_on, make, clean),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_an_error_or_costs_the_last_record_only, make, clean),
        cmocka_unit_test_setup_teardown(logs_of_other_versions_are_told, make, clean),
        cmocka_unit_test_setup_teardown(an_empty_rest_of_zeros_is_cut_off, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
