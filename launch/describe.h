/* describe - what a file is that is not safetensors: its kind, size and first line.
 *
 * Threads: any. */
#ifndef LAUNCH_DESCRIBE_H
#define LAUNCH_DESCRIBE_H

#include "common/base/err.h"
#include "common/base/json.h"

/* By its name, or its first bytes: {length of a JSON header, '{'}. */
bool describe_is_safetensors(const char *path);

/* {"kind", "bytes"} and, of a text, {"lines", "columns" or "keys" or "first line"}. The caller's, to
 * json_decref; NULL with *err: it cannot be read. */
MUST_USE json_t *describe_file(const char *path, Err *err);

#endif
