/* Headers: what goes in comes out, and what is not one is refused without harm. */
#include "common/wire/message.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/scan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static float tensor[6] = { 1, -2, 3, -4, 5, -6 };
static char run_text[] = "model: a\nlora: {r: 8}\n";

static Msg example(MsgType type)
{
    Msg msg = { .type = type, .run = UINT64_MAX, .client = 77 };
    const bool work = type == MSG_LEASE || type == MSG_PUSH || type == MSG_EVAL || type == MSG_ACK || type == MSG_NEED;
    if (work || type == MSG_PULL)
        msg.step = type == MSG_PULL ? -1 : 41;
    if (work) {
        msg.range_count = type == MSG_LEASE ? WIRE_RANGES : 1;
        for (int i = 0; i < msg.range_count; i++)
            msg.range[i] = (Range){ 4 * i, 4 * i + 4 };
    }
    if (type == MSG_LEASE || type == MSG_PUSH || type == MSG_EVAL) {
        msg.data = tensor;
        msg.size = sizeof tensor;
    }
    msg.turn = type == MSG_LEASE || type == MSG_PULL ? 12 : 0;
    msg.again = type == MSG_VALUES || type == MSG_PULL;
    if (type == MSG_EVAL || type == MSG_ACK || type == MSG_NEED)
        msg.kind = LEASE_EVAL;
    if (type == MSG_LEASE) {
        msg.kind = LEASE_STOP;
        msg.code = 143;
    }
    msg.version = type == MSG_LEASE || type == MSG_PUSH ? 8 : 0;
    if (type == MSG_PUSH) {
        msg.weight = 32.5;
        msg.tokens = 4096;
        msg.loss = 12.5;
    }
    if (type == MSG_PUSH || type == MSG_EVAL)
        msg.seconds = 0.25;
    if (type == MSG_BEAT) {
        msg.rss_bytes = 1 << 30;
        msg.foreseen = (Foreseen){ 0.5, 1 << 29, 12345 };
        msg.known = true;
    }
    if (type == MSG_HELLO)
        msg.facts = (HelloFacts){ UINT64_MAX, 2,  3, UINT64_MAX - 7,   294912,          67349,         128, 7, 872, 12,
                                  16,         32, 9, "node-1.cluster", "x86-64-v3/Zen", UINT64_MAX - 5 };
    if (type == MSG_PUSH || type == MSG_EVAL || type == MSG_PULL)
        msg.place = type == MSG_PUSH ? PLACE_ALL : PLACE_VALUES;
    if (type == MSG_LEASE || type == MSG_PUSH || type == MSG_EVAL)
        msg.memory.values_key = UINT64_MAX;
    if (type == MSG_PUSH)
        msg.memory.sums_key = 3;
    if (type == MSG_WELCOME)
        msg.memory = (MemoryOffer){ "/proc/1234/fd/12", "/proc/1234/fd/13", UINT64_MAX, 3 };
    if (type == MSG_HELLO || type == MSG_LEASE || type == MSG_PUSH || type == MSG_EVAL)
        msg.plan = UINT64_MAX - 1;
    if (type == MSG_RUN || type == MSG_HELLO || type == MSG_WELCOME || type == MSG_REFUSE || type == MSG_LEASE ||
        type == MSG_STATUS)
        msg.text = run_text;
    return msg;
}

static bool decode(Msg *msg, const char *bytes, size_t size, Err *err)
{
    size_t tensor_size;
    uint64_t checksum;
    *err = (Err){ 0 };
    return msg_decode_header(msg, bytes, size, sizeof tensor, &tensor_size, &checksum, err);
}

static char *encode(MsgType type, size_t *size)
{
    const Msg msg = example(type);
    char *header = NULL;
    Err err = { 0 };
    assert_true(msg_encode_header(&msg, &header, size, &err));
    return header;
}

