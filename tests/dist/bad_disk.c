/* A disk that fails as the file BAD_DISK says, for what lies below BAD_DISK_FOLDER: preloaded into a server.
 *
 *   eio      nothing can be synced (EIO)
 *   rofs     nothing can be written or made (EROFS)
 *   slow     a sync of the log takes 1.2 s
 *   folder   the log's folder cannot be synced: a rename may have happened, and nobody knows whether it will last
 *
 * Anything else, or no file: a disk that works. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int says(const char *word)
{
    char text[32] = "";
    const char *path = getenv("BAD_DISK");
    const int old = errno, fd = path ? (int)syscall(2 /* open */, path, O_RDONLY) : -1;
    if (fd >= 0) {
        const ssize_t n = syscall(0 /* read */, fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        syscall(3 /* close */, fd);
    }
    errno = old;
    return strncmp(text, word, strlen(word)) == 0;
}

/* Below the folder, and with that end. */
static int is_there(int fd, const char *end)
{
    char link[64], path[1024];
    const char *folder = getenv("BAD_DISK_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return folder && strncmp(path, folder, strlen(folder)) == 0 && strlen(path) >= strlen(end) &&
           strcmp(path + strlen(path) - strlen(end), end) == 0;
}

static int refuse(int why)
{
    errno = why;
    return -1;
}

static int sync_as(const char *name, int fd)
{
    if (is_there(fd, "") && says("eio"))
        return refuse(EIO);
    if (is_there(fd, "/wal") && says("folder"))
        return refuse(EIO);
    if (is_there(fd, "/log") && says("slow"))
        usleep(1200000);
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd)
{
    return sync_as("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_as("fdatasync", fd);
}

ssize_t write(int fd, const void *data, size_t size)
{
    if (is_there(fd, "") && says("rofs"))
        return refuse(EROFS);
    return ((ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, data, size);
}

FILE *fopen(const char *path, const char *mode)
{
    const char *folder = getenv("BAD_DISK_FOLDER");
    if (folder && strncmp(path, folder, strlen(folder)) == 0 && mode[0] != 'r' && says("rofs")) {
        errno = EROFS;
        return NULL;
    }
    return ((FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen"))(path, mode);
}
