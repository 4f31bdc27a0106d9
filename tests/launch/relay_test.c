/* What a job of workers says is passed on; what Open MPI says of it is kept for the end. */
#include "launch/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char dashes[] = "--------------------------------------------------------------------------";

static void workers_are_heard(void **state)
{
    (void)state;
    Relay relay;
    relay_init(&relay, -1);
    assert_true(relay_take(&relay, "12:03:55.120 w0 warn  data skipped_rows=3"));
    assert_true(relay_take(&relay, ""));
    assert_true(relay_take(&relay, "[not a host] a worker's line"));
    assert_true(relay_take(&relay, "--- a short line of dashes"));
    assert_false(relay.error);
    assert_true(relay_take(&relay, "error: no column 'phrase'"));
    assert_true(relay_take(&relay, "  at: train.tsv:1"));
    assert_true(relay.error);
    assert_null(relay.kept.data);
    relay_release(&relay);
}

static void open_mpi_is_kept_back(void **state)
{
    (void)state;
    Relay relay;
    relay_init(&relay, -1);
    assert_false(relay_take(&relay, dashes));
    assert_false(relay_take(&relay, "It appears as if there is not enough space for /dev/shm/x"));
    assert_false(relay_take(&relay, ""));
    assert_false(relay_take(&relay, "error: of a message"));
    assert_false(relay_take(&relay, dashes));
    assert_false(relay_take(&relay, "[vm:03109] *** An error occurred in MPI_Init_thread"));
    assert_true(relay_take(&relay, "12:03:55.120 w0 info  train"));
    assert_false(relay.error);
    assert_string_equal(relay.kept.data, "It appears as if there is not enough space for /dev/shm/x\n\n"
                                         "error: of a message\n"
                                         "[vm:03109] *** An error occurred in MPI_Init_thread\n");
    for (int i = 0; i < 100000; i++)
        assert_false(relay_take(&relay, "[vm:03109] again"));
    assert_null(strstr(strstr(relay.kept.data, "[vm:03109] again") + 1, "[vm:03109] again"));
    char line[64];
    for (int i = 0; i < 100000; i++) {
        snprintf(line, sizeof line, "[vm:03109] %d", i);
        assert_false(relay_take(&relay, line));
    }
    assert_true(relay.kept.size < 10000);
    relay_release(&relay);
}

/* Pieces of lines are joined, the last one may lack its end, and then the pipe is closed. */
static void lines_come_in_pieces(void **state)
{
    (void)state;
    int ends[2];
    Relay relay;
    assert_int_equal(pipe(ends), 0);
    relay_init(&relay, ends[0]);
    assert_int_equal(write(ends[1], "[vm:1] ", 7), 7);
    relay_pump(&relay, 1);
    assert_null(relay.kept.data);
    assert_int_equal(write(ends[1], "one\n[vm:1] two", 14), 14);
    relay_pump(&relay, 1);
    assert_string_equal(relay.kept.data, "[vm:1] one\n");
    assert_true(relay.heard >= 0);
    close(ends[1]);
    relay_pump(&relay, 1);
    assert_string_equal(relay.kept.data, "[vm:1] one\n[vm:1] two\n");
    assert_int_equal(relay.heard, -1);
    relay_release(&relay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_heard),
        cmocka_unit_test(open_mpi_is_kept_back),
        cmocka_unit_test(lines_come_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
