#include "worker/template/expression.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* DESIGN: the grammar is Jinja's own (jinja2/parser.py), a function a level: choice (a if b else
 * c), or, and, not, comparison, + -, ~, * / // %, **, sign, then postfix (.x [x] (x)), filters and
 * tests. A function gives NULL when an error is set. */

static TemplateNode *unary(Parser *p, bool filters);

static TemplateNode *binary(Parser *p, NodeKind kind, const char *name, int line, TemplateNode *a, TemplateNode *b)
{
    TemplateNode *out = parser_node(p, kind, line);
    out->name = name;
    out->a = a;
    out->b = b;
    return a && b ? out : NULL;
}

/* ---- primaries -------------------------------------------------------------------- */

static TemplateNode *constant(Parser *p, int line, Value value)
{
    TemplateNode *out = parser_node(p, NODE_CONST, line);
    out->value = value;
    return out;
}

static TemplateNode *number(Parser *p)
{
    const TemplateToken *t = p->at++;
    char *end;
    errno = 0;
    if (t->kind == TOKEN_REAL)
        return constant(p, t->line, value_real(strtod(t->text.string.data, &end)));
    const long long whole = strtoll(t->text.string.data, &end, 10);
    if (errno || *end)
        return parser_fail(p, t->line, "the template has a number that is out of range", t->text.string.data);
    return constant(p, t->line, value_int(whole));
}

static TemplateNode *word(Parser *p)
{
    const TemplateToken *t = p->at++;
    const char *name = t->text.string.data;
    const bool yes = strcmp(name, "true") == 0 || strcmp(name, "True") == 0;
    if (yes || strcmp(name, "false") == 0 || strcmp(name, "False") == 0)
        return constant(p, t->line, value_bool(yes));
    if (strcmp(name, "none") == 0 || strcmp(name, "None") == 0)
        return constant(p, t->line, (Value){ .kind = VALUE_NONE });
    TemplateNode *out = parser_node(p, NODE_NAME, t->line);
    out->name = name;
    return out;
}

static TemplateNode *string(Parser *p)
{
    TemplateNode *out = constant(p, p->at->line, p->at->text);
    Text joined = { 0 };
    for (; p->at->kind == TOKEN_STRING; p->at++)
        text_add(&joined, p->at->text.string.data, p->at->text.string.size);
    out->value = value_copy(p->pool, joined.data, joined.size);
    text_release(&joined);
    return out;
}

/* Expressions with commas between, up to `close` (which is taken); pairs: key : value. */
static bool items(Parser *p, TemplateNode **first, const char *close, bool pairs)
{
    TemplateNode **last = first;
    while (!parser_is_sign(p, close)) {
        if (*first && !parser_expect_sign(p, ","))
            return false;
        if (parser_is_sign(p, close))
            break;
        if (!(*last = parser_expression(p)))
            return false;
        last = &(*last)->next;
        if (pairs) {
            if (!parser_expect_sign(p, ":") || !(*last = parser_expression(p)))
                return false;
            last = &(*last)->next;
        }
    }
    p->at++;
    return true;
}

TemplateNode *parser_tuple(Parser *p, TemplateNode *(*part)(Parser *), bool closed)
{
    const int line = p->at->line;
    TemplateNode *first = NULL, **last = &first;
    bool comma = false;
    for (;;) {
        if (parser_is_sign(p, ")") || p->at->kind == TOKEN_BLOCK_END || p->at->kind == TOKEN_PRINT_END ||
            parser_is_word(p, "in"))
            break;
        if (!(*last = part(p)))
            return NULL;
        last = &(*last)->next;
        if (!parser_skip_sign(p, ","))
            break;
        comma = true;
    }
    if (!first && !closed)
        return parser_unexpected(p);
    if (first && !comma)
        return first;
    TemplateNode *out = parser_node(p, NODE_TUPLE, line);
    out->a = first;
    return out;
}

TemplateNode *parser_primary(Parser *p)
{
    const int line = p->at->line;
    if (p->at->kind == TOKEN_NAME)
        return word(p);
    if (p->at->kind == TOKEN_STRING)
        return string(p);
    if (p->at->kind == TOKEN_INT || p->at->kind == TOKEN_REAL)
        return number(p);
    if (parser_skip_sign(p, "(")) {
        TemplateNode *out = parser_tuple(p, parser_expression, true);
        return out && parser_expect_sign(p, ")") ? out : NULL;
    }
    if (!parser_is_sign(p, "[") && !parser_is_sign(p, "{"))
        return parser_unexpected(p);
    const bool list = parser_is_sign(p, "[");
    p->at++;
    TemplateNode *out = parser_node(p, list ? NODE_LIST : NODE_DICT, line);
    return items(p, &out->a, list ? "]" : "}", !list) ? out : NULL;
}

