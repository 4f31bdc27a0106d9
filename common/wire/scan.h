/* scan - looks over msgpack bytes before msgpack-c sees them.
 *
 * msgpack-c 4 allocates an array's or a map's room by its announced count, before its items are
 * seen: five bytes can ask for 32 MB, nested ones for more than there is. So what is not of the
 * one form that our headers have never gets there: a map of at most SCAN_KEYS short texts to
 * numbers, booleans, nil, texts, or lists of at most SCAN_ITEMS numbers, with nothing behind it.
 *
 * Allocates nothing. Threads: any. */
#ifndef COMMON_WIRE_SCAN_H
#define COMMON_WIRE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#define SCAN_KEYS 32
#define SCAN_ITEMS 32

bool scan_header(const char *bytes, size_t size);

#endif
