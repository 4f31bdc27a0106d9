#include "worker/eval/squad.h"

#include "common/base/mem.h"
#include "common/metrics/words.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

enum { CAPITAL_SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2 };

/* ---- the normal form ---------------------------------------------------------------------- */

static bool is_ascii_punctuation(int32_t c)
{
    return c > 0x20 && c < 0x7F && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z');
}

/* Python's str.isalnum; underscores are gone where it is asked. */
static bool is_word(int32_t c)
{
    return unicode_is_regex_letter(c) || unicode_is_numeric(c);
}

static bool is_cased(int32_t c)
{
    int32_t lower[2];
    return unicode_lower(lower, c) != 1 || lower[0] != c || (unicode_is_regex_letter(c) && !unicode_is_mark(c));
}

/* What the search for a letter passes over (Case_Ignorable): marks, format characters, points and quotes within words. */
static bool is_ignorable(int32_t c)
{
    static const int32_t points[] = { '\'',   '.',    ':',    '^',    '`',    0xA8,   0xAF,   0xB4,   0xB7,   0xB8,
                                      0x2018, 0x2019, 0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A };
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        if (c == points[i])
            return true;
    const bool private = (c >= 0xE000 && c <= 0xF8FF) || c >= 0xF0000;
    return unicode_is_mark(c) || (c > 0x9F && !private && unicode_is_other(c));
}

/* Unicode's condition: a letter stands before, none behind. */
static bool is_final(const char *text, size_t n, size_t at, size_t next)
{
    size_t k = at;
    bool before = false, behind = false;
    while (k > 0 && !before) {
        k = unicode_before(text, k);
        size_t end = k;
        const int32_t c = unicode_next(text, &end);
        before = is_cased(c);
        if (!before && !is_ignorable(c))
            break;
    }
    for (k = next; k < n && !behind;) {
        const int32_t c = unicode_next(text, &k);
        behind = is_cased(c);
        if (!behind && !is_ignorable(c))
            break;
    }
    return before && !behind;
}

/* Lower case, without punctuation. */
static void add_plain(Text *out, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        const size_t from = at;
        const int32_t c = unicode_next(text, &at);
        int32_t lower[2];
        if (c == CAPITAL_SIGMA && is_final(text, n, from, at)) {
            unicode_add(out, FINAL_SIGMA);
            continue;
        }
        const size_t count = unicode_lower(lower, c);
        for (size_t i = 0; i < count; i++)
            if (!is_ascii_punctuation(lower[i]))
                unicode_add(out, lower[i]);
    }
}

/* Bytes of the article that begins at text[at], a word of its own; 0: none does. */
static size_t article(const char *text, size_t n, size_t at)
{
    static const char *const articles[] = { "a", "an", "the" };
    size_t before = at > 0 ? unicode_before(text, at) : 0;
    if (at > 0 && is_word(unicode_next(text, &before)))
        return 0;
    for (size_t i = 0; i < sizeof articles / sizeof *articles; i++) {
        const size_t size = strlen(articles[i]);
        size_t behind = at + size;
        if (behind > n || memcmp(text + at, articles[i], size) != 0)
            continue;
        if (behind == n || !is_word(unicode_next(text, &behind)))
            return size;
    }
    return 0;
}

void squad_normal(Text *out, const char *text, size_t n)
{
    Text plain = { 0 }, rest = { 0 };
    Words words = { 0 };
    add_plain(&plain, text, n);
    for (size_t at = 0; at < plain.size;) {
        const size_t size = article(plain.data, plain.size, at);
        size_t next = at;
        if (size == 0)
            unicode_next(plain.data, &next);
        text_add(&rest, size > 0 ? " " : plain.data + at, size > 0 ? 1 : next - at);
        at += size > 0 ? size : next - at;
    }
    words_split(&words, rest.data ? rest.data : "", rest.size);
    for (int64_t i = 0; i < words.count; i++) {
        text_adds(out, i > 0 ? " " : "");
        text_add(out, words.text[i], words.size[i]);
    }
    words_release(&words);
    text_release(&rest);
    text_release(&plain);
}

/* ---- scores ------------------------------------------------------------------------------------ */

/* How many words two bags share, each as often as it is in both. */
static int64_t shared(const Words *a, const Words *b)
{
    int64_t most = 0, sum = 0;
    for (int64_t i = 0; i < a->count; i++)
        most = a->ids[i] >= most ? a->ids[i] + 1 : most;
    int64_t *left = xcalloc((size_t)most + 1, sizeof *left);
    for (int64_t i = 0; i < a->count; i++)
        left[a->ids[i]]++;
    for (int64_t i = 0; i < b->count; i++)
        if (b->ids[i] < most && left[b->ids[i]] > 0) {
            left[b->ids[i]]--;
            sum++;
        }
    free(left);
    return sum;
}

/* Of two normal forms. */
static double f1_of(const Text *given, const Text *wanted, bool impossible)
{
    Words bags[2] = { 0 };
    words_split(&bags[0], given->data ? given->data : "", given->size);
    words_split(&bags[1], wanted->data ? wanted->data : "", wanted->size);
    words_number(bags, 2);
    const double a = (double)bags[0].count, b = (double)bags[1].count;
    const double same = (double)shared(&bags[0], &bags[1]);
    words_release(&bags[0]);
    words_release(&bags[1]);
    if (impossible && (a == 0 || b == 0))
        return a == b;
    return same == 0 ? 0.0 : 2.0 * (same / a) * (same / b) / (same / a + same / b);
}

static void raise(double *best, double value)
{
    *best = value > *best ? value : *best;
}

SquadScore squad_score(SquadText given, const SquadText *wanted, int64_t count, bool impossible)
{
    SquadScore score = { 0 };
    Text mine = { 0 }, theirs = { 0 };
    bool any = false;
    squad_normal(&mine, given.data, given.size);
    REQUIRE(count > 0 || impossible);
    for (int64_t i = 0; i < count || (impossible && !any); i++) {
        text_clear(&theirs);
        if (i < count)
            squad_normal(&theirs, wanted[i].data, wanted[i].size);
        if (impossible && i < count && theirs.size == 0)
            continue;
        any = true;
        raise(&score.exact,
              mine.size == theirs.size && (mine.size == 0 || memcmp(mine.data, theirs.data, mine.size) == 0));
        raise(&score.f1, f1_of(&mine, &theirs, impossible));
    }
    text_release(&theirs);
    text_release(&mine);
    return score;
}
