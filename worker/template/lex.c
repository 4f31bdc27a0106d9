#include "worker/template/lex.h"

#include "common/base/mem.h"
#include "common/metrics/words.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

typedef struct Lexer {
    const char *s; /* [n], line ends are \n */
    size_t n, at;
    int line;
    bool line_start; /* what comes begins a line, because the tag before took the line end */
    int depth; /* of brackets inside a tag */
    Pool *pool;
    TemplateToken *tokens;
    int64_t count, room;
    const char *where;
    Err *err;
} Lexer;

static void add(Lexer *l, TokenKind kind, int line, const char *data, size_t size)
{
    if (l->count == l->room) {
        l->room = 2 * l->room + 64;
        l->tokens = xrealloc(l->tokens, (size_t)l->room * sizeof *l->tokens);
    }
    l->tokens[l->count++] = (TemplateToken){ kind, line, value_copy(l->pool, data, size) };
}

static bool at(const Lexer *l, const char *what)
{
    const size_t size = strlen(what);
    return l->n - l->at >= size && memcmp(l->s + l->at, what, size) == 0;
}

static void skip(Lexer *l, size_t to)
{
    for (; l->at < to; l->at++)
        l->line += l->s[l->at] == '\n';
}

static void skip_space(Lexer *l)
{
    for (size_t space; l->at < l->n && (space = words_space(l->s + l->at, l->n - l->at)) > 0;)
        skip(l, l->at + space);
}

/* The text in front of a tag, as the tag's sign leaves it ('-': no white space before; '+': as it
 * is; else a tag that begins its line takes what is before it on the line). */
static size_t kept(const Lexer *l, size_t begin, size_t end, char sign, bool print)
{
    size_t solid = begin, line = begin;
    bool starts = l->line_start;
    for (size_t i = begin; i < end;) {
        const size_t space = words_space(l->s + i, end - i);
        if (l->s[i] == '\n') {
            line = i + 1;
            starts = true;
        }
        i += space ? space : 1;
        solid = space ? solid : i;
    }
    if (sign == '-')
        return solid;
    return sign != '+' && !print && starts && solid <= line ? line : end;
}

/* Behind a tag: "-" takes all white space, else one line end goes (not behind {{ }}). */
static void end_tag(Lexer *l, char sign, bool print)
{
    const size_t from = l->at;
    if (sign == '-')
        skip_space(l);
    else if (sign != '+' && !print && l->at < l->n && l->s[l->at] == '\n')
        skip(l, l->at + 1);
    l->line_start = l->at > from && l->s[l->at - 1] == '\n';
}

static bool fail(const Lexer *l, int line, const char *what)
{
    err_set(l->err, ERR_INPUT, "%s", what);
    return err_at(l->err, "%s:%d", l->where, line);
}

/* ---- inside a tag ----------------------------------------------------------------- */

static unsigned hex(const Lexer *l, size_t from, size_t digits, size_t end)
{
    unsigned c = 0;
    for (size_t i = from; i < from + digits; i++) {
        const char *all = "0123456789abcdef", *d = i < end ? strchr(all, l->s[i] | 0x20) : NULL;
        if (!d || !*d || !l->s[i])
            return 0x110000;
        c = c * 16 + (unsigned)(d - all);
    }
    return c;
}

/* s[*i] is behind a backslash; adds what Python makes of the two and more. */
static bool add_escape(const Lexer *l, size_t *i, size_t end, Text *out)
{
    const char *plain = "n\nr\rt\tb\bf\fv\va\a\\\\''\"\"", c = l->s[*i];
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    *i += 1;
    if (digits) {
        const unsigned code = hex(l, *i, digits, end);
        if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
            return false;
        unicode_add(out, (int32_t)code);
        *i += digits;
    } else if (c >= '0' && c <= '7') {
        int32_t code = c - '0';
        for (int k = 0; k < 2 && *i < end && l->s[*i] >= '0' && l->s[*i] <= '7'; k++)
            code = code * 8 + l->s[(*i)++] - '0';
        unicode_add(out, code);
    } else if (c != '\n') {
        const char *found = NULL;
        for (const char *p = plain; *p && !found; p += 2)
            found = *p == c ? p : NULL;
        if (found)
            text_add(out, found + 1, 1);
        else
            text_add(out, (const char[]){ '\\', c }, 2);
    }
    return true;
}

