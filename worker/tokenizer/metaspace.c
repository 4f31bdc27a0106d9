/* The pre-tokenizers that rewrite their text: Metaspace writes spaces as marks,
 * ByteLevel bytes as letters; both may put a space before. */
#include "common/base/json.h"
#include "worker/tokenizer/byte_level.h"
#include "worker/tokenizer/pretokenizer.h"
#include "worker/tokenizer/unicode.h"

#include <string.h>

/* Of the two rooms pre->own the one that pre->text is not in, emptied. */
static Aligned *other_text(PreText *pre)
{
    Aligned *out = &pre->own[pre->text == &pre->own[0]];
    aligned_clear(out);
    return out;
}

/* ---- Metaspace ------------------------------------------------------------- */

bool prepend_scheme_read(PrependScheme *scheme, const json_t *settings, Err *err)
{
    const bool prefix = json_get_bool(settings, "add_prefix_space", true, err);
    const char *name = json_get_string(settings, "prepend_scheme", prefix ? "always" : "never", err);
    if (err->kind != ERR_NONE)
        return false;
    if (strcmp(name, "always") == 0)
        *scheme = PREPEND_ALWAYS;
    else if (strcmp(name, "first") == 0)
        *scheme = PREPEND_FIRST;
    else if (strcmp(name, "never") == 0)
        *scheme = PREPEND_NEVER;
    else
        return err_set(err, ERR_INPUT, "Metaspace has unknown prepend_scheme '%s'", name);
    return true;
}

bool metaspace_read(PreTokenizerOp *op, const json_t *settings, Err *err)
{
    const char *mark = json_get_string(settings, "replacement", "\xE2\x96\x81", err);
    op->split = json_get_bool(settings, "split", true, err);
    size_t size = 0;
    if (mark[0] != '\0')
        unicode_next(mark, &size);
    if (size == 0 || size != strlen(mark))
        return err_set(err, ERR_INPUT, "Metaspace has a 'replacement' that is no character: '%s'", mark);
    memcpy(op->mark, mark, size);
    op->mark_size = size;
    return prepend_scheme_read(&op->prepend, settings, err);
}

/* Adds the pieces of out[from, ..), each mark beginning one. */
static void split_at_marks(const PreTokenizerOp *op, const Aligned *out, size_t from, Pieces *next)
{
    size_t start = from;
    while (start < out->size) {
        const char *rest = out->data + start;
        const size_t n = out->size - start;
        const bool marked = n >= op->mark_size && memcmp(rest, op->mark, op->mark_size) == 0;
        const size_t skip = marked ? op->mark_size : 0;
        const char *hit = memmem(rest + skip, n - skip, op->mark, op->mark_size);
        const size_t size = hit ? (size_t)(hit - rest) : n;
        pieces_add(next, start, size);
        start += size;
    }
}

static void rewrite_spaces(const PreTokenizerOp *op, const Aligned *in, Piece piece, Aligned *out)
{
    const char *text = in->data + piece.at;
    const bool marked = piece.size >= op->mark_size && memcmp(text, op->mark, op->mark_size) == 0;
    const bool first = aligned_span(in, piece.at, 1).begin == 0;
    if (text[0] != ' ' && !marked && (op->prepend == PREPEND_ALWAYS || (op->prepend == PREPEND_FIRST && first)))
        aligned_put_span(out, aligned_span(in, piece.at, 1), op->mark, op->mark_size);
    for (size_t at = 0; at < piece.size;) {
        const char *space = memchr(text + at, ' ', piece.size - at);
        const size_t end = space ? (size_t)(space - text) : piece.size;
        aligned_copy(out, in, piece.at + at, end - at);
        if (space)
            aligned_put(out, in, piece.at + end, op->mark, op->mark_size);
        at = end + (space != NULL);
    }
}

void metaspace_run(const PreTokenizerOp *op, PreText *pre)
{
    const Aligned *in = pre->text;
    Aligned *out = other_text(pre);
    for (size_t i = 0; i < pre->pieces.count; i++) {
        const size_t from = out->size;
        rewrite_spaces(op, in, pre->pieces.data[i], out);
        if (op->split)
            split_at_marks(op, out, from, &pre->next);
        else
            pieces_add(&pre->next, from, out->size - from);
    }
    pre->text = out;
}

/* ---- ByteLevel ------------------------------------------------------------- */

bool byte_level_read(PreTokenizerOp *op, const json_t *settings, Err *err)
{
    op->prefix_space = json_get_bool(settings, "add_prefix_space", true, err);
    op->use_regex = json_get_bool(settings, "use_regex", true, err);
    return err->kind == ERR_NONE;
}

/* A space before each piece that has none. */
static void add_prefixes(PreText *pre)
{
    const Aligned *in = pre->text;
    Aligned *out = other_text(pre);
    for (size_t i = 0; i < pre->pieces.count; i++) {
        Piece *piece = &pre->pieces.data[i];
        const size_t from = out->size;
        if (in->data[piece->at] != ' ')
            aligned_put_span(out, aligned_span(in, piece->at, 1), " ", 1);
        aligned_copy(out, in, piece->at, piece->size);
        *piece = (Piece){ from, out->size - from };
    }
    pre->text = out;
}

static void map_bytes(PreText *pre)
{
    const Aligned *in = pre->text;
    Aligned *out = other_text(pre);
    for (size_t i = 0; i < pre->next.count; i++) {
        Piece *piece = &pre->next.data[i];
        const size_t from = out->size;
        byte_level_write(in, piece->at, piece->size, out);
        *piece = (Piece){ from, out->size - from };
    }
    pre->text = out;
}

static bool lacks_space(const PreText *pre)
{
    for (size_t i = 0; i < pre->pieces.count; i++)
        if (pre->text->data[pre->pieces.data[i].at] != ' ')
            return true;
    return false;
}

void byte_level_run(const PreTokenizerOp *op, PreText *pre)
{
    if (op->prefix_space && lacks_space(pre))
        add_prefixes(pre);
    for (size_t i = 0; i < pre->pieces.count; i++) {
        const Piece piece = pre->pieces.data[i];
        const char *text = pre->text->data + piece.at;
        for (size_t at = 0, end; at < piece.size; at = end) {
            end = op->use_regex ? scan_gpt2(text, at, piece.size) : piece.size;
            pieces_add(&pre->next, piece.at + at, end - at);
        }
    }
    if (!op->raw)
        map_bytes(pre);
}
