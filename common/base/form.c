#include "common/base/form.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef enum { PART_TEXT, PART_FIELD, PART_IF, PART_END } FormPartKind;

typedef struct FormPart {
    FormPartKind kind;
    const char *begin; /* of the text, or of the name */
    size_t size;
} FormPart;

/* The part at *at, which moves behind it. */
static bool next_part(const char **at, FormPart *part, Err *err)
{
    const char *p = *at;
    if ((p[0] == '{' || p[0] == '}') && p[1] == p[0]) {
        *part = (FormPart){ PART_TEXT, p, 1 };
        *at = p + 2;
        return true;
    }
    if (p[0] == '}')
        return err_set(err, ERR_INPUT, "a '}' without its '{'") ||
               err_hint(err, "a brace that is a letter is written twice: }}");
    if (p[0] != '{') {
        *part = (FormPart){ PART_TEXT, p, strcspn(p, "{}") };
        *at = p + part->size;
        return true;
    }
    const size_t n = strcspn(p + 1, "{}");
    if (p[1 + n] != '}')
        return err_set(err, ERR_INPUT, "a '{' without its '}'") ||
               err_hint(err, "a brace that is a letter is written twice: {{");
    *at = p + n + 2;
    if (n == 1 && p[1] == '/')
        *part = (FormPart){ PART_END, p, 0 };
    else if (p[1] == '?')
        *part = (FormPart){ PART_IF, p + 2, n - 1 };
    else
        *part = (FormPart){ PART_FIELD, p + 1, n };
    if (part->kind != PART_END && part->size == 0)
        return err_set(err, ERR_INPUT, "braces without a name") || err_hint(err, "{NAME} is the field NAME of the row");
    return true;
}

bool form_check(const char *form, Err *err)
{
    FormPart part = { 0 };
    int open = 0;
    bool any = false;
    for (const char *at = form; *at;) {
        const char *from = at;
        bool ok = next_part(&at, &part, err);
        if (ok && part.kind == PART_END && --open < 0)
            ok = err_set(err, ERR_INPUT, "a '{/}' without its '{?NAME}'");
        if (!ok)
            return err_at(err, "letter %zu", (size_t)(from - form) + 1);
        open += part.kind == PART_IF;
        any = any || part.kind == PART_FIELD;
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
    FormPart part = { 0 };
    int depth = 0, off = 0; /* parts that are open; the outermost that is left out, 0: none */
    for (const char *at = form; *at;) {
        if (!next_part(&at, &part, err))
            return false;
        depth -= part.kind == PART_END;
        if (part.kind == PART_END && off > depth)
            off = 0;
        if (part.kind == PART_TEXT && off == 0)
            text_add(out, part.begin, part.size);
        depth += part.kind == PART_IF;
        if ((part.kind != PART_FIELD && part.kind != PART_IF) || off > 0)
            continue;
        char *name = xstrndup(part.begin, part.size);
        const char *text = NULL;
        size_t n = 0;
        bool ok = field(self, name, &text, &n, err);
        if (ok && part.kind == PART_IF)
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
