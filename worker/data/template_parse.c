#include "worker/data/template_parse.h"

#include "worker/data/template_lex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* DESIGN: the grammar is Jinja's own (jinja2/parser.py), a function a level: choice (a if b else
 * c), or, and, not, comparison, + -, ~, * / // %, **, sign, then postfix (.x [x] (x)), filters and
 * tests. A function gives NULL when an error is set. */

enum { DEEPEST = 200 };

typedef struct Parser {
    const Token *at;
    Pool *pool;
    const char *where;
    int depth; /* of statements and expressions in each other */
    int loops; /* for loops around this place */
    Err *err;
} Parser;

static Node *expression(Parser *p);
static Node *unary(Parser *p, bool filters);
static bool statements(Parser *p, Node **first, const char *const *ends, const char **end);

/* ---- small steps ---------------------------------------------------------------- */

static Node *fail(Parser *p, int line, const char *what, const char *subject)
{
    err_set(p->err, ERR_INPUT, "%s '%s'", what, subject);
    err_at(p->err, "%s:%d", p->where, line);
    return NULL;
}

static Node *unexpected(Parser *p)
{
    return fail(p, p->at->line, "the template has an unexpected", p->at->text.string.data);
}

static Node *unsupported(Parser *p, int line, const char *what)
{
    err_set(p->err, ERR_INPUT, "the template uses %s, which is not supported", what);
    err_hint(p->err, "put a chat_template.jinja without it into the model's folder");
    err_at(p->err, "%s:%d", p->where, line);
    return NULL;
}

static Node *node(Parser *p, NodeKind kind, int line)
{
    Node *out = pool_take(p->pool, sizeof *out);
    out->kind = kind;
    out->line = line;
    return out;
}

static bool is(const Parser *p, TokenKind kind, const char *text)
{
    return p->at->kind == kind && value_is(p->at->text, text);
}

static bool is_sign(const Parser *p, const char *sign)
{
    return is(p, TOKEN_SIGN, sign);
}

static bool skip_sign(Parser *p, const char *sign)
{
    const bool here = is_sign(p, sign);
    p->at += here;
    return here;
}

static bool skip_word(Parser *p, const char *word)
{
    const bool here = is(p, TOKEN_NAME, word);
    p->at += here;
    return here;
}

static bool expect_sign(Parser *p, const char *sign)
{
    return skip_sign(p, sign) || unexpected(p);
}

static const char *name_here(Parser *p)
{
    if (p->at->kind != TOKEN_NAME)
        return unexpected(p), NULL;
    return (p->at++)->text.string.data;
}

static Node *binary(Parser *p, NodeKind kind, const char *name, int line, Node *a, Node *b)
{
    Node *out = node(p, kind, line);
    out->name = name;
    out->a = a;
    out->b = b;
    return a && b ? out : NULL;
}

/* ---- primaries -------------------------------------------------------------------- */

static Node *constant(Parser *p, int line, Value value)
{
    Node *out = node(p, NODE_CONST, line);
    out->value = value;
    return out;
}

static Node *number(Parser *p)
{
    const Token *t = p->at++;
    char *end;
    errno = 0;
    if (t->kind == TOKEN_REAL)
        return constant(p, t->line, value_real(strtod(t->text.string.data, &end)));
    const long long whole = strtoll(t->text.string.data, &end, 10);
    if (errno || *end)
        return fail(p, t->line, "the template has a number that is out of range", t->text.string.data);
    return constant(p, t->line, value_int(whole));
}

static Node *word(Parser *p)
{
    const Token *t = p->at++;
    const char *name = t->text.string.data;
    const bool yes = strcmp(name, "true") == 0 || strcmp(name, "True") == 0;
    if (yes || strcmp(name, "false") == 0 || strcmp(name, "False") == 0)
        return constant(p, t->line, value_bool(yes));
    if (strcmp(name, "none") == 0 || strcmp(name, "None") == 0)
        return constant(p, t->line, (Value){ .kind = VALUE_NONE });
    Node *out = node(p, NODE_NAME, t->line);
    out->name = name;
    return out;
}

static Node *string(Parser *p)
{
    Node *out = constant(p, p->at->line, p->at->text);
    Text joined = { 0 };
    for (; p->at->kind == TOKEN_STRING; p->at++)
        text_add(&joined, p->at->text.string.data, p->at->text.string.size);
    out->value = value_copy(p->pool, joined.data, joined.size);
    text_release(&joined);
    return out;
}