static bool lex_string(Lexer *l)
{
    const char quote = l->s[l->at];
    size_t end = l->at + 1;
    while (end < l->n && l->s[end] != quote)
        end += l->s[end] == '\\' ? 2 : 1;
    if (end >= l->n)
        return fail(l, l->line, "a string does not end");
    Text value = { 0 };
    text_add(&value, "", 0);
    bool ok = true;
    for (size_t i = l->at + 1; ok && i < end;) {
        if (l->s[i] == '\\') {
            i++;
            ok = add_escape(l, &i, end, &value);
        } else {
            text_add(&value, l->s + i++, 1);
        }
    }
    if (ok)
        add(l, TOKEN_STRING, l->line, value.data, value.size);
    else
        fail(l, l->line, "a string has an escape that is no character");
    text_release(&value);
    skip(l, end + 1);
    return ok;
}

static bool is_digit(const Lexer *l, size_t i)
{
    return i < l->n && l->s[i] >= '0' && l->s[i] <= '9';
}

static bool is_letter(const Lexer *l, size_t i)
{
    const char small = i < l->n ? (char)(l->s[i] | 0x20) : '\0';
    return (small >= 'a' && small <= 'z') || (i < l->n && l->s[i] == '_');
}

static void lex_number(Lexer *l)
{
    size_t end = l->at;
    bool real = false;
    while (is_digit(l, end))
        end++;
    const bool behind_dot = l->at > 0 && l->s[l->at - 1] == '.'; /* a.0.1 */
    if (!behind_dot && end < l->n && l->s[end] == '.' && is_digit(l, end + 1)) {
        real = true;
        for (end++; is_digit(l, end);)
            end++;
    }
    size_t power = end + 1;
    if (power < l->n && (l->s[power] == '+' || l->s[power] == '-'))
        power++;
    if (end < l->n && (l->s[end] | 0x20) == 'e' && is_digit(l, power)) {
        real = true;
        for (end = power; is_digit(l, end);)
            end++;
    }
    add(l, real ? TOKEN_REAL : TOKEN_INT, l->line, l->s + l->at, end - l->at);
    l->at = end;
}

static bool lex_sign(Lexer *l)
{
    const char *const signs[] = { "//", "**", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ",",
                                  ":",  ".",  "|",  "~",  "=",  "+",  "-", "*", "/", "%", "<", ">" };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (!at(l, signs[i]))
            continue;
        l->depth += signs[i][1] ? 0 : !!strchr("([{", signs[i][0]) - !!strchr(")]}", signs[i][0]);
        if (l->depth < 0)
            return fail(l, l->line, "a bracket closes that was not opened");
        add(l, TOKEN_SIGN, l->line, signs[i], strlen(signs[i]));
        l->at += strlen(signs[i]);
        return true;
    }
    char what[64];
    snprintf(what, sizeof what, "unexpected character '%c'", l->s[l->at] > 0x20 ? l->s[l->at] : '?');
    return fail(l, l->line, what);
}

/* From behind {{ or {% to behind its end. */
static bool lex_tag(Lexer *l, bool print)
{
    const int line = l->line;
    const char *end = print ? "}}" : "%}";
    l->depth = 0;
    for (;;) {
        skip_space(l);
        if (l->at >= l->n)
            return fail(l, line, print ? "{{ does not end" : "{% does not end");
        const char sign = l->s[l->at] == '-' || (l->s[l->at] == '+' && !print) ? l->s[l->at] : '\0';
        if (l->depth == 0) {
            l->at += sign != '\0';
            if (at(l, end)) {
                add(l, print ? TOKEN_PRINT_END : TOKEN_BLOCK_END, l->line, end, 2);
                l->at += 2;
                end_tag(l, sign, print);
                return true;
            }
            l->at -= sign != '\0';
        }
        if (l->s[l->at] == '"' || l->s[l->at] == '\'') {
            if (!lex_string(l))
                return false;
        } else if (is_digit(l, l->at)) {
            lex_number(l);
        } else if (is_letter(l, l->at)) {
            size_t last = l->at;
            while (is_letter(l, last) || is_digit(l, last))
                last++;
            add(l, TOKEN_NAME, l->line, l->s + l->at, last - l->at);
            l->at = last;
        } else if (!lex_sign(l)) {
            return false;
        }
    }
}

/* ---- outside ------------------------------------------------------------------------ */

