#include "common/base/text.h"

#include "common/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void reserve(Text *text, size_t more)
{
    const size_t need = text->size + more + 1;
    if (need <= text->capacity)
        return;
    text->capacity = need > 2 * text->capacity ? need : 2 * text->capacity;
    text->data = xrealloc(text->data, text->capacity);
}

void text_add(Text *text, const char *bytes, size_t n)
{
    reserve(text, n);
    if (n > 0)
        memcpy(text->data + text->size, bytes, n);
    text->size += n;
    text->data[text->size] = '\0';
}

void text_adds(Text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_addf(Text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    REQUIRE(n >= 0);
    reserve(text, (size_t)n);
    vsnprintf(text->data + text->size, (size_t)n + 1, format, again);
    va_end(again);
    text->size += (size_t)n;
}

void text_clear(Text *text)
{
    text->size = 0;
    if (text->data)
        text->data[0] = '\0';
}

void text_release(Text *text)
{
    free(text->data);
    *text = (Text){ 0 };
}

char *text_take(Text *text)
{
    char *string = text->data ? text->data : xstrdup("");
    *text = (Text){ 0 };
    return string;
}

enum { SAMPLE = 3 };

void text_sample(Text *text, int *count, const char *name)
{
    if ((*count)++ < SAMPLE)
        text_addf(text, "%s'%s'", *count > 1 ? ", " : "", name);
}

const char *text_sampled(Text *text, int count)
{
    if (count > SAMPLE)
        text_addf(text, " and %d more", count - SAMPLE);
    return text->data ? text->data : "";
}

bool text_starts(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *string, const char *suffix)
{
    const size_t n = strlen(string), k = strlen(suffix);
    return k <= n && strcmp(string + n - k, suffix) == 0;
}

bool text_ends_any(const char *string, const char *suffix)
{
    const size_t n = strlen(string), k = strlen(suffix);
    return k <= n && strcasecmp(string + n - k, suffix) == 0;
}

int text_distance(const char *a, const char *b)
{
    enum { MOST = 80 };
    const size_t na = strlen(a), nb = strlen(b);
    if (na > MOST || nb > MOST)
        return MOST;
    int rows[3][MOST + 1]; /* of a[0, i-2], a[0, i-1], a[0, i] against every beginning of b */
    int *two = rows[0], *one = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int *last = two;
        two = one;
        one = row;
        row = last;
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            const int replace = one[j - 1] + (a[i - 1] != b[j - 1]);
            const int other = 1 + (one[j] < row[j - 1] ? one[j] : row[j - 1]);
            row[j] = replace < other ? replace : other;
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && two[j - 2] + 1 < row[j])
                row[j] = two[j - 2] + 1;
        }
    }
    return row[nb];
}

int text_slips(const char *word)
{
    const size_t third = strlen(word) / 3;
    return third > 3 ? 3 : (int)third;
}

const char *text_nearest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    int least = text_slips(word) + 1;
    for (size_t i = 0; i < n; i++) {
        const int d = text_distance(word, names[i]);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

/* Length of the sequence that starts with `lead`, and the lowest code point
 * that may need it; 0 for a byte that starts none. */
static size_t sequence_length(unsigned char lead, uint32_t *lowest)
{
    if (lead < 0x80)
        return *lowest = 0, 1;
    if (lead >= 0xC2 && lead < 0xE0)
        return *lowest = 0x80, 2;
    if (lead >= 0xE0 && lead < 0xF0)
        return *lowest = 0x800, 3;
    if (lead >= 0xF0 && lead < 0xF5)
        return *lowest = 0x10000, 4;
    return 0;
}

bool text_is_ascii(const char *bytes, size_t n)
{
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++)
        any |= (unsigned char)bytes[i];
    return any < 0x80;
}

size_t text_utf8_valid(const char *bytes, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint32_t lowest = 0;
        const unsigned char lead = (unsigned char)bytes[i];
        const size_t k = sequence_length(lead, &lowest);
        if (k == 0 || k > n - i)
            return i;
        uint32_t code = k == 1 ? lead : lead & (0xFFU >> (k + 1));
        for (size_t j = 1; j < k; j++) {
            const unsigned char c = (unsigned char)bytes[i + j];
            if ((c & 0xC0) != 0x80)
                return i;
            code = code << 6 | (c & 0x3F);
        }
        if (code < lowest || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
            return i;
        i += k;
    }
    return n;
}

int64_t text_bytes(const char *text)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = { { "MB", 1e6 }, { "GB", 1e9 }, { "TB", 1e12 } };
    char *rest;
    const double number = strtod(text, &rest);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (rest > text && strcmp(rest, units[i].unit) == 0 && number * units[i].bytes >= 1 && number < 1e6)
            return (int64_t)(number * units[i].bytes);
    return 0;
}
