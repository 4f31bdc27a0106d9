#include "launch/run_server.h"

#include "common/base/address.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/run_folder.h"
#include "common/wire/keys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* A server holds a lock on its folder. Where that cannot be told, the one that is noted may live. */
static bool is_served(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool free_now = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return !free_now;
}

/* What the server noted, as it is reached from here. */
static char *address_from(const char *noted, const char *host, Err *err)
{
    char here[256] = "";
    Address address = { 0 };
    if (!address_read(&address, noted, err))
        return NULL;
    const bool same = *host == '\0' || (gethostname(here, sizeof here - 1) == 0 && strcmp(here, host) == 0);
    const bool any = strcmp(address.host, "0.0.0.0") == 0 || strcmp(address.host, "[::]") == 0;
    char *found = NULL;
    if (same || (!any && !address.loopback))
        found = xstrdup(noted);
    else if (any)
        found = xprintf("tcp://%s:%d", host, address.port);
    else
        err_set(err, ERR_PEER, "the server of this run listens at %s of %s alone", noted, host);
    address_release(&address);
    return found;
}

/* Which keys the run file names. */
static char *keys_of(const char *folder)
{
    Config config = { 0 };
    Err none = { 0 };
    char *path = run_folder_file(folder), *keys = NULL;
    if (path && config_load(&config, &(ConfigSources){ .file = path }, &none) && config.ps.keys)
        keys = xstrdup(config.ps.keys);
    config_release(&config);
    free(path);
    return keys;
}

static bool find_in(RunServer *server, const char *folder, const char *keys, Err *err)
{
    char *path = path_join(folder, RUN_FOLDER_ADDRESS), *line = NULL, *run = run_folder_file(folder);
    bool ok = run != NULL;
    if (!ok) {
        err_set(err, ERR_INPUT, "there is no run in this folder: it has no run.yaml");
        err_hint(err, "name the train.output_dir of a run, or the server's tcp://HOST:PORT");
    }
    server->folder = xstrdup(folder);
    if (ok && file_exists(path) && is_served(folder))
        line = file_read(path, NULL, err);
    if (line) {
        line[strcspn(line, "\n")] = '\0';
        char *space = strchr(line, ' ');
        if (space)
            *space = '\0';
        server->address = address_from(line, space ? space + 1 : "", err);
        ok = server->address != NULL;
        server->keys = !keys && !getenv(KEYS_VARIABLE) ? keys_of(folder) : NULL;
    }
    if (!ok)
        err_at(err, "%s", folder);
    free(run);
    free(path);
    free(line);
    return ok && err->kind == ERR_NONE;
}

bool run_server_find(RunServer *server, const char *what, const char *keys, Err *err)
{
    *server = (RunServer){ 0 };
    bool ok = true;
    if (file_is_folder(what))
        ok = find_in(server, what, keys, err);
    else if (strchr(what, ':')) /* whether it is one, who connects to it says */
        server->address = xstrdup(what);
    else
        ok = file_missing(what, "folder of a run", "or name the server's address, tcp://HOST:PORT", err) ||
             err_at(err, "%s", what);
    if (keys)
        server->keys = xstrdup(keys);
    if (!ok)
        run_server_release(server);
    return ok;
}

void run_server_release(RunServer *server)
{
    free(server->address);
    free(server->folder);
    free(server->keys);
    *server = (RunServer){ 0 };
}
