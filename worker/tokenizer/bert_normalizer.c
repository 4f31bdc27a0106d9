#include "common/base/json.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/unicode.h"

#include <string.h>

/* Ideographs that are set apart and otherwise left alone: most of a Chinese text. */
enum { PLAIN_CJK_FIRST = 0x4E00, PLAIN_CJK_LAST = 0x9FFF };

bool bert_normalizer_read(NormalizerOp *op, const json_t *settings, Err *err)
{
    op->clean_text = json_get_bool(settings, "clean_text", true, err);
    op->chinese = json_get_bool(settings, "handle_chinese_chars", true, err);
    op->lowercase = json_get_bool(settings, "lowercase", true, err);
    op->strip_accents = json_get_bool(settings, "strip_accents", op->lowercase, err);
    return err->kind == ERR_NONE;
}

static bool is_dropped(const NormalizerOp *op, int32_t c)
{
    if (!op->clean_text || c == '\t' || c == '\n' || c == '\r')
        return false;
    return c == 0 || c == 0xFFFD || unicode_is_other(c);
}

/* An ASCII character as it comes out; -1: dropped. */
static int ascii(const NormalizerOp *op, unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return op->lowercase ? c + ('a' - 'A') : c;
    if (c >= ' ' && c < 0x7F)
        return c;
    if (is_dropped(op, c))
        return -1;
    return op->clean_text ? ' ' : c; /* tab and line ends are left */
}

/* The ASCII characters from text[at]; the end of them. A dropped one is where it
 * ends too, if more than ASCII may follow: marks on both sides of it meet. */
static size_t copy_ascii(const NormalizerOp *op, const char *text, size_t at, size_t n, Text *out)
{
    char chunk[512];
    size_t used = 0;
    while (at < n && !(text[at] & 0x80)) {
        const int c = ascii(op, (unsigned char)text[at]);
        if (c < 0)
            break;
        chunk[used++] = (char)c;
        at++;
        if (used == sizeof(chunk)) {
            text_add(out, chunk, used);
            used = 0;
        }
    }
    text_add(out, chunk, used);
    return at;
}

static void decompose(const NormalizerOp *op, int32_t c, CodePoints *points)
{
    if (op->strip_accents)
        unicode_decompose(points, c, false);
    else
        codepoints_add(points, c);
}

/* What stands in `points`, lower-cased and without accents. */
static void flush(const NormalizerOp *op, Text *out, CodePoints *points)
{
    if (op->strip_accents)
        unicode_reorder(points, 0);
    for (size_t i = 0; i < points->count; i++) {
        const int32_t c = points->data[i];
        if (op->strip_accents && unicode_is_nonspacing(c))
            continue;
        int32_t lower[2] = { c, 0 };
        const size_t count = op->lowercase ? unicode_lower(lower, c) : 1;
        for (size_t k = 0; k < count; k++)
            unicode_add(out, lower[k]);
    }
    points->count = 0;
}

/* The characters from text[at] up to the next that starts anew (ASCII that stays,
 * plain ideographs): only between those can marks change places. */
static size_t copy_run(const NormalizerOp *op, const char *text, size_t at, size_t n, Text *out,
                       CodePoints *points)
{
    points->count = 0;
    while (at < n) {
        size_t next = at;
        const int32_t c = unicode_next(text, &next);
        const bool dropped = is_dropped(op, c);
        if (c < 0x80 && !dropped)
            break;
        at = next;
        if (dropped)
            continue;
        if (op->chinese && c >= PLAIN_CJK_FIRST && c <= PLAIN_CJK_LAST) {
            flush(op, out, points);
            text_add(out, " ", 1);
            text_add(out, text + at - 3, 3);
            text_add(out, " ", 1);
            continue;
        }
        const bool apart = op->chinese && unicode_is_cjk(c);
        if (apart)
            codepoints_add(points, ' ');
        decompose(op, op->clean_text && unicode_is_space(c) ? ' ' : c, points);
        if (apart)
            codepoints_add(points, ' ');
    }
    flush(op, out, points);
    return at;
}

void bert_normalizer_run(const NormalizerOp *op, const char *text, size_t n, Text *out,
                         CodePoints *points)
{
    for (size_t at = 0; at < n;) {
        at = copy_ascii(op, text, at, n, out);
        if (at < n)
            at = copy_run(op, text, at, n, out, points);
    }
}
