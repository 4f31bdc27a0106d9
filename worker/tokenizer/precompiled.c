/* Precompiled: SentencePiece's map of characters, a trie (of Darts) whose values say
 * where in a block of strings the replacement is. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_CLUSTER = 5 }; /* bytes; a longer one is only taken character by character */

/* ---- reading --------------------------------------------------------------- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool decode_base64(const char *text, Text *out, Err *err)
{
    const size_t n = strlen(text);
    uint32_t bits = 0;
    int have = 0;
    size_t end = n;
    while (end > 0 && n - end < 2 && text[end - 1] == '=')
        end--;
    for (size_t i = 0; i < end; i++) {
        const int value = base64_value(text[i]);
        if (value < 0)
            return err_set(err, ERR_INPUT, "'precompiled_charsmap' is not base64 (character %zu)", i + 1);
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            const char byte = (char)(bits >> have & 0xFF);
            text_add(out, &byte, 1);
        }
    }
    return n % 4 == 0 || err_set(err, ERR_INPUT, "'precompiled_charsmap' is not base64");
}

static uint32_t load_u32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* u32 bytes of the trie, the trie, strings with '\0' behind each. */
static bool read_map(NormalizerOp *op, const Text *map, Err *err)
{
    if (map->size < 4)
        return err_set(err, ERR_INPUT, "'precompiled_charsmap' has %zu bytes", map->size);
    const size_t size = load_u32(map->data);
    if (size > map->size - 4 || size % 4 != 0 || size == 0)
        return err_set(err, ERR_INPUT, "'precompiled_charsmap' has %zu bytes, its trie is said to have %zu", map->size,
                       size);
    op->units = size / 4;
    op->trie = xmalloc(size);
    for (size_t i = 0; i < op->units; i++)
        op->trie[i] = load_u32(map->data + 4 + 4 * i);
    text_add(&op->normalized, map->data + 4 + size, map->size - 4 - size);
    if (text_utf8_valid(op->normalized.data, op->normalized.size) != op->normalized.size)
        return err_set(err, ERR_INPUT, "'precompiled_charsmap' has strings that are not UTF-8");
    return true;
}

/* ---- the trie -------------------------------------------------------------- */

static size_t unit_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The replacement of the shortest beginning of text[0, n) that has one; NULL: none. A
 * damaged trie finds nothing. */
static const char *replacement(const NormalizerOp *op, const char *text, size_t n, size_t *size)
{
    size_t node = unit_offset(op->trie[0]);
    for (size_t i = 0; i < n && text[i] != '\0'; i++) {
        node ^= (unsigned char)text[i];
        if (node >= op->units)
            return NULL;
        const uint32_t unit = op->trie[node];
        if ((unit & (1u << 31 | 0xFF)) != (unsigned char)text[i])
            return NULL;
        node ^= unit_offset(unit);
        if (!(unit >> 8 & 1))
            continue;
        const size_t value = node < op->units ? op->trie[node] & ~(1u << 31) : SIZE_MAX;
        if (value > op->normalized.size || (op->normalized.size > value && (op->normalized.data[value] & 0xC0) == 0x80))
            return NULL;
        *size = strnlen(op->normalized.data + value, op->normalized.size - value);
        return op->normalized.data + value;
    }
    return NULL;
}

bool precompiled_read(NormalizerOp *op, const json_t *settings, Err *err)
{
    const char *text = json_get_string(settings, "precompiled_charsmap", NULL, err);
    if (!text)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "normalizer 'Precompiled' has no 'precompiled_charsmap'")
                                     : false;
    Text map = { 0 };
    const bool ok = decode_base64(text, &map, err) && read_map(op, &map, err);
    text_release(&map);
    for (int c = 0; ok && c < 128; c++) {
        const char character = (char)c;
        size_t size = 0;
        op->replaced[c] = replacement(op, &character, 1, &size) != NULL;
    }
    return ok;
}

/* ---- running --------------------------------------------------------------- */

static size_t count_chars(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* `text` in the place of `old` characters: the last ones are new, or take the rest along. */
static void replace(CodePoints *points, const char *text, size_t n, size_t old)
{
    const size_t count = count_chars(text, n);
    for (size_t i = 0, k = 0; i < n; k++)
        codepoints_add(points, unicode_next(text, &i), k >= old);
    if (count < old && points->count > 0)
        points->data[points->count - 1].change += (int32_t)count - (int32_t)old;
}

/* in[from, end) is one cluster. */
static bool rewrite_cluster(const NormalizerOp *op, const Aligned *in, size_t from, size_t end, CodePoints *points)
{
    size_t size = 0;
    const char *text = in->data + from;
    const char *found = end - from <= LONGEST_CLUSTER ? replacement(op, text, end - from, &size) : NULL;
    if (found) {
        replace(points, found, size, count_chars(text, end - from));
        return true;
    }
    bool modified = false;
    for (size_t at = from; at < end;) {
        const size_t start = at;
        const int32_t c = unicode_next(in->data, &at);
        found = replacement(op, in->data + start, at - start, &size);
        modified |= found != NULL;
        if (found)
            replace(points, found, size, 1);
        else
            codepoints_add(points, c, 0);
    }
    return modified;
}

/* ASCII that stays, and is a cluster of its own. */
static bool is_plain(const NormalizerOp *op, const Aligned *in, size_t at)
{
    const char c = in->data[at], next = at + 1 < in->size ? in->data[at + 1] : ' ';
    return !(c & 0x80) && !(next & 0x80) && c != '\r' && !op->replaced[(int)c];
}

void precompiled_run(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    CodePoints *points = &scratch->points;
    points->count = 0;
    bool modified = false;
    for (size_t from = 0, end = 0; from < in->size; from = end) {
        if (is_plain(op, in, from)) {
            codepoints_add(points, in->data[from], 0);
            end = from + 1;
            continue;
        }
        int32_t before = unicode_next(in->data, &end);
        int32_t state = 0;
        while (end < in->size) {
            size_t next = end;
            const int32_t c = unicode_next(in->data, &next);
            if (unicode_cluster_ends(before, c, &state))
                break;
            before = c;
            end = next;
        }
        modified |= rewrite_cluster(op, in, from, end, points);
    }
    if (modified)
        normalizer_write(points, in, 0, out);
    else
        aligned_copy(out, in, 0, in->size);
}
