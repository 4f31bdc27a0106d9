#include "launch/cmd_status.h"

#include "common/base/json.h"
#include "launch/ask_status.h"
#include "launch/command.h"

#include <stdlib.h>
#include <string.h>

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

typedef struct StatusOptions {
    bool as_json;
    const char *keys;
} StatusOptions;

static bool run(void *self, const Arguments *arguments, Err *err)
{
    const StatusOptions *options = self;
    char *text = ask_status(arguments->positionals[0], options->keys, err);
    const bool ok = text && print_status(text, options->as_json, err);
    free(text);
    return ok;
}

int cmd_status(int argc, char **argv)
{
    StatusOptions options = { 0 };
    bool help = false;
    const Option own[] = {
        { "json", NULL, "as one JSON object, for programs", NULL, &options.as_json },
        { "keys", "PATH", "the server's folder of keys, or a NAME.key of it; else LORA_KEYS", &options.keys, NULL },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora status",
                                "ADDRESS",
                                "the live state of the parameter server at tcp://HOST:PORT",
                                own,
                                sizeof own / sizeof *own,
                                false,
                                0 };
    return command_main(&(Command){ &table, &help, 1, 1, run, &options }, argc, argv);
}
