#include "common/base/file.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool failed(Err *err, ErrKind kind, const char *doing, const char *path)
{
    err_errno(err, "cannot %s", doing);
    if (err)
        err->kind = kind;
    return err_at(err, "%s", path);
}

/* What a user named and is not there is the user's to mend. */
static ErrKind reading_kind(void)
{
    return errno == ENOENT || errno == EISDIR || errno == ENOTDIR || errno == EACCES ? ERR_INPUT : ERR_IO;
}

/* What a clone leaves in the place of a large file when Git LFS is not installed. */
static bool check_pointer(FileMap *map, const char *path, Err *err)
{
    static const char start[] = "version https://git-lfs.github.com/spec/";
    if (map->size < sizeof start - 1 || map->size > 1024 || memcmp(map->data, start, sizeof start - 1) != 0)
        return true;
    file_unmap(map);
    err_set(err, ERR_INPUT, "a Git LFS pointer, not the file itself");
    err_hint(err, "run 'git lfs pull' in its folder, or download the file itself");
    return err_at(err, "%s", path);
}

bool file_map(FileMap *map, const char *path, Err *err)
{
    *map = (FileMap){ 0 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return file_missing(path, "file", NULL, err) || err_at(err, "%s", path);
    if (fd < 0)
        return failed(err, reading_kind(), "open", path);
    struct stat st;
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        if (errno == 0 || S_ISDIR(st.st_mode))
            errno = EISDIR;
        close(fd);
        return failed(err, reading_kind(), "read", path);
    }
    if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) {
            close(fd);
            return failed(err, ERR_IO, "map", path);
        }
        *map = (FileMap){ data, (size_t)st.st_size };
    }
    close(fd);
    return check_pointer(map, path, err);
}

void file_unmap(FileMap *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (FileMap){ 0 };
}

char *file_read(const char *path, size_t *size, Err *err)
{
    FileMap map;
    if (!file_map(&map, path, err))
        return NULL;
    char *copy = xstrndup(map.data ? map.data : "", map.size);
    if (size)
        *size = map.size;
    file_unmap(&map);
    return copy;
}

static char *temporary(const char *path)
{
    return xprintf("%s.tmp", path);
}

FILE *file_begin(const char *path, Err *err)
{
    char *name = temporary(path);
    FILE *file = fopen(name, "we");
    if (!file)
        failed(err, ERR_IO, "write", name);
    free(name);
    return file;
}

bool file_commit(FILE *file, const char *path, Err *err)
{
    char *name = temporary(path), *folder = path_folder(path);
    bool ok = !ferror(file) && fflush(file) == 0 && fsync(fileno(file)) == 0;
    ok = fclose(file) == 0 && ok;
    if (ok)
        ok = rename(name, path) == 0;
    if (ok) {
        ok = folder_sync(folder, err);
    } else {
        failed(err, ERR_IO, "write", path);
        unlink(name);
    }
    free(name);
    free(folder);
    return ok;
}

void file_abandon(FILE *file, const char *path)
{
    char *name = temporary(path);
    fclose(file);
    unlink(name);
    free(name);
}

bool file_write(const char *path, const void *data, size_t size, Err *err)
{
    FILE *file = file_begin(path, err);
    if (!file)
        return false;
    if (size > 0 && fwrite(data, 1, size, file) != size) {
        failed(err, ERR_IO, "write", path);
        file_abandon(file, path);
        return false;
    }
    return file_commit(file, path, err);
}

