#include "common/metrics/words.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

size_t words_space(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    if (n >= 1 && s[0] < 0x80)
        return s[0] == ' ' || (s[0] >= 0x09 && s[0] <= 0x0D) || (s[0] >= 0x1C && s[0] <= 0x1F);
    if (n >= 2 && s[0] == 0xC2 && (s[1] == 0x85 || s[1] == 0xA0))
        return 2;
    if (n < 3 || (s[2] & 0xC0) != 0x80)
        return 0;
    const unsigned c = (s[0] & 0x0FU) << 12 | (s[1] & 0x3FU) << 6 | (s[2] & 0x3FU);
    const int wide = (s[0] & 0xF0) == 0xE0 && (c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
                                               c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000);
    return wide ? 3 : 0;
}

static void add(Words *words, const char *text, size_t size)
{
    if (words->count == words->room) {
        words->room = 2 * words->room + 32;
        words->text = xrealloc(words->text, (size_t)words->room * sizeof *words->text);
        words->size = xrealloc(words->size, (size_t)words->room * sizeof *words->size);
        words->ids = xrealloc(words->ids, (size_t)words->room * sizeof *words->ids);
    }
    words->text[words->count] = text;
    words->size[words->count++] = size;
}

void words_split(Words *words, const char *text, size_t n)
{
    size_t begin = 0;
    for (size_t i = 0; i <= n;) {
        const size_t space = i < n ? words_space(text + i, n - i) : 1;
        if (space && i > begin)
            add(words, text + begin, i - begin);
        i += space ? space : 1;
        if (space)
            begin = i;
    }
}

void words_release(Words *words)
{
    free(words->text);
    free(words->size);
    free(words->ids);
    *words = (Words){ 0 };
}

typedef struct Place {
    const char *text;
    size_t size;
    int32_t *id;
} Place;

static int by_text(const void *a, const void *b)
{
    const Place *x = a, *y = b;
    const int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

void words_number(Words *lists, int64_t count)
{
    int64_t total = 0, n = 0;
    for (int64_t i = 0; i < count; i++)
        total += lists[i].count;
    Place *places = xmalloc((size_t)(total + 1) * sizeof *places);
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < lists[i].count; k++)
            places[n++] = (Place){ lists[i].text[k], lists[i].size[k], &lists[i].ids[k] };
    qsort(places, (size_t)n, sizeof *places, by_text);
    int32_t id = 0;
    for (int64_t k = 0; k < n; k++) {
        id += k > 0 && by_text(&places[k - 1], &places[k]) != 0;
        *places[k].id = id;
    }
    free(places);
}
