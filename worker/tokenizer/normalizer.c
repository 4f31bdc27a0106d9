#include "worker/tokenizer/normalizer.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/byte_level.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

static void put(Aligned *out, const Aligned *in, size_t at, int32_t c)
{
    char bytes[4];
    const size_t n = unicode_encode(bytes, c);
    aligned_put(out, in, at, bytes, n);
}

/* The ASCII characters from points[i] on that replace ones of in[at, ..): how many. */
static size_t write_ascii(const CodePoints *points, size_t i, const Aligned *in, size_t at, Aligned *out)
{
    char chunk[256];
    size_t n = 0;
    for (; n < sizeof(chunk) && i + n < points->count && at + n < in->size; n++) {
        const CodePoint point = points->data[i + n];
        if (point.change != 0 || point.c >= 0x80 || (in->data[at + n] & 0x80))
            break;
        chunk[n] = (char)point.c;
    }
    aligned_write(out, in, at, n, chunk);
    return n;
}

void normalizer_write(const CodePoints *points, const Aligned *in, size_t from, Aligned *out)
{
    size_t at = from, next = from; /* the last character of `in` that was used, and the next */
    for (size_t i = 0; i < points->count; i++) {
        const size_t ascii = write_ascii(points, i, in, next, out);
        if (ascii > 0) {
            i += ascii - 1;
            next += ascii;
            at = next - 1;
            continue;
        }
        const CodePoint point = points->data[i];
        if (point.change <= 0) {
            at = next;
            if (next < in->size)
                unicode_next(in->data, &next);
        }
        put(out, in, at, point.c);
        for (int32_t skip = point.change; skip < 0 && next < in->size; skip++)
            unicode_next(in->data, &next);
        if (point.change < 0) /* what is put in next stands for the last of these */
            at = unicode_before(in->data, next);
    }
}

/* ---- normal forms ---------------------------------------------------------- */

typedef struct NormalForm {
    bool compat, compose;
} NormalForm;

static bool is_its_own(NormalForm form, const char *text, size_t n)
{
    if (text_is_ascii(text, n))
        return true;
    if (form.compat || !form.compose)
        return false;
    for (size_t at = 0; at < n;)
        if (!unicode_is_plain_nfc(unicode_next(text, &at)))
            return false;
    return true;
}

static void to_form(NormalForm form, const Aligned *in, Aligned *out, CodePoints *points)
{
    if (is_its_own(form, in->data, in->size)) {
        aligned_copy(out, in, 0, in->size);
        return;
    }
    points->count = 0;
    for (size_t i = 0; i < in->size;)
        unicode_decompose(points, unicode_next(in->data, &i), form.compat);
    unicode_reorder(points, 0);
    if (form.compose)
        unicode_compose(points);
    normalizer_write(points, in, 0, out);
}

static void run_nfc(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)op;
    to_form((NormalForm){ .compose = true }, in, out, &scratch->points);
}

static void run_nfd(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)op;
    to_form((NormalForm){ .compose = false }, in, out, &scratch->points);
}

static void run_nfkc(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)op;
    to_form((NormalForm){ .compat = true, .compose = true }, in, out, &scratch->points);
}

static void run_nfkd(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)op;
    to_form((NormalForm){ .compat = true }, in, out, &scratch->points);
}

/* ---- single characters ----------------------------------------------------- */

static void run_lowercase(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)op, (void)scratch;
    for (size_t i = 0; i < in->size;) {
        const size_t at = i;
        int32_t lower[2];
        const size_t count = unicode_lower(lower, unicode_next(in->data, &i));
        for (size_t k = 0; k < count; k++)
            put(out, in, at, lower[k]);
    }
}

/* Unlike BertNormalizer this drops all marks, and decomposes nothing. */
static void run_strip_accents(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)op, (void)scratch;
    for (size_t i = 0; i < in->size;) {
        const size_t at = i;
        if (!unicode_is_mark(unicode_next(in->data, &i)))
            aligned_copy(out, in, at, i - at);
    }
}

/* What Google's NMT drops: most controls. */
static bool is_nmt_dropped(int32_t c)
{
    return (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}

static bool is_nmt_space(int32_t c)
{
    return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
           c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

static void run_nmt(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)op, (void)scratch;
    for (size_t i = 0; i < in->size;) {
        const size_t at = i;
        const int32_t c = unicode_next(in->data, &i);
        if (!is_nmt_dropped(c))
            put(out, in, at, is_nmt_space(c) ? ' ' : c);
    }
}

static void run_byte_level(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)op, (void)scratch;
    byte_level_write(in, 0, in->size, out);
}

/* ---- strings --------------------------------------------------------------- */

static bool read_strip(NormalizerOp *op, const json_t *settings, Err *err)
{
    op->left = json_get_bool(settings, "strip_left", true, err);
    op->right = json_get_bool(settings, "strip_right", true, err);
    return err->kind == ERR_NONE;
}

