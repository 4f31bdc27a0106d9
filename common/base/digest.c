#include "common/base/digest.h"

#include <sodium.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

void digest_sha256(char hex[DIGEST_HEX], const void *data, size_t size)
{
    unsigned char raw[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(raw, data, size);
    sodium_bin2hex(hex, DIGEST_HEX, raw, sizeof raw);
}

uint64_t digest_fast(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

uint64_t digest_fast_more(uint64_t before, const void *data, size_t size)
{
    return XXH3_64bits_withSeed(data, size, before);
}