bool file_copy(const char *from, const char *to, Err *err)
{
    FileMap map;
    if (!file_map(&map, from, err))
        return false;
    const bool ok = file_write(to, map.data, map.size, err);
    file_unmap(&map);
    return ok;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

bool folder_make(const char *path, Err *err)
{
    char *name = xstrdup(path);
    bool ok = true;
    for (char *c = name + 1; ok && *name != '\0'; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        const char kept = *c;
        *c = '\0';
        if (mkdir(name, 0777) != 0 && !(errno == EEXIST && file_is_folder(name)))
            ok = failed(err, ERR_IO, "make the folder", name);
        *c = kept;
        if (kept == '\0')
            break;
    }
    free(name);
    return ok;
}

bool folder_sync(const char *path, Err *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed(err, ERR_IO, "open the folder", path);
    const bool ok = fsync(fd) == 0 || errno == EINVAL; /* some file systems cannot */
    close(fd);
    return ok || failed(err, ERR_IO, "sync the folder", path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

bool folder_remove(const char *path, Err *err)
{
    if (!file_exists(path))
        return true;
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return failed(err, ERR_IO, "remove", path);
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **folder_list(const char *path, size_t *count, Err *err)
{
    *count = 0;
    DIR *dir = opendir(path);
    if (!dir) {
        failed(err, reading_kind(), "open the folder", path);
        return NULL;
    }
    size_t n = 0, room = 16;
    char **names = xmalloc(room * sizeof *names);
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (n == room)
            names = xrealloc(names, (room *= 2) * sizeof *names);
        names[n++] = xstrdup(e->d_name);
    }
    closedir(dir);
    qsort(names, n, sizeof *names, by_bytes);
    *count = n;
    return names;
}

char *folder_begin(const char *path, Err *err)
{
    size_t size = strlen(path), count = 0;
    while (size > 1 && path[size - 1] == '/')
        size--;
    if (file_exists(path)) {
        char **names = file_is_folder(path) ? folder_list(path, &count, err) : NULL;
        for (size_t i = 0; names && i < count; i++)
            free(names[i]);
        free(names);
        if (!names || count > 0) {
            err_set(err, ERR_INPUT, "'%s' is there already", path);
            err_hint(err, "name a folder that is not there yet");
            return NULL;
        }
    }
    char *begun = xprintf("%.*s.tmp-%lld", (int)size, path, (long long)getpid());
    if (folder_make(begun, err))
        return begun;
    free(begun);
    return NULL;
}

bool folder_commit(char *begun, const char *path, Err *err)
{
    char *whole = xstrdup(path);
    for (size_t size = strlen(whole); size > 1 && whole[size - 1] == '/';)
        whole[--size] = '\0';
    char *above = path_folder(whole);
    bool ok = folder_sync(begun, err);
    if (ok && rename(begun, whole) != 0) /* an empty folder gives way */
        ok = failed(err, ERR_IO, "rename", begun);
    ok = ok && folder_sync(above, err);
    free(above);
    free(whole);
    if (ok)
        free(begun);
    else
        folder_abandon(begun);
    return ok;
}

void folder_abandon(char *begun)
{
    if (begun && !folder_remove(begun, NULL))
        log_warn("file", "'%s' is left behind", begun);
    free(begun);
}

char *path_join(const char *folder, const char *name)
{
    if (name[0] == '/' || folder[0] == '\0')
        return xstrdup(name);
    const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
    return xprintf("%s%s%s", folder, slash, name);
}

char *path_expand(const char *path)
{
    if (path[0] != '~')
        return xstrdup(path);
    const size_t n = strcspn(path, "/");
    char *user = xstrndup(path + 1, n - 1);
    const char *home = user[0] ? NULL : getenv("HOME");
    if (!home || !home[0]) {
        const struct passwd *entry = user[0] ? getpwnam(user) : getpwuid(getuid());
        home = entry ? entry->pw_dir : NULL;
    }
    char *whole = home ? xprintf("%s%s", home, path + n) : xstrdup(path);
    free(user);
    return whole;
}

char *path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* How many slips lead from this name to that: more than may be made where they end alike and the rest is short. */
static int slips(const char *name, const char *other, int most)
{
    const char *ending = strrchr(name, '.'), *theirs = strrchr(other, '.');
    const int d = text_distance(name, other);
    if (!ending || ending == name || !theirs || strcmp(ending, theirs) != 0)
        return d;
    return d > (int)(ending - name) / 3 ? most + 1 : d;
}

/* The name in the folder that is most like this one; owned, or NULL. Large folders are not read to their end. */
static char *nearest_name(const char *folder, const char *name)
{
    enum { MOST = 10000 };
    DIR *names = opendir(folder);
    char *best = NULL;
    int least = text_slips(name) + 1;
    const struct dirent *entry;
    for (int i = 0; names && i < MOST && (entry = readdir(names)); i++) {
        const char *other = entry->d_name;
        const int d = slips(name, other, text_slips(name));
        if (strcmp(other, ".") == 0 || strcmp(other, "..") == 0 || d > least || (d == least && !best) ||
            (d == least && strcmp(other, best) > 0))
            continue;
        free(best);
        best = xstrdup(other);
        least = d;
    }
    if (names)
        closedir(names);
    return best;
}

char *path_nearest(const char *path)
{
    if (!*path || file_exists(path))
        return *path ? xstrdup(path) : NULL;
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    char *whole = xstrndup(path, size), *folder = path_folder(whole);
    char *above = strcmp(folder, whole) == 0 ? NULL : path_nearest(folder);
    char *same = above ? path_join(above, path_name(whole)) : NULL;
    char *name = above && !file_exists(same) ? nearest_name(above, path_name(whole)) : NULL;
    char *found = NULL;
    if (name)
        found = strchr(whole, '/') ? path_join(above, name) : xstrdup(name);
    else if (same && file_exists(same))
        found = xstrdup(same);
    free(name);
    free(same);
    free(above);
    free(folder);
    free(whole);
    return found;
}

bool file_missing(const char *path, const char *what, const char *hint, Err *err)
{
    char *near = err ? path_nearest(path) : NULL;
    err_set(err, ERR_INPUT, "there is no such %s", what);
    if (near && strcmp(near, path) == 0)
        err_hint(err, "its name is there, but is a link to nothing");
    else if (near)
        err_hint(err, "did you mean '%s'?", near);
    else if (hint)
        err_hint(err, "%s", hint);
    free(near);
    return false;
}

/* Without "." and "..", as far as the path exists: a ".." behind a symbolic link is not the
 * folder before it, so only the kernel can tell. Takes and returns an owned path. */
static char *resolve(char *path)
{
    char known[PATH_MAX];
    size_t end = strlen(path);
    while (end > 1) {
        char *front = xstrndup(path, end);
        const bool found = realpath(front, known) != NULL;
        free(front);
        if (found)
            break;
        while (end > 1 && path[end - 1] == '/')
            end--;
        while (end > 1 && path[end - 1] != '/')
            end--;
    }
    const char *rest = path + end;
    while (*rest == '/')
        rest++;
    if (end <= 1 || strstr(rest, ".."))
        return path;
    char *clean = *rest ? path_join(known, rest) : xstrdup(known);
    free(path);
    return clean;
}

char *path_absolute(const char *path)
{
    char here[PATH_MAX];
    char *whole = path[0] == '/' || !getcwd(here, sizeof here) ? xstrdup(path) : path_join(here, path);
    return strstr(whole, "/../") || strstr(whole, "/./") || text_ends(whole, "/..") || text_ends(whole, "/.")
               ? resolve(whole)
               : whole;
}
