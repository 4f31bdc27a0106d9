/* Addresses of a server as people write them. */
#include "common/base/address.h"

#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Expected {
    const char *text, *host;
    int port;
    bool ipv6, loopback;
} Expected;

static void an_address_is_a_host_and_a_port(void **state)
{
    (void)state;
    static const Expected good[] = {
        { "tcp://127.0.0.1:7700", "127.0.0.1", 7700, false, true },
        { "tcp://127.255.0.9:1", "127.255.0.9", 1, false, true },
        { "tcp://localhost:65534", "localhost", 65534, false, true },
        { "tcp://LocalHost:7700", "LocalHost", 7700, false, true },
        { "tcp://[::1]:7700", "[::1]", 7700, true, true },
        { "tcp://[0:0::0:1]:7700", "[0:0::0:1]", 7700, true, true },
        { "tcp://[::ffff:127.0.0.1]:7700", "[::ffff:127.0.0.1]", 7700, true, true },
        { "tcp://[::]:7700", "[::]", 7700, true, false },
        { "tcp://[fe80::1%eth0]:7700", "[fe80::1%eth0]", 7700, true, false },
        { "tcp://[::ffff:10.0.0.1]:7700", "[::ffff:10.0.0.1]", 7700, true, false },
        { "tcp://127.0.0.1:*", "127.0.0.1", 0, false, true },
        { "tcp://127.0.0.1:0", "127.0.0.1", 0, false, true },
        { "tcp://*:7700", "*", 7700, false, false },
        { "tcp://0.0.0.0:7700", "0.0.0.0", 7700, false, false },
        { "tcp://head-1.example.org:7700", "head-1.example.org", 7700, false, false },
        { "tcp://eth0:7700", "eth0", 7700, false, false },
        /* names of somebody else's, however they begin */
        { "tcp://127.example.org:7700", "127.example.org", 7700, false, false },
        { "tcp://127.0.0.1.example.org:7700", "127.0.0.1.example.org", 7700, false, false },
        { "tcp://localhost.example.org:7700", "localhost.example.org", 7700, false, false },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        Address a;
        Err err = { 0 };
        if (!address_read(&a, good[i].text, &err))
            fail_msg("%s: %s", good[i].text, err.what);
        if (strcmp(a.host, good[i].host) != 0 || a.port != good[i].port || a.ipv6 != good[i].ipv6 ||
            a.loopback != good[i].loopback)
            fail_msg("%s: host %s port %d ipv6 %d loopback %d", good[i].text, a.host, a.port, a.ipv6, a.loopback);
        address_release(&a);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "head:7700",
        "ipc://socket:1",
        "tcp://",
        "tcp://head",
        "tcp://:7700",
        "tcp://head:",
        "tcp://head:77x",
        "tcp://head:-1",
        "tcp://head:+1",
        "tcp://head: 1",
        "tcp://head:0x10",
        "tcp://head:**",
        "tcp://he ad:7700",
        "tcp://a/b:1",
        "tcp://a;b:1",
        "tcp://**:7700",
        "tcp://127.1:7700",
        "tcp://127.0.0.256:7700",
        "tcp://127.0.0.01:7700",
        "tcp://1.2.3.4.5:7700",
        "tcp://2130706433:7700",
        "tcp://::1:7700",
        "tcp://[::1]7700",
        "tcp://[::1:7700",
        "tcp://[::1]]:7700",
        "tcp://[]:7700",
        "tcp://[127.0.0.1]:7700",
        "tcp://[head]:7700",
        "tcp://[1:2]:7700",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Address a;
        Err err = { 0 };
        if (address_read(&a, bad[i], &err))
            fail_msg("'%s' is taken", bad[i]);
        assert_null(a.host);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_non_null(strstr(err.what, "is not an address"));
        assert_non_null(strstr(err.hint, "tcp://HOST:PORT"));
    }
}

static void the_control_port_has_to_exist_too(void **state)
{
    (void)state;
    static const char *const bad[] = { "tcp://head:65535", "tcp://127.0.0.1:65536", "tcp://[::1]:70000",
                                       "tcp://head:99999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Address a;
        Err err = { 0 };
        assert_false(address_read(&a, bad[i], &err));
        assert_null(a.host);
        assert_non_null(strstr(err.what, "port"));
        assert_non_null(strstr(err.what, "out of range"));
        assert_non_null(strstr(err.hint, "1 to 65534"));
    }
}

static void a_long_host_is_no_address(void **state)
{
    (void)state;
    char *text = xprintf("tcp://%0300d:7700", 0), *six = xprintf("tcp://[%0300d]:7700", 0);
    Address a;
    assert_false(address_read(&a, text, NULL));
    assert_false(address_read(&a, six, NULL));
    free(text);
    free(six);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_a_host_and_a_port),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(the_control_port_has_to_exist_too),
        cmocka_unit_test(a_long_host_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
