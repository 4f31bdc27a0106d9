#include "common/base/process.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: only calls that are safe after fork. `report` tells errno of a failed exec. */
static _Noreturn void become(char *const *argv, pid_t parent, int report, const int out[2])
{
    for (int i = 0; i < 2; i++)
        if (out[i] >= 0)
            dup2(out[i], STDOUT_FILENO + i);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(143);
    execvp(argv[0], argv);
    const int code = errno;
    if (write(report, &code, sizeof code) != sizeof code)
        _exit(126);
    _exit(127);
}

/* out: what becomes its stdout and its stderr; -1: ours. */
static pid_t start(char *const *argv, const int out[2], Err *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) {
        err_errno(err, "cannot start '%s'", argv[0]);
        return -1;
    }
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become(argv, parent, report[1], out);
    close(report[1]);
    int code = 0;
    if (pid < 0) {
        err_errno(err, "cannot start '%s'", argv[0]);
    } else if (read(report[0], &code, sizeof code) == sizeof code) {
        waitpid(pid, NULL, 0);
        errno = code;
        err_errno(err, "cannot start '%s'", argv[0]);
    }
    close(report[0]);
    return code != 0 ? -1 : pid;
}

pid_t process_start(char *const *argv, Err *err)
{
    return start(argv, (const int[]){ -1, -1 }, err);
}

pid_t process_start_heard(char *const *argv, int *heard, Err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        err_errno(err, "cannot start '%s'", argv[0]);
        return -1;
    }
    const pid_t pid = start(argv, (const int[]){ -1, ends[1] }, err);
    close(ends[1]);
    if (pid < 0)
        close(ends[0]);
    *heard = pid < 0 ? -1 : ends[0];
    return pid;
}

pid_t process_start_logged(char *const *argv, const char *log, Err *err)
{
    const int file = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) {
        err_errno(err, "cannot write what '%s' says", argv[0]);
        err_at(err, "%s", log);
        return -1;
    }
    const pid_t pid = start(argv, (const int[]){ file, file }, err);
    close(file);
    return pid;
}

int process_ended(pid_t pid)
{
    int status;
    const pid_t got = waitpid(pid, &status, WNOHANG);
    if (got == 0)
        return -1;
    if (got < 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_wait(pid_t pid, double seconds)
{
    const double until = clock_now() + seconds;
    int code;
    while ((code = process_ended(pid)) < 0 && clock_now() < until)
        clock_sleep(0.01);
    return code;
}

int64_t process_memory(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long long kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (text_starts(line, "Pss:")) {
            kilobytes = strtoll(line + strlen("Pss:"), NULL, 10);
            break;
        }
    if (file)
        fclose(file);
    struct rusage usage = { 0 };
    if (kilobytes == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        kilobytes = usage.ru_maxrss;
    return kilobytes * 1024;
}

char *process_sibling(const char *name)
{
    char self[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return xstrdup(name);
    self[n] = '\0';
    char *folder = path_folder(self), *path = path_join(folder, name);
    free(folder);
    return path;
}
