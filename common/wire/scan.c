#include "common/wire/scan.h"

#include <stdint.h>

/* What is left to read. */
typedef struct Cursor {
    const unsigned char *at;
    size_t left;
} Cursor;

static bool skip(Cursor *cursor, uint64_t n)
{
    if (n > cursor->left)
        return false;
    cursor->at += n;
    cursor->left -= (size_t)n;
    return true;
}

/* Big-endian number of n bytes. */
static bool take(Cursor *cursor, int n, uint64_t *value)
{
    const unsigned char *at = cursor->at;
    if (!skip(cursor, (uint64_t)n))
        return false;
    *value = 0;
    for (int i = 0; i < n; i++)
        *value = *value << 8 | at[i];
    return true;
}

/* Bytes behind the tag of a number (msgpack spec: 0xca..0xd3 floats and integers), or -1. */
static int number_bytes(unsigned tag)
{
    static const signed char bytes[] = { 4, 8, 1, 2, 4, 8, 1, 2, 4, 8 };
    if (tag <= 0x7f || tag >= 0xe0) /* fixint */
        return 0;
    return tag >= 0xca && tag <= 0xd3 ? bytes[tag - 0xca] : -1;
}

static bool scan_string(Cursor *cursor, unsigned tag)
{
    uint64_t n = tag & 0x1f;
    if (tag >= 0xd9 && tag <= 0xdb) { /* str 8, 16, 32 */
        if (!take(cursor, 1 << (tag - 0xd9), &n))
            return false;
    } else if (tag >> 5 != 5) { /* fixstr */
        return false;
    }
    return skip(cursor, n);
}

static bool scan_list(Cursor *cursor, unsigned tag)
{
    uint64_t n = tag & 0x0f;
    if (tag == 0xdc || tag == 0xdd) { /* array 16, 32 */
        if (!take(cursor, tag == 0xdc ? 2 : 4, &n))
            return false;
    }
    if (n > SCAN_ITEMS)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t item;
        if (!take(cursor, 1, &item) || number_bytes((unsigned)item) < 0 ||
            !skip(cursor, (uint64_t)number_bytes((unsigned)item)))
            return false;
    }
    return true;
}

static bool scan_value(Cursor *cursor)
{
    uint64_t tag;
    if (!take(cursor, 1, &tag))
        return false;
    if (number_bytes((unsigned)tag) >= 0)
        return skip(cursor, (uint64_t)number_bytes((unsigned)tag));
    if (tag == 0xc0 || tag == 0xc2 || tag == 0xc3) /* nil, false, true */
        return true;
    if (tag >> 4 == 9 || tag == 0xdc || tag == 0xdd)
        return scan_list(cursor, (unsigned)tag);
    return scan_string(cursor, (unsigned)tag);
}

bool scan_header(const char *bytes, size_t size)
{
    Cursor cursor = { (const unsigned char *)bytes, size };
    uint64_t tag, keys;
    if (!take(&cursor, 1, &tag))
        return false;
    keys = tag & 0x0f;
    if (tag == 0xde) { /* map 16 */
        if (!take(&cursor, 2, &keys))
            return false;
    } else if (tag >> 4 != 8) { /* fixmap */
        return false;
    }
    if (keys > SCAN_KEYS)
        return false;
    for (uint64_t i = 0; i < keys; i++)
        if (!take(&cursor, 1, &tag) || !scan_string(&cursor, (unsigned)tag) || !scan_value(&cursor))
            return false;
    return cursor.left == 0;
}
