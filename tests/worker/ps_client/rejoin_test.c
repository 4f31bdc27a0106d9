/* A client whose server was started again: where bits depend on who computes (ps.mode: ssp, async), a version that the old
 * server had made may not be what the new one makes of it. */
#include "worker/ps_client/client_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 2, HELD = 3, RUN = 9, CLIENT = 5 };

/* What was sent last of PULLs. */
typedef struct Heard {
    int64_t pulls, version;
} Heard;

static WireSent take(void *self, bool data, const Msg *msg, Err *err)
{
    Heard *heard = self;
    (void)data;
    (void)err;
    if (msg->type == MSG_PULL) {
        heard->pulls++;
        heard->version = msg->step;
    }
    return WIRE_SENT;
}

static void hear(ClientCore *core, Heard *heard, Msg msg, double now)
{
    const ClientWay way = { heard, take };
    msg.run = RUN;
    msg.client = CLIENT;
    client_core_message(core, &msg, now);
    msg_release(&msg);
    client_core_send(core, &way, now);
}

/* The version that it says it has, behind a server that does not know it. */
static void rejoin(PsMode mode, int64_t says)
{
    const ClientCoreOptions options = { .client = CLIENT, .address = "here", .heartbeat = 1, .patience = 60 };
    const HelloFacts facts = { .slot_size = SIZE };
    const PsConfig ps = { .mode = mode };
    float values[SIZE];
    Heard heard = { 0 };
    Msg answer;
    Err err = { 0 };
    ClientCore *core = client_core_new(&options, 0);
    client_core_hello(core, &facts, "", 0);
    hear(core, &heard, (Msg){ .type = MSG_WELCOME }, 0);
    assert_true(client_core_answer(core, &answer, &err));
    msg_release(&answer);
    client_core_plan(core, 1, &ps);
    client_core_next(core, HELD, values, 1);
    client_core_send(core, &(ClientWay){ &heard, take }, 1);
    assert_int_equal(heard.version, HELD);
    const int64_t before = heard.pulls;
    hear(core, &heard, (Msg){ .type = MSG_BEAT, .known = false }, 2);
    hear(core, &heard, (Msg){ .type = MSG_WELCOME }, 3);
    assert_true(heard.pulls > before);
    assert_int_equal(heard.version, says);
    client_core_free(core);
}

static void values_that_another_server_made_are_asked_for_again_where_bits_are_not_promised(void **state)
{
    (void)state;
    rejoin(PS_SYNC, HELD);
    rejoin(PS_SSP, -1);
    rejoin(PS_ASYNC, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_another_server_made_are_asked_for_again_where_bits_are_not_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