/* ---- postfix, filters, tests --------------------------------------------------------- */

static bool arguments(Parser *p, TemplateNode **first)
{
    TemplateNode **last = first;
    if (!parser_expect_sign(p, "("))
        return false;
    while (!parser_is_sign(p, ")")) {
        if (*first && !parser_expect_sign(p, ","))
            return false;
        if (parser_is_sign(p, ")"))
            break;
        if (parser_is_sign(p, "*") || parser_is_sign(p, "**"))
            return parser_unsupported(p, p->at->line, "*arguments");
        const bool keyword = p->at->kind == TOKEN_NAME && p->at[1].kind == TOKEN_SIGN && value_is(p->at[1].text, "=");
        if (keyword) {
            *last = parser_node(p, NODE_KEYWORD, p->at->line);
            (*last)->name = p->at->text.string.data;
            p->at += 2;
            if (!((*last)->a = parser_expression(p)))
                return false;
        } else if (!(*last = parser_expression(p))) {
            return false;
        }
        last = &(*last)->next;
    }
    p->at++;
    return true;
}

/* Behind "[": an index, or begin:end:step. */
static TemplateNode *subscript(Parser *p, TemplateNode *of, int line)
{
    TemplateNode *part[3] = { NULL, NULL, NULL };
    int colons = 0;
    while (!parser_is_sign(p, "]")) {
        if (parser_is_sign(p, ":")) {
            if (++colons > 2)
                return parser_unexpected(p);
            p->at++;
        } else if (part[colons]) {
            return parser_unexpected(p);
        } else if (!(part[colons] = parser_expression(p))) {
            return NULL;
        }
    }
    if (colons == 0 && !part[0])
        return parser_unexpected(p);
    p->at++;
    if (colons == 0)
        return binary(p, NODE_ITEM, NULL, line, of, part[0]);
    for (int i = 2; i >= 0; i--) {
        part[i] = part[i] ? part[i] : constant(p, line, (Value){ .kind = VALUE_NONE });
        part[i]->next = i < 2 ? part[i + 1] : NULL;
    }
    return binary(p, NODE_SLICE, NULL, line, of, part[0]);
}

static TemplateNode *call(Parser *p, TemplateNode *of)
{
    TemplateNode *out = parser_node(p, NODE_CALL, p->at->line);
    out->a = of;
    return arguments(p, &out->b) ? out : NULL;
}

TemplateNode *parser_postfix(Parser *p, TemplateNode *of)
{
    while (of) {
        const int line = p->at->line;
        if (parser_is_sign(p, "(")) {
            of = call(p, of);
        } else if (parser_skip_sign(p, "[")) {
            of = subscript(p, of, line);
        } else if (parser_skip_sign(p, ".")) {
            if (p->at->kind == TOKEN_INT) {
                of = binary(p, NODE_ITEM, NULL, line, of, number(p));
                continue;
            }
            TemplateNode *out = parser_node(p, NODE_ATTRIBUTE, line);
            out->a = of;
            of = (out->name = parser_name(p)) ? out : NULL;
        } else {
            break;
        }
    }
    return of;
}

static TemplateNode *test(Parser *p, TemplateNode *of)
{
    const int line = p->at->line;
    const bool negative = parser_skip_word(p, "not");
    TemplateNode *out = parser_node(p, NODE_TEST, line);
    out->a = of;
    if (!(out->name = parser_name(p)))
        return NULL;
    if (parser_is_sign(p, "(")) {
        if (!arguments(p, &out->b))
            return NULL;
    } else {
        const char *const words[] = { "else", "or", "and", "if", "in", "not", "is" };
        bool bare = p->at->kind == TOKEN_NAME || p->at->kind == TOKEN_STRING || p->at->kind == TOKEN_INT ||
                    p->at->kind == TOKEN_REAL || parser_is_sign(p, "[") || parser_is_sign(p, "{");
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            bare = bare && !parser_is_word(p, words[i]);
        if (bare && !(out->b = parser_postfix(p, parser_primary(p))))
            return NULL;
    }
    if (!negative)
        return out;
    TemplateNode *not = parser_node(p, NODE_NOT, line);
    not ->a = out;
    return not ;
}

static TemplateNode *filter(Parser *p, TemplateNode *of)
{
    TemplateNode *out = parser_node(p, NODE_FILTER, p->at->line);
    out->a = of;
    if (!(out->name = parser_name(p)) || (parser_is_sign(p, "(") && !arguments(p, &out->b)))
        return NULL;
    return out;
}

/* ---- levels ------------------------------------------------------------------------------ */

