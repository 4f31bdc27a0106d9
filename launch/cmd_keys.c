#include "launch/cmd_keys.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/wire/keys.h"
#include "launch/command.h"

#include <stdlib.h>
#include <string.h>

/* Of a client: what it needs, and where that is. */
static bool say_new(const char *folder, const char *name)
{
    printf("%s/%s.key: the key of the client '%s', for --ps.keys or %s on its machine\n", folder, name, name,
           KEYS_VARIABLE);
    printf("%s: the server's, for ps.keys\n", folder);
    return true;
}

static bool new_client(const char *folder, const char *const *words, int count, Err *err)
{
    const char *name = count > 0 ? words[0] : KEYS_WORKER;
    return keys_new(folder, name, err) && say_new(folder, name);
}

static bool show(const char *folder, const char *const *words, int count, Err *err)
{
    (void)words;
    (void)count;
    WireKeys server;
    AllowedKeys allowed;
    char hex[KEY_HEX];
    if (!keys_read_server(&server, folder, err) || !allowed_read(&allowed, folder, err))
        return false;
    key_print(hex, server.public_key);
    printf("%s the server\n", hex);
    for (int i = 0; i < allowed.count; i++) {
        key_print(hex, allowed.at[i].key);
        printf("%s %s\n", hex, allowed.at[i].name);
    }
    allowed_release(&allowed);
    return true;
}

static bool allow(const char *folder, const char *const *words, int count, Err *err)
{
    (void)count;
    return keys_allow(folder, words[0], words[1], err);
}

static bool revoke(const char *folder, const char *const *words, int count, Err *err)
{
    (void)count;
    return keys_revoke(folder, words[0], err);
}

typedef struct Action {
    const char *name;
    int least, most; /* words behind the folder */
    const char *words;
    bool (*run)(const char *folder, const char *const *words, int count, Err *err);
} Action;

static const Action actions[] = {
    { "new", 0, 1, "FOLDER [NAME]", new_client },
    { "show", 0, 0, "FOLDER", show },
    { "allow", 2, 2, "FOLDER PUBLIC-KEY NAME", allow },
    { "revoke", 1, 1, "FOLDER NAME", revoke },
};

static bool run(void *self, const Arguments *given, Err *err)
{
    (void)self;
    const char *const *words = given->positionals;
    const int count = given->positional_count;
    for (size_t i = 0; i < LENGTH(actions); i++) {
        const Action *action = &actions[i];
        if (strcmp(action->name, words[0]) != 0)
            continue;
        if (count - 2 < action->least || count - 2 > action->most)
            return err_set(err, ERR_INPUT, "lora keys %s %s", action->name, action->words);
        return action->run(words[1], words + 2, count - 2, err);
    }
    err_set(err, ERR_INPUT, "lora keys can do new, show, allow and revoke, not '%s'", words[0]);
    return err_hint(err, "lora keys --help");
}

int cmd_keys(int argc, char **argv)
{
    bool help = false;
    const Option own[] = { { "help", NULL, "this text", NULL, &help } };
    const OptionTable table = {
        "lora keys",
        "new|show|allow|revoke FOLDER ...",
        "who may talk to a server, and read what it says\n\n"
        "  new FOLDER [NAME]            makes the folder and the server's key where they are not there, and a\n"
        "                               client of that name (worker), with its FOLDER/NAME.key\n"
        "  show FOLDER                  the public keys: the server's, and the allowed clients'\n"
        "  allow FOLDER PUBLIC-KEY NAME a client whose key was made elsewhere\n"
        "  revoke FOLDER NAME           a client that is allowed no more, also while the server runs\n\n"
        "The server gets the folder (ps.keys: FOLDER), a worker that too or its NAME.key alone; so do `lora status`\n"
        "and all that read LORA_KEYS. launch/hosts and launch/slurm make keys for their run by themselves",
        own,
        LENGTH(own),
        false,
        0
    };
    return command_main(&(Command){ &table, &help, 2, 4, run, NULL }, argc, argv);
}
