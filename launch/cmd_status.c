#include "launch/cmd_status.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/rng.h"
#include "common/wire/socket.h"
#include "launch/command.h"

#include <stdlib.h>
#include <string.h>

static const double patience = 5; /* seconds that the server has to answer */

/* The server's JSON, owned by the caller; NULL with *err set. */
static char *fetch(const char *address, Err *err)
{
    WireSocket *data = NULL, *control = NULL;
    char *text = NULL;
    WireContext *context = wire_context_open(err);
    if (!context || !wire_connect_pair(context, address, &data, &control, err))
        goto done;
    const Msg ask = { .type = MSG_STATUS, .client = rng_entropy() };
    const double until = clock_now() + patience;
    WireSent sent = WIRE_LATER;
    while (!text && err->kind == ERR_NONE && clock_now() < until) {
        if (sent == WIRE_LATER)
            sent = wire_send(control, NULL, &ask, err);
        wire_wait(&control, 1, -1, 0.1);
        Msg msg;
        Err bad = { 0 };
        const WireReceived received = wire_receive(control, &msg, NULL, &bad);
        if (received == WIRE_MALFORMED) {
            *err = bad;
        } else if (received == WIRE_MESSAGE && msg.type == MSG_REFUSE) {
            err_set(err, ERR_REFUSED, "%s", msg.text ? msg.text : "refused");
        } else if (received == WIRE_MESSAGE && msg.type == MSG_STATUS && msg.text) {
            text = msg.text;
            msg.text = NULL;
        }
        msg_release(&msg);
    }
    if (!text && err->kind == ERR_NONE)
        err_set(err, ERR_PEER, "no parameter server answers within %.0f s", patience);
    if (!text)
        err_at(err, "%s", address);
done:
    wire_close(data);
    wire_close(control);
    wire_context_close(context);
    return text;
}

static void print_line(const char *key, const json_t *value)
{
    if (json_is_string(value)) {
        printf("%-20s %s\n", key, json_string_value(value));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        printf("%-20s %s\n", key, text ? text : "?");
        free(text);
    }
}

static bool print_status(const char *text, bool as_json, Err *err)
{
    if (as_json) {
        puts(text);
        return true;
    }
    json_t *status = json_bytes(text, strlen(text), "status", err);
    if (!status)
        return false;
    const char *key;
    json_t *value;
    json_object_foreach(status, key, value) print_line(key, value);
    json_decref(status);
    return true;
}

static bool run(void *self, const Arguments *arguments, Err *err)
{
    const bool *as_json = self;
    char *text = fetch(arguments->positionals[0], err);
    const bool ok = text && print_status(text, *as_json, err);
    free(text);
    return ok;
}

int cmd_status(int argc, char **argv)
{
    bool as_json = false, help = false;
    const Option own[] = {
        { "json", NULL, "as one JSON object, for programs", NULL, &as_json },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora status",
                                "ADDRESS",
                                "the live state of the parameter server at tcp://HOST:PORT",
                                own,
                                sizeof own / sizeof *own,
                                false };
    return command_main(&(Command){ &table, &help, 1, 1, run, &as_json }, argc, argv);
}
