/* The regular expressions of GPT-2, Llama 3 and Qwen2 by hand: their alternatives are
 * told apart by the next character or two. */
#include "common/base/mem.h"
#include "worker/tokenizer/pattern.h"
#include "worker/tokenizer/unicode.h"

#include <string.h>

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define GPT2_SHORTER "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_WITH(numbers)                                                                                           \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                                              \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef enum { OTHER, LETTER, NUMBER, SPACE, LINE_END, END } Class;

/* An ASCII character's, by its code. */
static const unsigned char ascii_class[128] = {
    ['A' ... 'Z'] = LETTER, ['a' ... 'z'] = LETTER, ['0' ... '9'] = NUMBER, [' '] = SPACE,     ['\t'] = SPACE,
    ['\v'] = SPACE,         ['\f'] = SPACE,         ['\n'] = LINE_END,      ['\r'] = LINE_END,
};

static Class far_class(int32_t c)
{
    if ((c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x400 && c <= 0x481))
        return LETTER;
    if (unicode_is_space(c))
        return SPACE;
    if (unicode_is_regex_letter(c))
        return LETTER;
    return unicode_is_regex_number(c) ? NUMBER : OTHER;
}

/* Of the character at text[at], whose end goes to *next. */
static inline Class class_at(const char *text, size_t at, size_t n, size_t *next)
{
    *next = at;
    if (at >= n)
        return END;
    const unsigned char byte = (unsigned char)text[at];
    if (byte < 0x80) {
        *next = at + 1;
        return ascii_class[byte];
    }
    return far_class(unicode_next(text, next));
}

/* Behind the run of `class` that text[at] is in. */
static size_t run_end(const char *text, size_t at, size_t n, Class class)
{
    size_t next = at;
    while (class_at(text, at, n, &next) == class)
        at = next;
    return at;
}

/* Behind the spaces from `at` on that the last alternatives take: all at the end of the
 * text, else all but the last, and that if it is the only one. */
static size_t spaces_end(const char *text, size_t at, size_t n)
{
    size_t last = at, end = at, next = at;
    for (;;) {
        const Class class = class_at(text, end, n, &next);
        if (class == END)
            return end;
        if (class != SPACE && class != LINE_END)
            return last > at ? last : end;
        last = end;
        end = next;
    }
}

/* 's 't 'm 'd 're 've 'll at text[at] == '\''; `at` if it is none. */
static size_t contraction_end(const char *text, size_t at, size_t n)
{
    const char a = at + 1 < n ? text[at + 1] : '\0', b = at + 2 < n ? text[at + 2] : '\0';
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return at + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return at + 3;
    return at;
}

size_t scan_gpt2(const char *text, size_t at, size_t n)
{
    size_t next = at, behind = at;
    Class class = class_at(text, at, n, &next);
    if (text[at] == '\'') {
        const size_t end = contraction_end(text, at, n);
        if (end > at)
            return end;
    } else if (text[at] == ' ') {
        const Class second = class_at(text, next, n, &behind);
        if (second == LETTER || second == NUMBER || second == OTHER) {
            class = second;
            next = behind;
        }
    }
    if (class == SPACE || class == LINE_END)
        return spaces_end(text, at, n);
    return run_end(text, next, n, class);
}

/* As contraction_end, in any case; U+017F is a small s of old. */
static size_t any_case_contraction_end(const char *text, size_t at, size_t n)
{
    if (at + 2 < n && memcmp(text + at + 1, "\xC5\xBF", 2) == 0)
        return at + 3;
    const size_t lower = at + 3 <= n ? 3 : n - at;
    char small[3] = { 0 };
    for (size_t i = 0; i < lower; i++) {
        const char c = text[at + i];
        small[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    return at + contraction_end(small, 0, lower);
}

/* The expression of Llama 3; numbers are cut after `most` characters. */
static inline size_t scan_llama(const char *text, size_t at, size_t n, int most)
{
    size_t next = at, behind = at;
    Class class = class_at(text, at, n, &next);
    if (text[at] == '\'') {
        const size_t end = any_case_contraction_end(text, at, n);
        if (end > at)
            return end;
    }
    if (class == LETTER)
        return run_end(text, next, n, LETTER);
    if (class == NUMBER) {
        for (int digits = 1; digits < most && class_at(text, next, n, &behind) == NUMBER; digits++)
            next = behind;
        return next;
    }
    const Class second = class_at(text, next, n, &behind);
    if (class != LINE_END && second == LETTER)
        return run_end(text, behind, n, LETTER);
    if (class == OTHER || (text[at] == ' ' && second == OTHER))
        return run_end(text, run_end(text, next, n, OTHER), n, LINE_END);
    /* \s*[\r\n]+: up to the last line end among the spaces. */
    size_t lines = at;
    for (size_t k = at;; k = next) {
        class = class_at(text, k, n, &next);
        if (class == LINE_END)
            lines = next;
        else if (class != SPACE)
            break;
    }
    return lines > at ? lines : spaces_end(text, at, n);
}

static size_t scan_llama3(const char *text, size_t at, size_t n)
{
    return scan_llama(text, at, n, 3);
}

static size_t scan_qwen2(const char *text, size_t at, size_t n)
{
    return scan_llama(text, at, n, 1);
}

Scanner scanner_of(const char *expression)
{
    static const struct {
        const char *expression;
        Scanner scan;
    } known[] = {
        { GPT2, scan_gpt2 },
        { GPT2_SHORTER, scan_gpt2 },
        { LLAMA3_WITH("\\p{N}{1,3}"), scan_llama3 },
        { LLAMA3_WITH("\\p{N}"), scan_qwen2 },
    };
    for (size_t i = 0; i < LENGTH(known); i++)
        if (strcmp(known[i].expression, expression) == 0)
            return known[i].scan;
    return NULL;
}
