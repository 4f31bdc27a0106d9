#include "launch/cmd_order.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "launch/ask_status.h"
#include "launch/command.h"
#include "launch/run_server.h"

#include <stdlib.h>
#include <string.h>

typedef struct OrderOptions {
    const char *keys, *word;
} OrderOptions;

static bool say(const char *text, const char *word, const char *address, Err *err)
{
    json_t *status = json_bytes(text, strlen(text), "answer", err);
    if (!status)
        return false;
    const char *answer = json_get_string(status, "answer", NULL, err),
               *refusal = json_get_string(status, "refusal", NULL, err);
    if (refusal) {
        err_set(err, ERR_REFUSED, "%s", refusal);
        err_at(err, "%s", address);
    } else if (answer) {
        puts(answer);
    } else if (err->kind == ERR_NONE) {
        err_set(err, ERR_REFUSED, "this server does not know 'lora %s': it is of an older version", word);
        err_at(err, "%s", address);
    }
    json_decref(status);
    return err->kind == ERR_NONE;
}

static bool run(void *self, const Arguments *arguments, Err *err)
{
    const OrderOptions *options = self;
    RunServer server;
    if (!run_server_find(&server, arguments->positionals[0], options->keys, err))
        return false;
    char *text = NULL;
    if (!server.address) {
        err_set(err, ERR_PEER, "no parameter server works on this folder");
        err_at(err, "%s", arguments->positionals[0]);
    } else {
        text = ask_status(server.address, server.keys, options->word, err);
    }
    const bool ok = text && say(text, options->word, server.address, err);
    free(text);
    run_server_release(&server);
    return ok;
}

static int order(const char *word, const char *program, const char *summary, int argc, char **argv)
{
    OrderOptions options = { .word = word };
    bool help = false;
    const Option own[] = {
        { "keys", "PATH", "the server's folder of keys, or a NAME.key of it; else LORA_KEYS, or the run's ps.keys",
          &options.keys, NULL },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { program, "ADDRESS|RUN_DIR", summary, own, LENGTH(own), false, 0 };
    return command_main(&(Command){ &table, &help, 1, 1, run, &options }, argc, argv);
}

int cmd_drain(int argc, char **argv)
{
    return order(
        "drain", "lora drain",
        "lets a parameter server finish the step that is open, make a checkpoint and end; the same command goes on",
        argc, argv);
}

int cmd_checkpoint(int argc, char **argv)
{
    return order("checkpoint", "lora checkpoint", "has a parameter server make a checkpoint now", argc, argv);
}

int cmd_stop(int argc, char **argv)
{
    return order("stop", "lora stop",
                 "has a parameter server make a checkpoint and end, as SIGTERM does; the same command goes on", argc,
                 argv);
}