/* Expressions with commas between, up to `close` (which is taken); pairs: key : value. */
static bool items(Parser *p, Node **first, const char *close, bool pairs)
{
    Node **last = first;
    while (!is_sign(p, close)) {
        if (*first && !expect_sign(p, ","))
            return false;
        if (is_sign(p, close))
            break;
        if (!(*last = expression(p)))
            return false;
        last = &(*last)->next;
        if (pairs) {
            if (!expect_sign(p, ":") || !(*last = expression(p)))
                return false;
            last = &(*last)->next;
        }
    }
    p->at++;
    return true;
}

/* One expression, or with commas a tuple; `closed`: inside (), where it may be empty. A tuple's end
 * is a closing sign, the end of the tag, or the word `in`. */
static Node *tuple(Parser *p, Node *(*part)(Parser *), bool closed)
{
    const int line = p->at->line;
    Node *first = NULL, **last = &first;
    bool comma = false;
    for (;;) {
        if (is_sign(p, ")") || p->at->kind == TOKEN_BLOCK_END || p->at->kind == TOKEN_PRINT_END ||
            is(p, TOKEN_NAME, "in"))
            break;
        if (!(*last = part(p)))
            return NULL;
        last = &(*last)->next;
        if (!skip_sign(p, ","))
            break;
        comma = true;
    }
    if (!first && !closed)
        return unexpected(p);
    if (first && !comma)
        return first;
    Node *out = node(p, NODE_TUPLE, line);
    out->a = first;
    return out;
}

static Node *primary(Parser *p)
{
    const int line = p->at->line;
    if (p->at->kind == TOKEN_NAME)
        return word(p);
    if (p->at->kind == TOKEN_STRING)
        return string(p);
    if (p->at->kind == TOKEN_INT || p->at->kind == TOKEN_REAL)
        return number(p);
    if (skip_sign(p, "(")) {
        Node *out = tuple(p, expression, true);
        return out && expect_sign(p, ")") ? out : NULL;
    }
    if (!is_sign(p, "[") && !is_sign(p, "{"))
        return unexpected(p);
    const bool list = is_sign(p, "[");
    p->at++;
    Node *out = node(p, list ? NODE_LIST : NODE_DICT, line);
    return items(p, &out->a, list ? "]" : "}", !list) ? out : NULL;
}

/* ---- postfix, filters, tests --------------------------------------------------------- */

static bool arguments(Parser *p, Node **first)
{
    Node **last = first;
    if (!expect_sign(p, "("))
        return false;
    while (!is_sign(p, ")")) {
        if (*first && !expect_sign(p, ","))
            return false;
        if (is_sign(p, ")"))
            break;
        if (is_sign(p, "*") || is_sign(p, "**"))
            return unsupported(p, p->at->line, "*arguments");
        const bool keyword = p->at->kind == TOKEN_NAME && p->at[1].kind == TOKEN_SIGN && value_is(p->at[1].text, "=");
        if (keyword) {
            *last = node(p, NODE_KEYWORD, p->at->line);
            (*last)->name = p->at->text.string.data;
            p->at += 2;
            if (!((*last)->a = expression(p)))
                return false;
        } else if (!(*last = expression(p))) {
            return false;
        }
        last = &(*last)->next;
    }
    p->at++;
    return true;
}

/* Behind "[": an index, or begin:end:step. */
static Node *subscript(Parser *p, Node *of, int line)
{
    Node *part[3] = { NULL, NULL, NULL };
    int colons = 0;
    while (!is_sign(p, "]")) {
        if (is_sign(p, ":")) {
            if (++colons > 2)
                return unexpected(p);
            p->at++;
        } else if (part[colons]) {
            return unexpected(p);
        } else if (!(part[colons] = expression(p))) {
            return NULL;
        }
    }
    if (colons == 0 && !part[0])
        return unexpected(p);
    p->at++;
    if (colons == 0)
        return binary(p, NODE_ITEM, NULL, line, of, part[0]);
    for (int i = 2; i >= 0; i--) {
        part[i] = part[i] ? part[i] : constant(p, line, (Value){ .kind = VALUE_NONE });
        part[i]->next = i < 2 ? part[i + 1] : NULL;
    }
    return binary(p, NODE_SLICE, NULL, line, of, part[0]);
}

