#include "launch/cmd_status.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "launch/ask_status.h"
#include "launch/command.h"
#include "launch/run_server.h"
#include "launch/status_view.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double view_pause = 1, most_away = 60; /* seconds: between two views; that a server may be away */

typedef struct StatusOptions {
    bool as_json, watch;
    const char *keys;
} StatusOptions;

static json_t *ask(const char *what, const char *keys, Err *err)
{
    RunServer server;
    if (!run_server_find(&server, what, keys, err))
        return NULL;
    char *text = server.address ? ask_status(server.address, server.keys, NULL, err) : NULL;
    json_t *status = text ? json_bytes(text, strlen(text), "status", err) : NULL;
    if (!server.address)
        status = status_of_folder(server.folder, err);
    run_server_release(&server);
    free(text);
    return status;
}

static void print(const json_t *status, const StatusOptions *options)
{
    Text out = { 0 };
    const bool clear = options->watch && !options->as_json && isatty(STDOUT_FILENO);
    if (options->as_json) {
        char *text = json_dumps(status, JSON_COMPACT);
        text_addf(&out, "%s\n", text);
        free(text);
    } else {
        status_view(&out, status);
    }
    printf("%s%s%s", clear ? "\033[H\033[2J" : "", out.data, options->watch && !options->as_json && !clear ? "\n" : "");
    fflush(stdout);
    text_release(&out);
}

/* Behind this there will be no other. */
static bool is_end(const json_t *status)
{
    const json_t *step = json_object_get(status, "step"), *total = json_object_get(status, "total_steps");
    return json_is_true(json_object_get(status, "complete")) ||
           (json_is_integer(total) && json_integer_value(total) > 0 &&
            json_integer_value(step) >= json_integer_value(total));
}

/* A server that is away may be started again; one that has come to the last step will not be. */
static bool watch(const char *what, const StatusOptions *options, Err *err)
{
    bool seen = false, end = false;
    for (double last = clock_now();; clock_sleep(view_pause)) {
        Err now = { 0 };
        json_t *status = ask(what, options->keys, &now);
        if (status) {
            print(status, options);
            last = clock_now();
            seen = true;
            end = is_end(status);
            const bool complete = json_is_true(json_object_get(status, "complete"));
            json_decref(status);
            if (complete)
                return true;
        } else if (seen && end) {
            return true;
        } else if (!seen || now.kind != ERR_PEER || clock_now() - last > most_away) {
            *err = now;
            return false;
        } else if (!options->as_json) {
            printf("the server is away: %s\n", now.what);
            fflush(stdout);
        }
    }
}

static bool run(void *self, const Arguments *arguments, Err *err)
{
    const StatusOptions *options = self;
    const char *what = arguments->positionals[0];
    if (options->watch)
        return watch(what, options, err);
    json_t *status = ask(what, options->keys, err);
    if (status)
        print(status, options);
    json_decref(status);
    return status != NULL;
}

int cmd_status(int argc, char **argv)
{
    StatusOptions options = { 0 };
    bool help = false;
    const Option own[] = {
        { "json", NULL, "as one JSON object, for programs; with --watch a line a second", NULL, &options.as_json },
        { "watch", NULL, "again every second, until the run is complete", NULL, &options.watch },
        { "keys", "PATH", "the server's folder of keys, or a NAME.key of it; else LORA_KEYS, or the run's ps.keys",
          &options.keys, NULL },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = {
        "lora status",
        "ADDRESS|RUN_DIR",
        "the live state of a run: of the parameter server at tcp://HOST:PORT, or of the one that "
        "works on a folder; where none does, what the folder tells",
        own,
        LENGTH(own),
        false,
        0
    };
    return command_main(&(Command){ &table, &help, 1, 1, run, &options }, argc, argv);
}