/* The "raw" or "endraw" tag at `from`: where it ends, 0: it is none. *before and *behind: signs. */
static size_t raw_tag(const Lexer *l, size_t from, const char *word, char *before, char *behind)
{
    size_t i = from + 2;
    if (i >= l->n || l->s[from] != '{' || l->s[from + 1] != '%')
        return 0;
    *before = l->s[i] == '-' || l->s[i] == '+' ? l->s[i++] : '\0';
    while (i < l->n && words_space(l->s + i, l->n - i))
        i++;
    if (l->n - i < strlen(word) || memcmp(l->s + i, word, strlen(word)) != 0)
        return 0;
    i += strlen(word);
    while (i < l->n && words_space(l->s + i, l->n - i))
        i++;
    *behind = i < l->n && (l->s[i] == '-' || l->s[i] == '+') ? l->s[i++] : '\0';
    return l->n - i >= 2 && l->s[i] == '%' && l->s[i + 1] == '}' ? i + 2 : 0;
}

/* Behind {% raw %}: all is text to {% endraw %}. */
static bool lex_raw(Lexer *l, size_t begin, char first_sign)
{
    const int line = l->line;
    skip(l, begin);
    if (first_sign == '-')
        skip_space(l);
    l->line_start = false;
    begin = l->at;
    char before, behind;
    for (size_t i = begin, end; i < l->n; i++)
        if ((end = raw_tag(l, i, "endraw", &before, &behind)) > 0) {
            add(l, TOKEN_TEXT, l->line, l->s + begin, kept(l, begin, i, before, false) - begin);
            skip(l, end);
            end_tag(l, behind, false);
            return true;
        }
    return fail(l, line, "{% raw %} does not end");
}

static bool lex_comment(Lexer *l)
{
    const int line = l->line;
    while (l->at < l->n && !at(l, "#}"))
        skip(l, l->at + 1);
    if (l->at >= l->n)
        return fail(l, line, "{# does not end");
    const char sign = l->s[l->at - 1];
    l->at += 2;
    end_tag(l, sign == '-' || sign == '+' ? sign : '\0', false);
    return true;
}

static bool lex_text(Lexer *l)
{
    const size_t begin = l->at;
    const int line = l->line;
    while (l->at < l->n && !at(l, "{{") && !at(l, "{%") && !at(l, "{#"))
        skip(l, l->at + 1);
    if (l->at >= l->n) {
        add(l, TOKEN_TEXT, line, l->s + begin, l->n - begin);
        return true;
    }
    const char kind = l->s[l->at + 1];
    const bool print = kind == '{';
    char sign = l->at + 2 < l->n ? l->s[l->at + 2] : '\0', behind;
    sign = sign == '-' || sign == '+' ? sign : '\0';
    const size_t raw = raw_tag(l, l->at, "raw", &sign, &behind);
    const size_t end = kept(l, begin, l->at, sign, print);
    if (end > begin)
        add(l, TOKEN_TEXT, line, l->s + begin, end - begin);
    if (raw)
        return lex_raw(l, raw, behind);
    l->at += 2 + (sign != '\0');
    if (kind == '#')
        return lex_comment(l);
    add(l, print ? TOKEN_PRINT_BEGIN : TOKEN_BLOCK_BEGIN, l->line, print ? "{{" : "{%", 2);
    return lex_tag(l, print);
}

bool template_lex(TemplateToken **tokens, Pool *pool, const char *source, size_t n, const char *where, Err *err)
{
    /* line ends become \n, and the last one goes */
    Text text = { 0 };
    text_add(&text, "", 0);
    for (size_t i = 0; i < n; i++) {
        const bool carriage = source[i] == '\r';
        text_add(&text, carriage ? "\n" : source + i, 1);
        i += carriage && i + 1 < n && source[i + 1] == '\n';
    }
    if (text.size > 0 && text.data[text.size - 1] == '\n')
        text.data[--text.size] = '\0';
    Lexer l = {
        .s = text.data, .n = text.size, .line = 1, .line_start = true, .pool = pool, .where = where, .err = err
    };
    bool ok = true;
    while (ok && l.at < l.n)
        ok = lex_text(&l);
    add(&l, TOKEN_END, l.line, "the end", 7);
    text_release(&text);
    if (!ok)
        free(l.tokens);
    *tokens = ok ? l.tokens : NULL;
    return ok;
}
