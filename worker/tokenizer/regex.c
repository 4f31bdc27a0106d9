#define PCRE2_CODE_UNIT_WIDTH 8

#include "worker/tokenizer/regex.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "worker/tokenizer/unicode.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define LAST_CODE_POINT 0x10FFFF

/* ---- writing PCRE2's way --------------------------------------------------- */

static void add_range(Text *out, int32_t first, int32_t last)
{
    if (first <= last)
        text_addf(out, "\\x{%X}-\\x{%X}", (unsigned)first, (unsigned)last);
}

/* All but the surrogates, which no text has and PCRE2 does not take. */
static void add_around_surrogates(Text *out, int32_t first, int32_t last)
{
    if (first < 0xD800 && last > 0xDFFF) {
        add_range(out, first, 0xD7FF);
        add_range(out, 0xE000, last);
    } else if (last < 0xD800 || first > 0xDFFF) {
        add_range(out, first, last);
    } else {
        add_range(out, first, first < 0xD800 ? 0xD7FF : -1);
        add_range(out, 0xE000, last);
    }
}

static void add_set(Text *out, const UnicodeSet *set, bool negated)
{
    int32_t next = 0;
    size_t count;
    UnicodeRange *ranges = unicode_ranges(set, &count);
    for (size_t i = 0; i < count; i++) {
        if (negated)
            add_around_surrogates(out, next, ranges[i].first - 1);
        else
            add_around_surrogates(out, ranges[i].first, ranges[i].last);
        next = ranges[i].last + 1;
    }
    if (negated)
        add_around_surrogates(out, next, LAST_CODE_POINT);
    free(ranges);
}

/* A general category, "Lu", or all that begin with a letter, "L". */
static bool is_category(const char *name)
{
    return strchr("LMNPSZC", name[0]) && name[0] && (!name[1] || !name[2]);
}

static void add_category(Text *out, const char *name, bool negated)
{
    text_addf(out, "\\%c{%s}", negated ? 'P' : 'p', name);
    for (size_t i = 0; !negated && i < unicode_newer_count; i++)
        if (strncmp(unicode_newer[i].name, name, strlen(name)) == 0)
            add_range(out, unicode_newer[i].first, unicode_newer[i].last);
}

static const UnicodeRange space_ranges[] = {
    { 0x9, 0xD },       { 0x20, 0x20 },     { 0x85, 0x85 },     { 0xA0, 0xA0 },     { 0x1680, 0x1680 },
    { 0x2000, 0x200A }, { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 },
};
static const UnicodeRange hex_ranges[] = { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } };

static const UnicodeSet *set_of(const char *name)
{
    static const UnicodeSet space = { space_ranges, LENGTH(space_ranges), NULL };
    static const UnicodeSet hex = { hex_ranges, LENGTH(hex_ranges), NULL };
    const struct {
        const char *name;
        const UnicodeSet *set;
    } sets[] = {
        { "L", &unicode_regex_letter },
        { "N", &unicode_regex_number },
        { "w", &unicode_regex_word },
        { "s", &space },
        { "h", &hex },
    };
    for (size_t i = 0; i < LENGTH(sets); i++)
        if (strcmp(sets[i].name, name) == 0)
            return sets[i].set;
    return NULL;
}

/* \w within brackets: to Oniguruma the numbers of Latin-1 that are no digits (one half,
 * squared) are of a word outside of brackets, but not there. */
static void add_word_inside(Text *out, bool negated)
{
    static const UnicodeRange numbers[] = { { 0xB2, 0xB3 }, { 0xB9, 0xB9 }, { 0xBC, 0xBE } };
    add_set(out, &(UnicodeSet){ numbers, LENGTH(numbers), &unicode_regex_word }, negated);
}

