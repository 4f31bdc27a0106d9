#include "common/base/json.h"
#include "worker/tokenizer/normalizer.h"
#include "worker/tokenizer/unicode.h"

#include <string.h>

/* Ideographs that get a space on either side and are otherwise unchanged: most of a Chinese text. */
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

/* The ASCII characters from `at` on; the end of them. A dropped one is where it
 * ends too, if more than ASCII may follow: marks on both sides of it meet. */
static size_t copy_ascii(const NormalizerOp *op, const Aligned *in, size_t at, Aligned *out)
{
    char chunk[512];
    size_t used = 0;
    while (at < in->size && !(in->data[at] & 0x80)) {
        const int c = ascii(op, (unsigned char)in->data[at]);
        if (c < 0)
            break;
        chunk[used++] = (char)c;
        at++;
        if (used == sizeof(chunk)) {
            aligned_write(out, in, at - used, used, chunk);
            used = 0;
        }
    }
    aligned_write(out, in, at - used, used, chunk);
    return at;
}

/* Adds c of in[at], as a source of the decomposition. */
static void add(const NormalizerOp *op, int32_t c, size_t at, Scratch *scratch)
{
    codepoints_add(&scratch->sources, (int32_t)at, 0);
    if (op->strip_accents)
        unicode_decompose(&scratch->points, c, false);
    else
        codepoints_add(&scratch->points, c, 0);
}

static void put(Aligned *out, const Aligned *in, size_t at, int32_t c)
{
    char bytes[4];
    aligned_put(out, in, at, bytes, unicode_encode(bytes, c));
}

/* What stands in `points`, lower-cased and without accents. */
static void flush(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    CodePoints *points = &scratch->points;
    if (op->strip_accents)
        unicode_reorder(points, 0);
    size_t next = 0; /* of the sources: in turn, whatever has changed places */
    for (size_t i = 0; i < points->count; i++) {
        const int32_t c = points->data[i].c;
        next += points->data[i].change == 0;
        if (op->strip_accents && unicode_is_nonspacing(c))
            continue;
        const size_t at = (size_t)scratch->sources.data[next > 0 ? next - 1 : 0].c;
        int32_t lower[2] = { c, 0 };
        const size_t count = op->lowercase ? unicode_lower(lower, c) : 1;
        for (size_t k = 0; k < count; k++)
            put(out, in, at, lower[k]);
    }
    points->count = 0;
    scratch->sources.count = 0;
}

/* The characters from `at` up to the next that starts anew (ASCII that stays, plain
 * ideographs): only between those can marks change places. */
static size_t copy_run(const NormalizerOp *op, const Aligned *in, size_t at, Aligned *out, Scratch *scratch)
{
    scratch->points.count = scratch->sources.count = 0;
    while (at < in->size) {
        const size_t start = at;
        size_t next = at;
        const int32_t c = unicode_next(in->data, &next);
        const bool dropped = is_dropped(op, c);
        if (c < 0x80 && !dropped)
            break;
        at = next;
        if (dropped)
            continue;
        if (op->chinese && c >= PLAIN_CJK_FIRST && c <= PLAIN_CJK_LAST) {
            flush(op, in, out, scratch);
            put(out, in, start, ' ');
            put(out, in, start, c);
            put(out, in, start, ' ');
            continue;
        }
        const bool spaced = op->chinese && unicode_is_cjk(c);
        if (spaced)
            add(op, ' ', start, scratch);
        add(op, op->clean_text && unicode_is_space(c) ? ' ' : c, start, scratch);
        if (spaced)
            add(op, ' ', start, scratch);
    }
    flush(op, in, out, scratch);
    return at;
}

void bert_normalizer_run(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    for (size_t at = 0; at < in->size;) {
        at = copy_ascii(op, in, at, out);
        if (at < in->size)
            at = copy_run(op, in, at, out, scratch);
    }
}