static void every_type_comes_back_as_it_went(void **state)
{
    (void)state;
    for (int t = 0; t < MSG_TYPES; t++) {
        const Msg sent = example((MsgType)t);
        size_t size, tensor_size;
        uint64_t checksum;
        char *header = encode((MsgType)t, &size);
        Msg got;
        Err err = { 0 };
        assert_true(msg_decode_header(&got, header, size, sizeof tensor, &tensor_size, &checksum, &err));
        assert_int_equal(tensor_size, sent.size);
        if (sent.size > 0)
            assert_true(checksum == digest_fast(tensor, sizeof tensor));
        if (sent.text)
            assert_string_equal(got.text, sent.text);
        else
            assert_null(got.text);
        char *text = got.text;
        got.text = sent.text;
        got.data = sent.data;
        assert_memory_equal(&got, &sent, sizeof got);
        free(text);
        free(header);
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (int t = 0; t < MSG_TYPES; t++) {
        size_t size;
        char *header = encode((MsgType)t, &size);
        for (size_t n = 0; n < size; n++) {
            char *part = malloc(n > 0 ? n : 1); /* its own room, so that a sanitizer sees the end */
            Msg msg;
            Err err;
            memcpy(part, header, n);
            assert_false(decode(&msg, part, n, &err));
            assert_int_equal(err.kind, ERR_INPUT);
            assert_null(msg.text);
            free(part);
        }
        free(header);
    }
}

static void a_byte_behind_the_end_is_refused(void **state)
{
    (void)state;
    size_t size;
    char *header = encode(MSG_PUSH, &size);
    header = xrealloc(header, size + 1);
    header[size] = '\xc0';
    Msg msg;
    Err err;
    assert_false(decode(&msg, header, size + 1, &err));
    free(header);
}

static void mutations_never_crash(void **state)
{
    (void)state;
    const RngKey key = rng_key(1, 2, 3, 4);
    int accepted = 0;
    size_t size;
    for (uint32_t i = 0; i < 100000; i++) {
        char *header = encode((MsgType)(i % MSG_TYPES), &size);
        const uint32_t edits = 1 + rng_bits(key, 8 * i) % 3;
        for (uint32_t e = 0; e < edits; e++) {
            const uint32_t bits = rng_bits(key, 8 * i + 1 + e);
            header[bits % size] = (char)(bits >> 24);
        }
        Msg msg;
        Err err;
        if (decode(&msg, header, size, &err)) {
            assert_true(msg.size <= sizeof tensor);
            assert_true(msg.range_count >= 0 && msg.range_count <= WIRE_RANGES);
            accepted++;
        } else {
            assert_true(err.kind == ERR_INPUT || err.kind == ERR_REFUSED);
        }
        msg_release(&msg);
        free(header);
    }
    /* Numbers and letters of texts may change without a trace; structure may not. */
    assert_true(accepted > 0 && accepted < 80000);
}

static void announced_giants_are_refused_before_they_are_allocated(void **state)
{
    (void)state;
    const char array[] = "\x81\xa1\x76\xdd\xff\xff\xff\xff";
    const char nested[] = "\x81\xa1\x76\x91\x91\x01";
    const char map[] = "\xdf\xff\xff\xff\xff";
    const char bin[] = "\x81\xa1\x76\xc4\x01\x01";
    const char text[] = "\x81\xa1\x76\xdb\xff\xff\xff\xff";
    assert_false(scan_header(array, sizeof array - 1));
    assert_false(scan_header(nested, sizeof nested - 1));
    assert_false(scan_header(map, sizeof map - 1));
    assert_false(scan_header(bin, sizeof bin - 1));
    assert_false(scan_header(text, sizeof text - 1));
    assert_true(scan_header("\x81\xa1\x76\x91\x01", 5));
}

static void tensors_above_the_limit_are_refused(void **state)
{
    (void)state;
    size_t size, tensor_size;
    uint64_t checksum;
    char *header = encode(MSG_PUSH, &size);
    Msg msg;
    Err err = { 0 };
    assert_false(msg_decode_header(&msg, header, size, sizeof tensor - 1, &tensor_size, &checksum, &err));
    assert_non_null(strstr(err.what, "at most"));
    free(header);
}

static void another_protocol_version_is_named(void **state)
{
    (void)state;
    size_t size;
    char *header = encode(MSG_HELLO, &size);
    size_t at = 0;
    while (header[at] != 'v')
        at++;
    header[at + 1] = 11;
    Msg msg;
    Err err;
    assert_false(decode(&msg, header, size, &err));
    assert_int_equal(err.kind, ERR_REFUSED);
    assert_string_equal(err.what, "protocol version 10 here, 11 there");
    free(header);
}

static void a_repeated_key_is_refused(void **state)
{
    (void)state;
    size_t size;
    char *header = encode(MSG_ASK, &size); /* keys v, type, run, client */
    char *run = memmem(header, size, "\xa3run", 4);
    char *again = malloc(size + 13);
    memcpy(again, header, size);
    memcpy(again + size, run, 13); /* key and a uint 64 */
    again[0]++; /* fixmap of one more */
    Msg msg;
    Err err;
    assert_false(decode(&msg, again, size + 13, &err));
    assert_non_null(strstr(err.what, "twice"));
    free(again);
    free(header);
}

static void a_loss_may_be_nan_but_a_time_may_not(void **state)
{
    (void)state;
    Msg push = example(MSG_PUSH), got;
    Err err = { 0 };
    char *header;
    size_t size;
    push.loss = (double)NAN;
    assert_true(msg_encode_header(&push, &header, &size, &err));
    assert_true(decode(&got, header, size, &err));
    assert_true(isnan(got.loss));
    msg_release(&got);
    free(header);
    push.seconds = (double)NAN;
    assert_true(msg_encode_header(&push, &header, &size, &err));
    assert_false(decode(&got, header, size, &err));
    free(header);
}

static void a_run_file_that_is_too_long_does_not_travel(void **state)
{
    (void)state;
    Msg msg = example(MSG_RUN);
    msg.text = malloc(WIRE_HEADER_BYTES + 1);
    memset(msg.text, 'x', WIRE_HEADER_BYTES);
    msg.text[WIRE_HEADER_BYTES] = '\0';
    char *header;
    size_t size;
    Err err = { 0 };
    assert_false(msg_encode_header(&msg, &header, &size, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    free(msg.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_went),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_byte_behind_the_end_is_refused),
        cmocka_unit_test(mutations_never_crash),
        cmocka_unit_test(announced_giants_are_refused_before_they_are_allocated),
        cmocka_unit_test(tensors_above_the_limit_are_refused),
        cmocka_unit_test(another_protocol_version_is_named),
        cmocka_unit_test(a_repeated_key_is_refused),
        cmocka_unit_test(a_loss_may_be_nan_but_a_time_may_not),
        cmocka_unit_test(a_run_file_that_is_too_long_does_not_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
