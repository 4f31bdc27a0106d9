/* Decoders of tokens that are bytes: characters appear when all of theirs are there. */
#include "worker/tokenizer/byte_level.h"
#include "worker/tokenizer/decoder.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

typedef enum { UTF8_WHOLE, UTF8_BROKEN, UTF8_UNFINISHED } Utf8;

/* The character at bytes[0], n > 0: its size to *size; of a broken one that of its
 * longest beginning that a character may have, 1 at least. */
static Utf8 look(const unsigned char *bytes, size_t n, size_t *size)
{
    const unsigned char first = bytes[0];
    unsigned char low = 0x80, high = 0xBF; /* of the second */
    size_t need = 1;
    if (first >= 0xC2 && first <= 0xDF)
        need = 2;
    else if (first >= 0xE0 && first <= 0xEF)
        need = 3;
    else if (first >= 0xF0 && first <= 0xF4)
        need = 4;
    *size = 1;
    if (need == 1)
        return first < 0x80 ? UTF8_WHOLE : UTF8_BROKEN;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    for (; *size < need; ++*size, low = 0x80, high = 0xBF) {
        if (*size == n)
            return UTF8_UNFINISHED;
        if (bytes[*size] < low || bytes[*size] > high)
            return UTF8_BROKEN;
    }
    return UTF8_WHOLE;
}

/* The first bytes of `held` that are certain, as text; all of them at the end. */
static void pass_text(DecodeChain *chain, size_t k, bool at_end)
{
    Text *held = &chain->stages[k].held;
    size_t at = 0;
    while (at < held->size) {
        size_t size = 0;
        const Utf8 what = look((const unsigned char *)held->data + at, held->size - at, &size);
        if (what == UTF8_UNFINISHED && !at_end)
            break;
        if (what == UTF8_WHOLE)
            decode_pass(chain, k + 1, held->data + at, size, false);
        else
            decode_pass(chain, k + 1, REPLACEMENT, strlen(REPLACEMENT), false);
        at += size;
    }
    if (at > 0) {
        memmove(held->data, held->data + at, held->size - at);
        held->size -= at;
    }
}

void byte_level_take(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    (void)ends;
    Text *held = &chain->stages[k].held;
    if (!byte_level_decode(text, n, held))
        text_add(held, text, n);
    pass_text(chain, k, false);
}

void byte_level_end(DecodeChain *chain, size_t k)
{
    pass_text(chain, k, true);
    decode_pass(chain, k + 1, "", 0, true);
}

/* ---- ByteFallback ---------------------------------------------------------- */

/* <0x0A>; -1: another token. The two digits as Rust reads them: a sign is one. */
static int byte_of(const char *text, size_t n)
{
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    int value = 0;
    for (size_t i = 3; i < 5; i++) {
        const char c = text[i];
        if (c >= '0' && c <= '9')
            value = 16 * value + (c - '0');
        else if ((c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f'))
            value = 16 * value + (c & 0xF) + 9;
        else if (!(i == 3 && c == '+'))
            return -1;
    }
    return value;
}

/* The run of bytes, as text if all of it is that. */
void byte_fallback_end(DecodeChain *chain, size_t k)
{
    Text *held = &chain->stages[k].held;
    if (held->size == 0)
        return;
    if (text_utf8_valid(held->data, held->size) == held->size)
        decode_pass(chain, k + 1, held->data, held->size, true);
    else
        for (size_t i = 0; i < held->size; i++)
            decode_pass(chain, k + 1, REPLACEMENT, strlen(REPLACEMENT), true);
    text_clear(held);
}

void byte_fallback_take(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    (void)ends;
    const int byte = byte_of(text, n);
    if (byte >= 0) {
        const char c = (char)byte;
        text_add(&chain->stages[k].held, &c, 1);
        return;
    }
    byte_fallback_end(chain, k);
    decode_pass(chain, k + 1, text, n, true);
}
