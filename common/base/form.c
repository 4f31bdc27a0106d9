#include "common/base/form.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef enum { PIECE_TEXT, PIECE_FIELD, PIECE_IF, PIECE_END } PieceKind;

typedef struct Piece {
    PieceKind kind;
    const char *begin; /* of the text, or of the name */
    size_t size;
} Piece;

/* The piece at *at, which moves behind it. */
static bool next_piece(const char **at, Piece *piece, Err *err)
{
    const char *p = *at;
    if ((p[0] == '{' || p[0] == '}') && p[1] == p[0]) {
        *piece = (Piece){ PIECE_TEXT, p, 1 };
        *at = p + 2;
        return true;
    }
    if (p[0] == '}')
        return err_set(err, ERR_INPUT, "a '}' without its '{'") ||
               err_hint(err, "a brace that is a letter is written twice: }}");
    if (p[0] != '{') {
        *piece = (Piece){ PIECE_TEXT, p, strcspn(p, "{}") };
        *at = p + piece->size;
        return true;
    }
    const size_t n = strcspn(p + 1, "{}");
    if (p[1 + n] != '}')
        return err_set(err, ERR_INPUT, "a '{' without its '}'") ||
               err_hint(err, "a brace that is a letter is written twice: {{");
    *at = p + n + 2;
    if (n == 1 && p[1] == '/')
        *piece = (Piece){ PIECE_END, p, 0 };
    else if (p[1] == '?')
        *piece = (Piece){ PIECE_IF, p + 2, n - 1 };
    else
        *piece = (Piece){ PIECE_FIELD, p + 1, n };
    if (piece->kind != PIECE_END && piece->size == 0)
        return err_set(err, ERR_INPUT, "braces without a name") || err_hint(err, "{NAME} is the field NAME of the row");
    return true;
}

bool form_check(const char *form, Err *err)
{
    Piece piece = { 0 };
    int open = 0;
    bool any = false;
    for (const char *at = form; *at;) {
        const char *from = at;
        bool ok = next_piece(&at, &piece, err);
        if (ok && piece.kind == PIECE_END && --open < 0)
            ok = err_set(err, ERR_INPUT, "a '{/}' without its '{?NAME}'");
        if (!ok)
            return err_at(err, "letter %zu", (size_t)(from - form) + 1);
        open += piece.kind == PIECE_IF;
        any = any || piece.kind == PIECE_FIELD;
    }
    if (open > 0)
        return err_set(err, ERR_INPUT, "a '{?NAME}' without its '{/}'");
    if (!any)
        return err_set(err, ERR_INPUT, "it has no field: all rows would be alike") ||
               err_hint(err, "{NAME} is the field NAME of the row");
    return true;
}

bool form_fill(const char *form, FormField field, void *self, Text *out, Err *err)
{
    Piece piece = { 0 };
    int depth = 0, off = 0; /* parts that are open; the outermost that is left out, 0: none */
    for (const char *at = form; *at;) {
        if (!next_piece(&at, &piece, err))
            return false;
        depth -= piece.kind == PIECE_END;
        if (piece.kind == PIECE_END && off > depth)
            off = 0;
        if (piece.kind == PIECE_TEXT && off == 0)
            text_add(out, piece.begin, piece.size);
        depth += piece.kind == PIECE_IF;
        if ((piece.kind != PIECE_FIELD && piece.kind != PIECE_IF) || off > 0)
            continue;
        char *name = xstrndup(piece.begin, piece.size);
        const char *text = NULL;
        size_t n = 0;
        bool ok = field(self, name, &text, &n, err);
        if (ok && piece.kind == PIECE_IF)
            off = text && n > 0 ? 0 : depth;
        else if (ok && !text)
            ok = err_set(err, ERR_INPUT, "no column or field '%s'", name) ||
                 err_hint(err, "data.template names it; a part that some rows lack stands in {?%.60s}...{/}", name);
        else if (ok)
            text_add(out, text, n);
        free(name);
        if (!ok)
            return false;
    }
    return true;
}
