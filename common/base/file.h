/* file - whole files and folders: read, map, write so that a crash leaves the
 * old or the new file and nothing between. Errors carry the path as `where`.
 *
 * Threads: any. */
#ifndef COMMON_BASE_FILE_H
#define COMMON_BASE_FILE_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* A read-only mapping of a whole file. Zeroed is valid and empty. */
typedef struct FileMap {
    const char *data; /* owned mapping; NULL when the file is empty */
    size_t size;
} FileMap;

/* A Git LFS pointer is refused as what it is; for a misspelt path there is a hint (file_missing). */
MUST_USE bool file_map(FileMap *map, const char *path, Err *err);
void file_unmap(FileMap *map);

/* The whole file with '\0' behind it, owned by the caller; NULL on failure. */
MUST_USE char *file_read(const char *path, size_t *size, Err *err);

/* Temporary name beside it, written, synced, renamed, folder synced. */
MUST_USE bool file_write(const char *path, const void *data, size_t size, Err *err);

/* The same in two calls, for writers that stream: file_begin opens PATH.tmp;
 * file_commit syncs, closes and renames; file_abandon removes it. */
MUST_USE FILE *file_begin(const char *path, Err *err);
MUST_USE bool file_commit(FILE *file, const char *path, Err *err);
void file_abandon(FILE *file, const char *path);

MUST_USE bool file_copy(const char *from, const char *to, Err *err);
bool file_exists(const char *path);
/* Says that there is no such `what` ("file", "folder"): the hint is what it may have been meant to be, else `hint`
 * (NULL: none). Returns false; the caller adds err_at. */
bool file_missing(const char *path, const char *what, const char *hint, Err *err);
bool file_is_folder(const char *path);
int64_t file_size(const char *path); /* -1: not there */

MUST_USE bool folder_make(const char *path, Err *err); /* with its parents */
MUST_USE bool folder_sync(const char *path, Err *err); /* its list of names */
MUST_USE bool folder_remove(const char *path, Err *err); /* with all inside */

/* A folder that is there whole or not at all: folder_begin makes PATH.tmp-PID, with the folders above it, to write into
 * (owned; NULL with *err where PATH is there already and is no empty folder); folder_commit renames it, syncs the
 * folder above and frees the name; folder_abandon removes it with all inside and frees the name (NULL is fine). */
MUST_USE char *folder_begin(const char *path, Err *err);
MUST_USE bool folder_commit(char *begun, const char *path, Err *err);
void folder_abandon(char *begun);

/* Names in a folder without "." and "..", sorted by bytes. Owned by the caller:
 * free each and the array. NULL on failure. */
MUST_USE char **folder_list(const char *path, size_t *count, Err *err);

/* folder/name; name alone when it is absolute or folder is empty. Owned. */
char *path_join(const char *folder, const char *name);
/* "~" and "~/x" by HOME, "~user/x" by the user's home; all else, and an unknown user, as it is. Owned. */
char *path_expand(const char *path);
/* What is there under a name that `path` may have been meant to be, in each of its parts; NULL: nothing. Owned. */
char *path_nearest(const char *path);
char *path_folder(const char *path); /* "." when there is none. Owned. */
const char *path_name(const char *path); /* behind the last slash */
/* By the working directory, without "." and ".." where the folders exist. Owned. */
char *path_absolute(const char *path);

#endif
