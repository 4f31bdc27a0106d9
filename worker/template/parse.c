#include "worker/template/parse.h"

#include "worker/template/expression.h"

#include <stdlib.h>
#include <string.h>

static bool statements(Parser *p, TemplateNode **first, const char *const *ends, const char **end);

/* ---- statements ----------------------------------------------------------------------------- */

static bool end_block(Parser *p)
{
    if (p->at->kind != TOKEN_BLOCK_END)
        return parser_unexpected(p);
    p->at++;
    return true;
}

/* A name, a tuple of names, or namespace.name. */
static TemplateNode *target(Parser *p)
{
    TemplateNode *out = parser_tuple(p, parser_primary, false);
    if (out && out->kind == NODE_NAME && parser_is_sign(p, "."))
        out = parser_postfix(p, out);
    bool names = out != NULL;
    for (const TemplateNode *n = out && out->kind == NODE_TUPLE ? out->a : NULL; n; n = n->next)
        names = names && n->kind == NODE_NAME;
    const bool attribute = out && out->kind == NODE_ATTRIBUTE && out->a->kind == NODE_NAME;
    if (out && (!names || (out->kind != NODE_NAME && out->kind != NODE_TUPLE && !attribute)))
        return parser_fail(p, out->line, "the template sets what is no name before", p->at->text.string.data);
    return out;
}

static TemplateNode *for_block(Parser *p, int line)
{
    const char *end;
    TemplateNode *out = parser_node(p, NODE_FOR, line);
    if (!(out->a = target(p)))
        return NULL;
    if (!parser_skip_word(p, "in"))
        return parser_unexpected(p);
    if (!(out->b = parser_tuple(p, parser_condition, false)) ||
        (parser_skip_word(p, "if") && !(out->c = parser_expression(p))))
        return NULL;
    if (parser_is_word(p, "recursive"))
        return parser_unsupported(p, line, "a recursive loop");
    p->loops++;
    const bool ok = end_block(p) && statements(p, &out->body, (const char *const[]){ "endfor", "else", NULL }, &end);
    p->loops--;
    if (!ok || (strcmp(end, "else") == 0 &&
                (!end_block(p) || !statements(p, &out->other, (const char *const[]){ "endfor", NULL }, &end))))
        return NULL;
    return end_block(p) ? out : NULL;
}

static TemplateNode *if_block(Parser *p, int line)
{
    const char *const ends[] = { "elif", "else", "endif", NULL };
    TemplateNode *first = parser_node(p, NODE_IF, line), *out = first;
    for (const char *end = "elif"; strcmp(end, "endif") != 0;) {
        if (strcmp(end, "elif") == 0) {
            if (out->a) {
                out->other = parser_node(p, NODE_IF, p->at->line);
                out = out->other;
            }
            if (!(out->a = parser_tuple(p, parser_condition, false)) || !end_block(p) ||
                !statements(p, &out->body, ends, &end))
                return NULL;
        } else if (!end_block(p) || !statements(p, &out->other, ends + 2, &end)) {
            return NULL;
        }
    }
    return end_block(p) ? first : NULL;
}

static TemplateNode *set_block(Parser *p, int line)
{
    const char *end;
    TemplateNode *out = parser_node(p, NODE_SET, line);
    if (!(out->a = target(p)))
        return NULL;
    if (parser_skip_sign(p, "="))
        return (out->b = parser_tuple(p, parser_expression, false)) && end_block(p) ? out : NULL;
    if (parser_is_sign(p, "|"))
        return parser_unsupported(p, line, "a filter on a {% set %} block");
    out->kind = NODE_SET_BLOCK;
    if (!end_block(p) || !statements(p, &out->body, (const char *const[]){ "endset", NULL }, &end))
        return NULL;
    return end_block(p) ? out : NULL;
}