/* A class by name, within brackets or on its own. */
static void add_class(Text *out, const char *name, bool negated, bool inside)
{
    const UnicodeSet *set = set_of(name);
    const bool turn = negated && !inside; /* [^..] says it shorter */
    if (!inside)
        text_adds(out, turn ? "[^" : "[");
    if (inside && strcmp(name, "w") == 0)
        add_word_inside(out, negated);
    else if (set)
        add_set(out, set, negated && inside);
    else
        add_category(out, name, negated && inside);
    if (!inside)
        text_adds(out, "]");
}

/* ---- reading Oniguruma's --------------------------------------------------- */

typedef struct RegexReader {
    const char *at;
    Text out;
    bool inside; /* brackets */
    int within; /* sets within that set, whose members are its own: their brackets are left out */
} RegexReader;

/* \p{Lu}, \P{Lu}, \p{^Lu}; others (scripts) are left to PCRE2. */
static void read_property(RegexReader *r)
{
    const char *end = strchr(r->at, '}');
    bool negated = r->at[1] == 'P';
    const char *name = r->at + 3;
    if (end && *name == '^') {
        negated = !negated;
        name++;
    }
    char short_name[3] = { 0 };
    const size_t n = end ? (size_t)(end - name) : 3;
    if (n <= 2)
        memcpy(short_name, name, n);
    if (n == 0 || n > 2 || !is_category(short_name)) {
        text_add(&r->out, r->at, 2);
        r->at += 2;
        return;
    }
    add_class(&r->out, short_name, negated, r->inside);
    r->at = end + 1;
}

/* \b and \B: a place where one side is of a word, or both are alike. */
static void add_border(Text *out, bool is_border)
{
    static const char *const looks[] = { "(?:(?<=", "(?!", "|(?<!", "(?=" };
    static const char *const others[] = { "(?:(?<=", "(?=", "|(?<!", "(?!" };
    for (size_t i = 0; i < LENGTH(looks); i++) {
        text_adds(out, is_border ? looks[i] : others[i]);
        add_class(out, "w", false, false);
        text_adds(out, ")");
    }
    text_adds(out, ")");
}

/* \u0041, as PCRE2 writes it. */
static bool read_code_point(RegexReader *r, Err *err)
{
    const char *digits = r->at + 2;
    if (strspn(digits, "0123456789abcdefABCDEF") < 4)
        return err_set(err, ERR_INPUT, "'\\u' without four digits");
    text_addf(&r->out, "\\x{%.4s}", digits);
    r->at += 6;
    return true;
}

static bool read_escape(RegexReader *r, Err *err)
{
    const char c = r->at[1];
    if (c == 'u')
        return read_code_point(r, err);
    if (c == '\0')
        return err_set(err, ERR_INPUT, "the expression ends in a backslash");
    if ((c == 'p' || c == 'P') && r->at[2] == '{') {
        read_property(r);
        return true;
    }
    const char lower = c == 'S' || c == 'W' || c == 'H' || c == 'D' ? (char)(c + 32) : c;
    if (lower == 's' || lower == 'w' || lower == 'h' || lower == 'd') {
        const char name[3] = { lower == 'd' ? 'N' : lower, lower == 'd' ? 'd' : '\0', '\0' };
        add_class(&r->out, name, lower != c, r->inside);
    } else if ((c == 'b' || c == 'B') && !r->inside) {
        add_border(&r->out, c == 'b');
    } else if (strchr("GKRXyYkg", c)) {
        return err_set(err, ERR_INPUT, "'\\%c' is not supported", c);
    } else {
        text_add(&r->out, r->at, 2);
    }
    r->at += 2;
    return true;
}

/* A dash beside an inner set's brackets is no range. */
static void lone_dash(RegexReader *r)
{
    if (*r->at != '-')
        return;
    text_adds(&r->out, "\\-");
    r->at++;
}

static bool read_inner_set(RegexReader *r, Err *err)
{
    if (r->at[1] == '^' || r->at[1] == ']')
        return err_set(err, ERR_INPUT, "'[%c' within a set is not supported", r->at[1]);
    r->within++;
    r->at++;
    lone_dash(r);
    return true;
}

