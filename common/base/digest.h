/* digest - names for bytes: SHA-256 where people compare (files, adapters),
 * XXH3 where only machines do (frames, caches, base models of many GB).
 *
 * Threads: any. */
#ifndef COMMON_BASE_DIGEST_H
#define COMMON_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_HEX 65 /* room for a SHA-256 in hex and '\0' */

void digest_sha256(char hex[DIGEST_HEX], const void *data, size_t size);

uint64_t digest_fast(const void *data, size_t size);

/* Chained: digest of what `before` named and then these bytes. */
uint64_t digest_fast_more(uint64_t before, const void *data, size_t size);

#endif
