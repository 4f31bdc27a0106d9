/* source - the bytes of a text file: mapped, or unpacked where its name ends in .gz or .zst. A byte
 * order mark is no part of them.
 *
 * Owner: the reader of one file. Threads: any, each its own. */
#ifndef WORKER_DATA_SOURCE_H
#define WORKER_DATA_SOURCE_H

#include "common/base/file.h"

typedef struct Source {
    const char *data; /* lent until source_close; never NULL */
    size_t size;
    FileMap map;
    char *unpacked; /* owned; NULL: `data` is in `map` */
} Source;

MUST_USE bool source_open(Source *source, const char *path, Err *err);
void source_close(Source *source);

/* The next line from *at, [0, *n) with its '\n'; NULL behind the last. */
const char *source_line(const Source *source, size_t *at, size_t *n);

/* What the file is called when .gz or .zst is taken away ends so, in capitals or not. */
bool source_ends(const char *path, const char *ending);

#endif