static Node *call(Parser *p, Node *of)
{
    Node *out = node(p, NODE_CALL, p->at->line);
    out->a = of;
    return arguments(p, &out->b) ? out : NULL;
}

static Node *postfix(Parser *p, Node *of)
{
    while (of) {
        const int line = p->at->line;
        if (is_sign(p, "(")) {
            of = call(p, of);
        } else if (skip_sign(p, "[")) {
            of = subscript(p, of, line);
        } else if (skip_sign(p, ".")) {
            if (p->at->kind == TOKEN_INT) {
                of = binary(p, NODE_ITEM, NULL, line, of, number(p));
                continue;
            }
            Node *out = node(p, NODE_ATTRIBUTE, line);
            out->a = of;
            of = (out->name = name_here(p)) ? out : NULL;
        } else {
            break;
        }
    }
    return of;
}

static Node *test(Parser *p, Node *of)
{
    const int line = p->at->line;
    const bool negative = skip_word(p, "not");
    Node *out = node(p, NODE_TEST, line);
    out->a = of;
    if (!(out->name = name_here(p)))
        return NULL;
    if (is_sign(p, "(")) {
        if (!arguments(p, &out->b))
            return NULL;
    } else {
        const char *const words[] = { "else", "or", "and", "if", "in", "not", "is" };
        bool bare = p->at->kind == TOKEN_NAME || p->at->kind == TOKEN_STRING || p->at->kind == TOKEN_INT ||
                    p->at->kind == TOKEN_REAL || is_sign(p, "[") || is_sign(p, "{");
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            bare = bare && !is(p, TOKEN_NAME, words[i]);
        if (bare && !(out->b = postfix(p, primary(p))))
            return NULL;
    }
    if (!negative)
        return out;
    Node *not = node(p, NODE_NOT, line);
    not->a = out;
    return not;
}

static Node *filter(Parser *p, Node *of)
{
    Node *out = node(p, NODE_FILTER, p->at->line);
    out->a = of;
    if (!(out->name = name_here(p)) || (is_sign(p, "(") && !arguments(p, &out->b)))
        return NULL;
    return out;
}

/* ---- levels ------------------------------------------------------------------------------ */

static Node *unary(Parser *p, bool filters)
{
    const int line = p->at->line;
    Node *out;
    if (++p->depth > DEEPEST)
        return fail(p, line, "the template is nested too deep at", p->at->text.string.data);
    if (skip_sign(p, "-")) {
        out = node(p, NODE_NEGATIVE, line);
        if (!(out->a = unary(p, false)))
            return NULL;
    } else {
        out = skip_sign(p, "+") ? unary(p, false) : primary(p);
    }
    out = postfix(p, out);
    while (out && filters) {
        if (skip_sign(p, "|"))
            out = filter(p, out);
        else if (skip_word(p, "is"))
            out = test(p, out);
        else if (is_sign(p, "("))
            out = call(p, out);
        else
            break;
    }
    p->depth--;
    return out;
}

/* One level of operators that group from the left. */
static Node *level(Parser *p, const char *const *signs, Node *(*part)(Parser *))
{
    Node *left = part(p);
    while (left) {
        const int line = p->at->line;
        const char *sign = NULL;
        for (int i = 0; signs[i] && !sign; i++)
            sign = is_sign(p, signs[i]) ? signs[i] : NULL;
        if (!sign)
            break;
        p->at++;
        left = binary(p, strcmp(sign, "~") == 0 ? NODE_CONCAT : NODE_ARITHMETIC, sign, line, left, part(p));
    }
    return left;
}

static Node *sign_level(Parser *p)
{
    return unary(p, true);
}
static Node *power_level(Parser *p)
{
    return level(p, (const char *const[]){ "**", NULL }, sign_level);
}
static Node *product_level(Parser *p)
{
    return level(p, (const char *const[]){ "*", "/", "//", "%", NULL }, power_level);
}
static Node *concat_level(Parser *p)
{
    return level(p, (const char *const[]){ "~", NULL }, product_level);
}
static Node *sum_level(Parser *p)
{
    return level(p, (const char *const[]){ "+", "-", NULL }, concat_level);
}