static void run_strip(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)scratch;
    size_t start = 0, end = in->size;
    for (size_t i = 0; op->left && i < end && unicode_is_space(unicode_next(in->data, &i));)
        start = i;
    while (op->right && end > start) {
        const size_t before = unicode_before(in->data, end);
        size_t at = before;
        if (!unicode_is_space(unicode_next(in->data, &at)))
            break;
        end = before;
    }
    aligned_copy(out, in, start, end - start);
}

static bool read_replace(NormalizerOp *op, const json_t *settings, Err *err)
{
    const json_t *content = json_object_get(settings, "content");
    if (!json_is_string(content))
        return err_set(err, ERR_INPUT, "normalizer 'Replace' has no 'content'");
    text_add(&op->content, json_string_value(content), json_string_length(content));
    return pattern_read(&op->pattern, json_object_get(settings, "pattern"), "normalizer 'Replace'", err);
}

static void run_replace(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    Segments *segments = &scratch->pre.segments;
    segments->count = 0;
    pattern_find(&op->pattern, in->data, in->size, segments);
    for (size_t i = 0; i < segments->count; i++) {
        const Segment part = segments->data[i];
        if (!part.match)
            aligned_copy(out, in, part.begin, part.end - part.begin);
        else if (part.end > 0)
            aligned_put_span(out, aligned_span(in, part.end - 1, 1), op->content.data, op->content.size);
        else
            aligned_put_span(out, (Span){ (uint32_t)in->base, (uint32_t)in->base }, op->content.data, op->content.size);
    }
}

static bool read_prepend(NormalizerOp *op, const json_t *settings, Err *err)
{
    text_adds(&op->content, json_get_string(settings, "prepend", "", err));
    return err->kind == ERR_NONE;
}

static void run_prepend(const NormalizerOp *op, const Aligned *in, Aligned *out, Scratch *scratch)
{
    (void)scratch;
    if (in->size > 0)
        aligned_put_span(out, aligned_span(in, 0, 1), op->content.data, op->content.size);
    aligned_copy(out, in, 0, in->size);
}

/* ---- the list -------------------------------------------------------------- */

static const NormalizerKind kinds[] = {
    { "BertNormalizer", bert_normalizer_read, bert_normalizer_run },
    { "ByteLevel", NULL, run_byte_level },
    { "Lowercase", NULL, run_lowercase },
    { "NFC", NULL, run_nfc },
    { "NFD", NULL, run_nfd },
    { "NFKC", NULL, run_nfkc },
    { "NFKD", NULL, run_nfkd },
    { "Nmt", NULL, run_nmt },
    { "Precompiled", precompiled_read, precompiled_run },
    { "Prepend", read_prepend, run_prepend },
    { "Replace", read_replace, run_replace },
    { "Strip", read_strip, run_strip },
    { "StripAccents", NULL, run_strip_accents },
};

static bool read_one(Normalizer *normalizer, const json_t *spec, const char *name, Err *err)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        normalizer->ops = xrealloc(normalizer->ops, (normalizer->count + 1) * sizeof(normalizer->ops[0]));
        NormalizerOp *op = &normalizer->ops[normalizer->count++];
        *op = (NormalizerOp){ .kind = &kinds[i] };
        return !kinds[i].read || kinds[i].read(op, spec, err);
    }
    return err_set(err, ERR_INPUT, "normalizer type '%s' is not supported", name);
}

bool normalizer_read(Normalizer *normalizer, const json_t *spec, Err *err)
{
    if (!spec || json_is_null(spec))
        return true;
    const char *name = json_get_string(spec, "type", NULL, err);
    if (!name)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "the normalizer has no 'type'") : false;
    if (strcmp(name, "Sequence") != 0)
        return read_one(normalizer, spec, name, err);
    const json_t *list = json_object_get(spec, "normalizers");
    if (!json_is_array(list))
        return err_set(err, ERR_INPUT, "normalizer 'Sequence' has no list 'normalizers'");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!normalizer_read(normalizer, json_array_get(list, i), err))
            return false;
    return true;
}

void normalizer_release(Normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        pattern_release(&normalizer->ops[i].pattern);
        text_release(&normalizer->ops[i].content);
        text_release(&normalizer->ops[i].normalized);
        free(normalizer->ops[i].trie);
    }
    free(normalizer->ops);
    *normalizer = (Normalizer){ 0 };
}

const Aligned *normalizer_run(const Normalizer *normalizer, const Aligned *text, Scratch *scratch)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        const NormalizerOp *op = &normalizer->ops[i];
        Aligned *out = &scratch->normal[i % 2];
        aligned_clear(out);
        op->kind->run(op, text, out, scratch);
        text = out;
    }
    return text;
}
