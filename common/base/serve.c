#include "common/base/serve.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Waits for the file with the address, or for the server's end. */
static bool await_address(ServerProcess *server, const char *file, Err *err)
{
    const double patience = 60, until = clock_now() + patience;
    while (clock_now() < until) {
        if (file_exists(file) && (server->address = file_read(file, NULL, err))) {
            server->address[strcspn(server->address, "\r\n")] = '\0';
            return true;
        }
        server->code = process_ended(server->pid);
        if (server->code >= 0)
            return false;
        clock_sleep(0.005);
    }
    kill(server->pid, SIGKILL);
    server->code = process_wait(server->pid, 5);
    return err_set(err, ERR_IO, "lora_ps did not listen within %.0f s", patience);
}

/* The server's threads sleep between two steps, as the ranks compute then, on the same cores; unless the environment says
 * otherwise. */
static pid_t start_beside_ranks(char *const *argv, Err *err)
{
    static const char policy[] = "OMP_WAIT_POLICY";
    const bool said = getenv(policy) != NULL;
    setenv(policy, "passive", 0);
    const pid_t pid = process_start(argv, err);
    if (!said)
        unsetenv(policy);
    return pid;
}

bool serve_start(ServerProcess *server, const char *const *words, int count, Err *err)
{
    *server = (ServerProcess){ .pid = -1, .code = 1 };
    const char *tmp = getenv("TMPDIR");
    char *file = xprintf("%s/lora-ps-%ld-%.0f", tmp && *tmp ? tmp : "/tmp", (long)getpid(), clock_now() * 1e6);
    char *option = xprintf("--port-file=%s", file), *program = process_sibling("lora_ps");
    char **argv = xcalloc((size_t)count + 3, sizeof *argv);
    argv[0] = program;
    for (int i = 0; i < count; i++)
        argv[i + 1] = xstrdup(words[i]);
    argv[count + 1] = option;
    server->pid = start_beside_ranks(argv, err);
    const bool ok = server->pid > 0 && await_address(server, file, err);
    unlink(file);
    for (int i = 0; i < count; i++)
        free(argv[i + 1]);
    free(argv);
    free(program);
    free(option);
    free(file);
    return ok;
}
