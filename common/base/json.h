/* json - reading JSON (Jansson) with errors that name the file and the key.
 *
 * A getter that finds nothing (or null) gives the fallback; one that finds
 * another type sets *err and gives the fallback: check err->kind once, behind
 * a row of getters. Values are borrowed from the document.
 *
 * Owner: whoever got a document decrefs it. Threads: any, one at a time a document. */
#ifndef COMMON_BASE_JSON_H
#define COMMON_BASE_JSON_H

#include "common/base/err.h"

#include <jansson.h>
#include <stdint.h>

/* json_decref it. Integers beyond 64 bits are reals. NULL with *err set: not there, or FILE:LINE:COLUMN of the
 * fault. */
MUST_USE json_t *json_file(const char *path, Err *err);
MUST_USE json_t *json_bytes(const char *data, size_t size, const char *where, Err *err);

int64_t json_get_int(const json_t *object, const char *key, int64_t fallback, Err *err);
double json_get_real(const json_t *object, const char *key, double fallback, Err *err);
bool json_get_bool(const json_t *object, const char *key, bool fallback, Err *err);
const char *json_get_string(const json_t *object, const char *key, const char *fallback, Err *err);

/* Indent 2, keys sorted, UTF-8 kept, newline behind; as file_write. */
MUST_USE bool json_write(const char *path, const json_t *value, Err *err);

#endif