static TemplateNode *macro_block(Parser *p, int line)
{
    const char *end;
    TemplateNode *out = parser_node(p, NODE_MACRO, line), **last = &out->a;
    if (!(out->name = parser_name(p)) || !parser_expect_sign(p, "("))
        return NULL;
    while (!parser_is_sign(p, ")")) {
        if (out->a && !parser_expect_sign(p, ","))
            return NULL;
        *last = parser_node(p, NODE_PARAMETER, p->at->line);
        if (!((*last)->name = parser_name(p)) || (parser_skip_sign(p, "=") && !((*last)->a = parser_expression(p))))
            return NULL;
        last = &(*last)->next;
    }
    p->at++;
    const int loops = p->loops;
    p->loops = 0;
    const bool ok = end_block(p) && statements(p, &out->body, (const char *const[]){ "endmacro", NULL }, &end);
    p->loops = loops;
    if (!ok)
        return NULL;
    parser_skip_word(p, out->name);
    return end_block(p) ? out : NULL;
}

static TemplateNode *generation_block(Parser *p, int line)
{
    const char *end;
    TemplateNode *out = parser_node(p, NODE_GENERATION, line);
    if (!end_block(p) || !statements(p, &out->body, (const char *const[]){ "endgeneration", NULL }, &end))
        return NULL;
    return end_block(p) ? out : NULL;
}

static TemplateNode *jump(Parser *p, int line, NodeKind kind)
{
    if (p->loops == 0)
        return parser_fail(p, line, "outside of a loop there is nothing to leave by",
                           kind == NODE_BREAK ? "break" : "continue");
    return end_block(p) ? parser_node(p, kind, line) : NULL;
}

static TemplateNode *statement(Parser *p)
{
    const int line = p->at->line;
    const char *name = parser_name(p);
    if (!name)
        return NULL;
    if (strcmp(name, "for") == 0)
        return for_block(p, line);
    if (strcmp(name, "if") == 0)
        return if_block(p, line);
    if (strcmp(name, "set") == 0)
        return set_block(p, line);
    if (strcmp(name, "macro") == 0)
        return macro_block(p, line);
    if (strcmp(name, "generation") == 0)
        return generation_block(p, line);
    if (strcmp(name, "break") == 0)
        return jump(p, line, NODE_BREAK);
    if (strcmp(name, "continue") == 0)
        return jump(p, line, NODE_CONTINUE);
    if (text_starts(name, "end") || strcmp(name, "else") == 0 || strcmp(name, "elif") == 0)
        return parser_fail(p, line, "nothing is open that would end with", name);
    char what[128];
    snprintf(what, sizeof what, "{%% %s %%}", name);
    return parser_unsupported(p, line, what);
}

/* Statements up to a block that begins with one of `ends` (its word is taken and in *end); ends
 * NULL: to the end of the template. */
static bool statements(Parser *p, TemplateNode **first, const char *const *ends, const char **end)
{
    const int line = (ends ? p->at - 1 : p->at)->line; /* of the tag that opened it */
    if (++p->depth > PARSER_DEEPEST)
        return parser_fail(p, line, "the template is nested too deep at", p->at->text.string.data);
    for (TemplateNode **last = first;; last = &(*last)->next) {
        const TemplateToken *t = p->at++;
        if (t->kind == TOKEN_TEXT) {
            *last = parser_node(p, NODE_TEXT, t->line);
            (*last)->value = t->text;
        } else if (t->kind == TOKEN_PRINT_BEGIN) {
            *last = parser_node(p, NODE_PRINT, t->line);
            if (!((*last)->a = parser_tuple(p, parser_expression, false)))
                return false;
            if (p->at->kind != TOKEN_PRINT_END)
                return parser_unexpected(p);
            p->at++;
        } else if (t->kind == TOKEN_BLOCK_BEGIN) {
            for (int i = 0; ends && ends[i]; i++)
                if (parser_skip_word(p, ends[i])) {
                    *end = ends[i];
                    p->depth--;
                    return true;
                }
            if (!(*last = statement(p)))
                return false;
        } else {
            p->depth--;
            p->at--;
            return !ends || parser_fail(p, line, "the template ends without", ends[0]);
        }
    }
}

bool template_parse(TemplateNode **tree, Pool *pool, const char *source, size_t n, const char *where, Err *err)
{
    TemplateToken *tokens;
    *tree = NULL;
    if (!template_lex(&tokens, pool, source, n, where, err))
        return false;
    Parser parser = { .at = tokens, .pool = pool, .where = where, .err = err };
    const bool ok = statements(&parser, tree, NULL, NULL);
    free(tokens);
    return ok;
}