static const char *comparison_here(Parser *p)
{
    const char *const signs[] = { "==", "!=", "<=", ">=", "<", ">" };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (skip_sign(p, signs[i]))
            return signs[i];
    if (skip_word(p, "in"))
        return "in";
    if (is(p, TOKEN_NAME, "not") && p->at[1].kind == TOKEN_NAME && value_is(p->at[1].text, "in")) {
        p->at += 2;
        return "not in";
    }
    return NULL;
}

static Node *comparison_level(Parser *p)
{
    const int line = p->at->line;
    Node *left = sum_level(p), *first = NULL, **last = &first;
    for (const char *sign; left && (sign = comparison_here(p)) != NULL; last = &(*last)->next) {
        *last = node(p, NODE_COMPARISON, p->at->line);
        (*last)->name = sign;
        if (!((*last)->a = sum_level(p)))
            return NULL;
    }
    return first ? binary(p, NODE_COMPARE, NULL, line, left, first) : left;
}

static Node *not_level(Parser *p)
{
    const int line = p->at->line;
    int nots = 0;
    while (is(p, TOKEN_NAME, "not")) {
        p->at++;
        nots++;
    }
    Node *out = comparison_level(p);
    for (; out && nots > 0; nots--) {
        Node *not = node(p, NODE_NOT, line);
        not->a = out;
        out = not;
    }
    return out;
}

static Node *and_level(Parser *p)
{
    Node *left = not_level(p);
    for (int line = p->at->line; left && skip_word(p, "and"); line = p->at->line)
        left = binary(p, NODE_AND, NULL, line, left, not_level(p));
    return left;
}

static Node *or_level(Parser *p)
{
    Node *left = and_level(p);
    for (int line = p->at->line; left && skip_word(p, "or"); line = p->at->line)
        left = binary(p, NODE_OR, NULL, line, left, and_level(p));
    return left;
}

static Node *expression(Parser *p)
{
    if (++p->depth > DEEPEST)
        return fail(p, p->at->line, "the template is nested too deep at", p->at->text.string.data);
    Node *out = or_level(p);
    for (int line = p->at->line; out && skip_word(p, "if"); line = p->at->line) {
        Node *choice = node(p, NODE_CHOICE, line);
        choice->b = out;
        if (!(choice->a = or_level(p)) || (skip_word(p, "else") && !(choice->c = expression(p))))
            return NULL;
        out = choice;
    }
    p->depth--;
    return out;
}

/* ---- statements ----------------------------------------------------------------------------- */

static bool end_block(Parser *p)
{
    if (p->at->kind != TOKEN_BLOCK_END)
        return unexpected(p);
    p->at++;
    return true;
}

/* A name, a tuple of names, or namespace.name. */
static Node *target(Parser *p)
{
    Node *out = tuple(p, primary, false);
    if (out && out->kind == NODE_NAME && is_sign(p, "."))
        out = postfix(p, out);
    bool names = out != NULL;
    for (const Node *n = out && out->kind == NODE_TUPLE ? out->a : NULL; n; n = n->next)
        names = names && n->kind == NODE_NAME;
    const bool attribute = out && out->kind == NODE_ATTRIBUTE && out->a->kind == NODE_NAME;
    if (out && (!names || (out->kind != NODE_NAME && out->kind != NODE_TUPLE && !attribute)))
        return fail(p, out->line, "the template sets what is no name before", p->at->text.string.data);
    return out;
}

static Node *for_block(Parser *p, int line)
{
    const char *end;
    Node *out = node(p, NODE_FOR, line);
    if (!(out->a = target(p)))
        return NULL;
    if (!skip_word(p, "in"))
        return unexpected(p);
    if (!(out->b = tuple(p, or_level, false)) || (skip_word(p, "if") && !(out->c = expression(p))))
        return NULL;
    if (is(p, TOKEN_NAME, "recursive"))
        return unsupported(p, line, "a recursive loop");
    p->loops++;
    const bool ok = end_block(p) && statements(p, &out->body, (const char *const[]){ "endfor", "else", NULL }, &end);
    p->loops--;
    if (!ok || (strcmp(end, "else") == 0 &&
                (!end_block(p) || !statements(p, &out->other, (const char *const[]){ "endfor", NULL }, &end))))
        return NULL;
    return end_block(p) ? out : NULL;
}

