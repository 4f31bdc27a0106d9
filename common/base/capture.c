#include "common/base/capture.h"

#include "common/base/clock.h"
#include "common/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

/* In a process group of its own, so that its children can be ended with it. */
static pid_t start(char *const *argv, int out, Err *err)
{
    pid_t pid = -1;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int failed = posix_spawnp(&pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failed == 0)
        return pid;
    errno = failed;
    err_errno(err, "cannot start '%s'", argv[0]);
    return -1;
}

/* Until the other end is closed, or the time is over. */
static void listen_to(int end, double until, Text *out)
{
    char bytes[4096];
    struct pollfd one = { .fd = end, .events = POLLIN };
    for (double left; (left = until - clock_now()) > 0;) {
        if (poll(&one, 1, (int)(left * 1000) + 1) <= 0)
            continue;
        const ssize_t n = read(end, bytes, sizeof bytes);
        if (n <= 0)
            return;
        text_add(out, bytes, (size_t)n);
    }
}

bool capture_run(char *const *argv, double seconds, Text *out, int *code, Err *err)
{
    int ends[2];
    const double until = clock_now() + seconds;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, "cannot start '%s'", argv[0]);
    const pid_t pid = start(argv, ends[1], err);
    close(ends[1]);
    if (pid > 0)
        listen_to(ends[0], until, out);
    close(ends[0]);
    if (pid < 0)
        return false;
    *code = process_wait(pid, until - clock_now());
    if (*code >= 0)
        return true;
    kill(-pid, SIGKILL);
    *code = process_wait(pid, 5);
    return err_set(err, ERR_IO, "'%s' has not ended after %.0f s", argv[0], seconds);
}
