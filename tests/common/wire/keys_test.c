/* Keys: their files, and who gets in with which. */
#include "common/wire/keys.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/wire/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/keys-test-XXXXXX";

static int make_place(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int leave_place(void **state)
{
    (void)state;
    Err err = { 0 };
    return folder_remove(folder, &err) ? 0 : -1;
}

static char *in(const char *name)
{
    return path_join(folder, name);
}

static void put(const char *path, const char *text)
{
    Err err = { 0 };
    assert_true(file_write(path, text, strlen(text), &err));
}

static void a_client_knows_the_server_by_one_line(void **state)
{
    (void)state;
    Err err = { 0 };
    WireKeys server, client, again;
    char *keys = in("one"), *path = in("one/worker.key");
    assert_true(keys_new(keys, "worker", &err));
    assert_true(keys_read_server(&server, keys, &err));
    assert_true(keys_read_client(&client, keys, &err));
    assert_memory_equal(client.server_key, server.public_key, KEY_BYTES);
    char *line = keys_line(path, &err);
    assert_non_null(line);
    assert_true(keys_read_client(&again, line, &err));
    assert_memory_equal(&again, &client, sizeof client);
    AllowedKeys allowed;
    assert_true(allowed_read(&allowed, keys, &err));
    assert_string_equal(allowed_name(&allowed, client.public_key), "worker");
    assert_null(allowed_name(&allowed, server.public_key));
    allowed_release(&allowed);
    assert_true(keys_revoke(keys, "worker", &err));
    assert_false(file_exists(path));
    assert_true(allowed_read(&allowed, keys, &err));
    assert_int_equal(allowed.count, 0);
    free(line);
    free(keys);
    free(path);
}

static void refuses_the_list(const char *text, const char *where)
{
    Err err = { 0 };
    AllowedKeys allowed;
    char *list = in("allowed");
    put(list, text);
    assert_false(allowed_read(&allowed, folder, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.where, where));
    free(list);
}

static void a_damaged_list_is_refused_at_its_line(void **state)
{
    (void)state;
    const char *key = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
    char *good = xprintf("# who\n\n%s a\n%s b.c-d_e \r\n", key, key), *list = in("allowed");
    Err err = { 0 };
    AllowedKeys allowed;
    put(list, good);
    assert_true(allowed_read(&allowed, folder, &err));
    assert_int_equal(allowed.count, 2);
    assert_string_equal(allowed.at[1].name, "b.c-d_e");
    allowed_release(&allowed);
    char *half = xprintf("%s%s", good, "0011 short\n"), *nameless = xprintf("%s \n", key),
         *wrong = xprintf("#\n%.63sx name\n", key), *path = xprintf("%s ../x\n", key),
         *joined = xprintf("%sname\n", key);
    refuses_the_list(half, "allowed:5");
    refuses_the_list(nameless, "allowed:1");
    refuses_the_list(wrong, "allowed:2");
    refuses_the_list(path, "allowed:1");
    refuses_the_list(joined, "allowed:1");
    free(half);
    free(nameless);
    free(wrong);
    free(path);
    free(joined);
    free(good);
    free(list);
}

static void a_damaged_key_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "# only words\n",
        "# x\n12\n",
        "\n\n",
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", /* one where two are needed */
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff:0011\n"
    };
    char *path = in("x.key");
    for (size_t i = 0; i < LENGTH(texts); i++) {
        Err err = { 0 };
        WireKeys keys;
        put(path, texts[i]);
        assert_int_equal(chmod(path, 0600), 0);
        assert_false(keys_read_client(&keys, path, &err));
        assert_int_equal(err.kind, ERR_INPUT);
        assert_non_null(strstr(err.where, "x.key"));
    }
    Err err = { 0 };
    WireKeys keys;
    assert_int_equal(chmod(path, 0640), 0);
    assert_false(keys_read_client(&keys, path, &err));
    assert_non_null(strstr(err.what, "mode 0640"));
    free(path);
}

/* A server with the keys of `keys`, and a client with those of `line` (NULL: none). Does its message arrive? */
static bool gets_in(const char *keys, const char *line, Door *door)
{
    Err err = { 0 };
    WireKeys of_server, of_client;
    WireContext *server = wire_context_open(&err), *client = wire_context_open(&err);
    WireSocket *sockets[4];
    assert_true(keys_read_server(&of_server, keys, &err) && wire_secure(server, &of_server, keys, &err));
    assert_true(wire_bind_pair(server, "tcp://127.0.0.1:*", &sockets[0], &sockets[1], &err));
    assert_true(!line || (keys_read_client(&of_client, line, &err) && wire_secure(client, &of_client, NULL, &err)));
    assert_true(wire_connect_pair(client, wire_endpoint(sockets[0]), &sockets[2], &sockets[3], &err));
    const Msg ask = { .type = MSG_STATUS, .client = 7 };
    WireSent sent = WIRE_LATER;
    WireReceived received = WIRE_NOTHING;
    *door = DOOR_OPEN;
    for (const double until = clock_now() + 3; received == WIRE_NOTHING && *door != DOOR_SHUT && clock_now() < until;) {
        Msg msg;
        WireId from;
        if (sent == WIRE_LATER)
            sent = wire_send(sockets[3], NULL, &ask, &err);
        wire_wait(sockets, 2, -1, 0.01);
        received = wire_receive(sockets[1], &msg, &from, &err);
        msg_release(&msg);
        *door = wire_door(sockets[3], &err);
    }
    for (int i = 0; i < 4; i++)
        wire_close(sockets[i]);
    wire_context_close(client);
    wire_context_close(server);
    return received == WIRE_MESSAGE;
}

static void only_who_is_on_the_list_gets_in(void **state)
{
    (void)state;
    Err err = { 0 };
    Door door;
    char *keys = in("gate"), *others = in("others");
    assert_true(keys_new(keys, "worker", &err) && keys_new(keys, "other", &err) && keys_new(others, "worker", &err));
    char *line = keys_line(keys, &err), *theirs = keys_line(others, &err);
    char *stranger = xprintf("%.*s%s", KEY_HEX, line, theirs + KEY_HEX); /* knows the server, and is not known to it */
    assert_true(gets_in(keys, line, &door));
    assert_false(gets_in(keys, stranger, &door));
    assert_int_equal(door, DOOR_SHUT);
    assert_false(gets_in(keys, NULL, &door));
    assert_int_equal(door, DOOR_SHUT);
    assert_false(gets_in(keys, theirs, &door));
    assert_int_equal(door, DOOR_DOUBTFUL);
    assert_true(keys_revoke(keys, "worker", &err));
    assert_false(gets_in(keys, line, &door));
    assert_int_equal(door, DOOR_SHUT);
    free(line);
    free(theirs);
    free(stranger);
    free(keys);
    free(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_knows_the_server_by_one_line),
        cmocka_unit_test(a_damaged_list_is_refused_at_its_line),
        cmocka_unit_test(a_damaged_key_is_refused),
        cmocka_unit_test(only_who_is_on_the_list_gets_in),
    };
    return cmocka_run_group_tests(tests, make_place, leave_place);
}