static Node *if_block(Parser *p, int line)
{
    const char *const ends[] = { "elif", "else", "endif", NULL };
    Node *first = node(p, NODE_IF, line), *out = first;
    for (const char *end = "elif"; strcmp(end, "endif") != 0;) {
        if (strcmp(end, "elif") == 0) {
            if (out->a) {
                out->other = node(p, NODE_IF, p->at->line);
                out = out->other;
            }
            if (!(out->a = tuple(p, or_level, false)) || !end_block(p) || !statements(p, &out->body, ends, &end))
                return NULL;
        } else if (!end_block(p) || !statements(p, &out->other, ends + 2, &end)) {
            return NULL;
        }
    }
    return end_block(p) ? first : NULL;
}

static Node *set_block(Parser *p, int line)
{
    const char *end;
    Node *out = node(p, NODE_SET, line);
    if (!(out->a = target(p)))
        return NULL;
    if (skip_sign(p, "="))
        return (out->b = tuple(p, expression, false)) && end_block(p) ? out : NULL;
    if (is_sign(p, "|"))
        return unsupported(p, line, "a filter on a {% set %} block");
    out->kind = NODE_SET_BLOCK;
    if (!end_block(p) || !statements(p, &out->body, (const char *const[]){ "endset", NULL }, &end))
        return NULL;
    return end_block(p) ? out : NULL;
}

static Node *macro_block(Parser *p, int line)
{
    const char *end;
    Node *out = node(p, NODE_MACRO, line), **last = &out->a;
    if (!(out->name = name_here(p)) || !expect_sign(p, "("))
        return NULL;
    while (!is_sign(p, ")")) {
        if (out->a && !expect_sign(p, ","))
            return NULL;
        *last = node(p, NODE_PARAMETER, p->at->line);
        if (!((*last)->name = name_here(p)) || (skip_sign(p, "=") && !((*last)->a = expression(p))))
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
    skip_word(p, out->name);
    return end_block(p) ? out : NULL;
}

static Node *generation_block(Parser *p, int line)
{
    const char *end;
    Node *out = node(p, NODE_GENERATION, line);
    if (!end_block(p) || !statements(p, &out->body, (const char *const[]){ "endgeneration", NULL }, &end))
        return NULL;
    return end_block(p) ? out : NULL;
}

static Node *jump(Parser *p, int line, NodeKind kind)
{
    if (p->loops == 0)
        return fail(p, line, "outside of a loop there is nothing to leave by", kind == NODE_BREAK ? "break" : "continue");
    return end_block(p) ? node(p, kind, line) : NULL;
}

static Node *statement(Parser *p)
{
    const int line = p->at->line;
    const char *name = name_here(p);
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
        return fail(p, line, "nothing is open that would end with", name);
    char what[128];
    snprintf(what, sizeof what, "{%% %s %%}", name);
    return unsupported(p, line, what);
}

/* Statements up to a block that begins with one of `ends` (its word is taken and in *end); ends
 * NULL: to the end of the template. */
static bool statements(Parser *p, Node **first, const char *const *ends, const char **end)
{
    const int line = p->at->line;
    if (++p->depth > DEEPEST)
        return fail(p, line, "the template is nested too deep at", p->at->text.string.data);
    for (Node **last = first;; last = &(*last)->next) {
        const Token *t = p->at++;
        if (t->kind == TOKEN_TEXT) {
            *last = node(p, NODE_TEXT, t->line);
            (*last)->value = t->text;
        } else if (t->kind == TOKEN_PRINT_BEGIN) {
            *last = node(p, NODE_PRINT, t->line);
            if (!((*last)->a = tuple(p, expression, false)))
                return false;
            if (p->at->kind != TOKEN_PRINT_END)
                return unexpected(p);
            p->at++;
        } else if (t->kind == TOKEN_BLOCK_BEGIN) {
            for (int i = 0; ends && ends[i]; i++)
                if (skip_word(p, ends[i])) {
                    *end = ends[i];
                    p->depth--;
                    return true;
                }
            if (!(*last = statement(p)))
                return false;
        } else {
            p->depth--;
            p->at--;
            return !ends || fail(p, line, "the template ends without", ends[0]);
        }
    }
}

bool template_parse(Node **tree, Pool *pool, const char *source, size_t n, const char *where, Err *err)
{
    Token *tokens;
    *tree = NULL;
    if (!template_lex(&tokens, pool, source, n, where, err))
        return false;
    Parser parser = { .at = tokens, .pool = pool, .where = where, .err = err };
    const bool ok = statements(&parser, tree, NULL, NULL);
    free(tokens);
    return ok;
}