static bool read_bracket(RegexReader *r, Err *err)
{
    const char *at = r->at;
    if (at[0] == '[' && r->inside && at[1] != ':')
        return read_inner_set(r, err);
    if (at[0] == ']' && r->within > 0) {
        r->within--;
        r->at++;
        lone_dash(r);
        return true;
    }
    if (at[0] == '[' && !r->inside) {
        r->inside = true;
        size_t n = at[1] == '^' ? 2 : 1;
        n += at[n] == ']'; /* the first is no end */
        text_add(&r->out, at, n);
        r->at += n;
        return true;
    }
    if (at[0] == '[') { /* [:alpha:] */
        const char *end = strstr(at, ":]");
        if (!end)
            return err_set(err, ERR_INPUT, "'[:' has no end");
        text_add(&r->out, at, (size_t)(end - at) + 2);
        r->at = end + 2;
        return true;
    }
    r->inside = false;
    text_add(&r->out, at, 1);
    r->at++;
    return true;
}

static bool read_one(RegexReader *r, Err *err)
{
    const char *at = r->at;
    if (at[0] == '\\')
        return read_escape(r, err);
    if (at[0] == '[' || (at[0] == ']' && r->inside))
        return read_bracket(r, err);
    if (r->inside && at[0] == '&' && at[1] == '&')
        return err_set(err, ERR_INPUT, "'&&' within a set is not supported");
    if (r->inside && at[0] == '-' && (at[1] == '[' || (at[1] == ']' && r->within > 0))) {
        lone_dash(r);
        return true;
    }
    if (!r->inside && at[0] == '}' && at[1] == '+')
        return err_set(err, ERR_INPUT, "'}+' is not supported");
    text_add(&r->out, at, 1);
    r->at++;
    return true;
}

pcre2_code *regex_compile(const char *expression, Err *err)
{
    RegexReader reader = { .at = expression };
    pcre2_code *code = NULL;
    bool ok = true;
    text_adds(&reader.out, "");
    while (ok && *reader.at)
        ok = read_one(&reader, err);
    if (ok) {
        int fault = 0;
        PCRE2_SIZE place = 0;
        pcre2_compile_context *context = pcre2_compile_context_create(NULL);
        REQUIRE(context);
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        code = pcre2_compile((PCRE2_SPTR)reader.out.data, reader.out.size, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                             &fault, &place, context);
        pcre2_compile_context_free(context);
        if (!code) {
            PCRE2_UCHAR message[128] = { 0 };
            pcre2_get_error_message(fault, message, sizeof(message));
            err_set(err, ERR_INPUT, "%s", (const char *)message);
        }
    }
    if (code)
        pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it, matches are slower */
    else
        err_at(err, "the expression '%s'", expression);
    text_release(&reader.out);
    return code;
}

void regex_free(pcre2_code *code)
{
    pcre2_code_free(code);
}

/* ---- finding --------------------------------------------------------------- */

static bool next_match(const pcre2_code *code, const char *text, size_t n, size_t at, pcre2_match_data *match)
{
    const PCRE2_SPTR subject = (PCRE2_SPTR)text;
    int found = pcre2_match(code, subject, n, at, PCRE2_NO_UTF_CHECK, match, NULL);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) /* the JIT's stack is small */
        found = pcre2_match(code, subject, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match, NULL);
    return found > 0;
}

void regex_find(const pcre2_code *code, const char *text, size_t n, Segments *out)
{
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, NULL);
    REQUIRE(match);
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(match);
    size_t done = 0; /* behind the last match */
    bool any = false;
    for (size_t at = 0; at <= n;) {
        if (!next_match(code, text, n, at, match))
            break;
        const size_t begin = found[0], end = found[1];
        if (begin == end && any && end == done) { /* empty, right behind the last */
            if (at < n)
                unicode_next(text, &at);
            else
                at++;
            continue;
        }
        if (begin > done)
            segments_add(out, done, begin, false);
        segments_add(out, begin, end, true);
        done = at = end;
        any = true;
    }
    if (done < n)
        segments_add(out, done, n, false);
    pcre2_match_data_free(match);
}
