#include "worker/template/parser.h"

#include <string.h>

TemplateNode *parser_fail(Parser *p, int line, const char *what, const char *subject)
{
    err_set(p->err, ERR_INPUT, "%s '%s'", what, subject);
    err_at(p->err, "%s:%d", p->where, line);
    return NULL;
}

TemplateNode *parser_unexpected(Parser *p)
{
    return parser_fail(p, p->at->line, "the template has an unexpected", p->at->text.string.data);
}

TemplateNode *parser_unsupported(Parser *p, int line, const char *what)
{
    err_set(p->err, ERR_INPUT, "the template uses %s, which is not supported", what);
    err_hint(p->err, "put a chat_template.jinja without it into the model's folder");
    err_at(p->err, "%s:%d", p->where, line);
    return NULL;
}

TemplateNode *parser_node(Parser *p, NodeKind kind, int line)
{
    TemplateNode *out = pool_take(p->pool, sizeof *out);
    out->kind = kind;
    out->line = line;
    return out;
}

static bool is(const Parser *p, TokenKind kind, const char *text)
{
    return p->at->kind == kind && value_is(p->at->text, text);
}

bool parser_is_word(const Parser *p, const char *word)
{
    return is(p, TOKEN_NAME, word);
}

bool parser_is_sign(const Parser *p, const char *sign)
{
    return is(p, TOKEN_SIGN, sign);
}

bool parser_skip_sign(Parser *p, const char *sign)
{
    const bool here = parser_is_sign(p, sign);
    p->at += here;
    return here;
}

bool parser_skip_word(Parser *p, const char *word)
{
    const bool here = parser_is_word(p, word);
    p->at += here;
    return here;
}

bool parser_expect_sign(Parser *p, const char *sign)
{
    return parser_skip_sign(p, sign) || parser_unexpected(p);
}

const char *parser_name(Parser *p)
{
    if (p->at->kind != TOKEN_NAME)
        return parser_unexpected(p), NULL;
    return (p->at++)->text.string.data;
}