static TemplateNode *unary(Parser *p, bool filters)
{
    const int line = p->at->line;
    TemplateNode *out;
    if (++p->depth > PARSER_DEEPEST)
        return parser_fail(p, line, "the template is nested too deep at", p->at->text.string.data);
    if (parser_skip_sign(p, "-")) {
        out = parser_node(p, NODE_NEGATIVE, line);
        if (!(out->a = unary(p, false)))
            return NULL;
    } else {
        out = parser_skip_sign(p, "+") ? unary(p, false) : parser_primary(p);
    }
    out = parser_postfix(p, out);
    while (out && filters) {
        if (parser_skip_sign(p, "|"))
            out = filter(p, out);
        else if (parser_skip_word(p, "is"))
            out = test(p, out);
        else if (parser_is_sign(p, "("))
            out = call(p, out);
        else
            break;
    }
    p->depth--;
    return out;
}

/* One level of operators that group from the left. */
static TemplateNode *level(Parser *p, const char *const *signs, TemplateNode *(*part)(Parser *))
{
    TemplateNode *left = part(p);
    while (left) {
        const int line = p->at->line;
        const char *sign = NULL;
        for (int i = 0; signs[i] && !sign; i++)
            sign = parser_is_sign(p, signs[i]) ? signs[i] : NULL;
        if (!sign)
            break;
        p->at++;
        left = binary(p, strcmp(sign, "~") == 0 ? NODE_CONCAT : NODE_ARITHMETIC, sign, line, left, part(p));
    }
    return left;
}

static TemplateNode *sign_level(Parser *p)
{
    return unary(p, true);
}
static TemplateNode *power_level(Parser *p)
{
    return level(p, (const char *const[]){ "**", NULL }, sign_level);
}
static TemplateNode *product_level(Parser *p)
{
    return level(p, (const char *const[]){ "*", "/", "//", "%", NULL }, power_level);
}
static TemplateNode *concat_level(Parser *p)
{
    return level(p, (const char *const[]){ "~", NULL }, product_level);
}
static TemplateNode *sum_level(Parser *p)
{
    return level(p, (const char *const[]){ "+", "-", NULL }, concat_level);
}

static const char *comparison_here(Parser *p)
{
    const char *const signs[] = { "==", "!=", "<=", ">=", "<", ">" };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (parser_skip_sign(p, signs[i]))
            return signs[i];
    if (parser_skip_word(p, "in"))
        return "in";
    if (parser_is_word(p, "not") && p->at[1].kind == TOKEN_NAME && value_is(p->at[1].text, "in")) {
        p->at += 2;
        return "not in";
    }
    return NULL;
}

static TemplateNode *comparison_level(Parser *p)
{
    const int line = p->at->line;
    TemplateNode *left = sum_level(p), *first = NULL, **last = &first;
    for (const char *sign; left && (sign = comparison_here(p)) != NULL; last = &(*last)->next) {
        *last = parser_node(p, NODE_COMPARISON, p->at->line);
        (*last)->name = sign;
        if (!((*last)->a = sum_level(p)))
            return NULL;
    }
    return first ? binary(p, NODE_COMPARE, NULL, line, left, first) : left;
}

static TemplateNode *not_level(Parser *p)
{
    const int line = p->at->line;
    int nots = 0;
    while (parser_is_word(p, "not")) {
        p->at++;
        nots++;
    }
    TemplateNode *out = comparison_level(p);
    for (; out && nots > 0; nots--) {
        TemplateNode *not = parser_node(p, NODE_NOT, line);
        not ->a = out;
        out = not ;
    }
    return out;
}

static TemplateNode *and_level(Parser *p)
{
    TemplateNode *left = not_level(p);
    for (int line = p->at->line; left && parser_skip_word(p, "and"); line = p->at->line)
        left = binary(p, NODE_AND, NULL, line, left, not_level(p));
    return left;
}

TemplateNode *parser_condition(Parser *p)
{
    TemplateNode *left = and_level(p);
    for (int line = p->at->line; left && parser_skip_word(p, "or"); line = p->at->line)
        left = binary(p, NODE_OR, NULL, line, left, and_level(p));
    return left;
}

TemplateNode *parser_expression(Parser *p)
{
    if (++p->depth > PARSER_DEEPEST)
        return parser_fail(p, p->at->line, "the template is nested too deep at", p->at->text.string.data);
    TemplateNode *out = parser_condition(p);
    for (int line = p->at->line; out && parser_skip_word(p, "if"); line = p->at->line) {
        TemplateNode *choice = parser_node(p, NODE_CHOICE, line);
        choice->b = out;
        if (!(choice->a = parser_condition(p)) || (parser_skip_word(p, "else") && !(choice->c = parser_expression(p))))
            return NULL;
        out = choice;
    }
    p->depth--;
    return out;
}
