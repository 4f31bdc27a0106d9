#include "worker/tokenizer/byte_level.h"

#include "worker/tokenizer/unicode.h"

enum { ELSEWHERE = 0x100 }; /* bytes that are not printable follow from here */

/* Bytes that stand for themselves. */
static bool is_plain(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

int32_t byte_level_char(unsigned char byte)
{
    if (is_plain(byte))
        return byte;
    if (byte <= ' ')
        return ELSEWHERE + byte; /* 0 .. 32 */
    if (byte <= 0xA0)
        return ELSEWHERE + 33 + (byte - 0x7F); /* 127 .. 160 */
    return ELSEWHERE + 67; /* 173 */
}

int byte_level_byte(int32_t c)
{
    if (c < ELSEWHERE)
        return is_plain(c) ? c : -1;
    const int32_t k = c - ELSEWHERE;
    if (k <= 32)
        return k;
    if (k < 67)
        return k - 33 + 0x7F;
    return k == 67 ? 0xAD : -1;
}

void byte_level_write(const Aligned *in, size_t from, size_t n, Aligned *out)
{
    for (size_t i = from; i < from + n; i++) {
        char bytes[4];
        const size_t size = unicode_encode(bytes, byte_level_char((unsigned char)in->data[i]));
        aligned_put(out, in, i, bytes, size);
    }
}

bool byte_level_decode(const char *text, size_t n, Text *out)
{
    const size_t before = out->size;
    for (size_t at = 0; at < n;) {
        const int byte = byte_level_byte(unicode_next(text, &at));
        if (byte < 0) {
            out->size = before;
            return false;
        }
        const char c = (char)byte;
        text_add(out, &c, 1);
    }
    return true;
}
