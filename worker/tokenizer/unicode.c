#include "worker/tokenizer/unicode.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <utf8proc.h>

/* No character's full decomposition is longer (U+FDFA has 18). */
enum { LONGEST_DECOMPOSITION = 32 };

void codepoints_add(CodePoints *list, int32_t c, int32_t change)
{
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 256;
        list->data = xrealloc(list->data, list->room * sizeof(list->data[0]));
    }
    list->data[list->count++] = (CodePoint){ c, change };
}

void codepoints_release(CodePoints *list)
{
    free(list->data);
    *list = (CodePoints){ 0 };
}

size_t unicode_before(const char *text, size_t at)
{
    do
        at--;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

size_t unicode_encode(char *out, int32_t c)
{
    return (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out);
}

void unicode_add(Text *text, int32_t c)
{
    char bytes[4];
    text_add(text, bytes, unicode_encode(bytes, c));
}

/* ---- sets ----------------------------------------------------------------- */

static bool within(int32_t c, const UnicodeRange *ranges, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (c > ranges[middle].last)
            low = middle + 1;
        else if (c < ranges[middle].first)
            high = middle;
        else
            return true;
    }
    return false;
}

static bool in_set(int32_t c, const UnicodeSet *set)
{
    bool in = within(c, set->ranges, set->count);
    for (set = set->unlike; set; set = set->unlike)
        in ^= within(c, set->ranges, set->count);
    return in;
}

/* Where range `i` begins (even) or the character behind its end (odd). */
static int32_t edge(const UnicodeRange *ranges, size_t i)
{
    return i % 2 == 0 ? ranges[i / 2].first : ranges[i / 2].last + 1;
}

/* A set begins or ends at each edge; the one that two sets have alike is none of their difference's. */
UnicodeRange *unicode_ranges(const UnicodeSet *set, size_t *count)
{
    size_t others = 0, edges = 0, a = 0, b = 0;
    UnicodeRange *other = set->unlike ? unicode_ranges(set->unlike, &others) : NULL;
    UnicodeRange *out = xmalloc((set->count + others + 1) * sizeof *out);
    while (a < 2 * set->count || b < 2 * others) {
        const int32_t here = a < 2 * set->count ? edge(set->ranges, a) : INT32_MAX;
        const int32_t there = b < 2 * others ? edge(other, b) : INT32_MAX;
        a += here <= there;
        b += there <= here;
        if (here == there)
            continue;
        if (edges % 2 == 0)
            out[edges / 2].first = here < there ? here : there;
        else
            out[edges / 2].last = (here < there ? here : there) - 1;
        edges++;
    }
    free(other);
    *count = edges / 2;
    return out;
}

bool unicode_is_space(int32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r');
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

bool unicode_is_other(int32_t c)
{
    return in_set(c, &unicode_other);
}

bool unicode_is_punctuation(int32_t c)
{
    return in_set(c, &unicode_punctuation);
}

bool unicode_is_nonspacing(int32_t c)
{
    return in_set(c, &unicode_nonspacing);
}

bool unicode_is_mark(int32_t c)
{
    return in_set(c, &unicode_mark);
}

bool unicode_is_numeric(int32_t c)
{
    return in_set(c, &unicode_numeric);
}

bool unicode_is_word(int32_t c)
{
    return in_set(c, &unicode_word);
}

bool unicode_is_regex_letter(int32_t c)
{
    return in_set(c, &unicode_regex_letter);
}

bool unicode_is_regex_number(int32_t c)
{
    return in_set(c, &unicode_regex_number);
}

bool unicode_is_cjk(int32_t c)
{
    /* 2B920 is what tokenizers has; BERT's own code says 2B820. */
    static const UnicodeRange cjk[] = {
        { 0x3400, 0x4DBF },   { 0x4E00, 0x9FFF },   { 0xF900, 0xFAFF },   { 0x20000, 0x2A6DF },
        { 0x2A700, 0x2B81F }, { 0x2B920, 0x2CEAF }, { 0x2F800, 0x2FA1F },
    };
    return c >= cjk[0].first && within(c, cjk, LENGTH(cjk));
}

/* ---- clusters -------------------------------------------------------------- */

/* c, or one that the installed utf8proc knows to join as c does. */
static int32_t known_cluster(int32_t c)
{
    enum { SOME_MARK = 0x301, SOME_LETTER = 'b' };
    if (c < 0x300)
        return c;
    const int class = utf8proc_get_property(c)->boundclass;
    const bool joins = class == UTF8PROC_BOUNDCLASS_EXTEND || class == UTF8PROC_BOUNDCLASS_ZWJ ||
                       class == UTF8PROC_BOUNDCLASS_SPACINGMARK;
    if (in_set(c, &unicode_joining) == joins)
        return c;
    return joins ? SOME_LETTER : SOME_MARK;
}

bool unicode_cluster_ends(int32_t before, int32_t c, int32_t *state)
{
    return utf8proc_grapheme_break_stateful(known_cluster(before), known_cluster(c), state);
}

/* ---- lower case ------------------------------------------------------------ */

size_t unicode_lower(int32_t out[2], int32_t c)
{
    /* Newer than the Unicode 15 of an installed utf8proc: first, last, distance. */
    static const struct {
        int32_t first, last, distance;
    } newer[] = {
        { 0x1C89, 0x1C89, 1 },      { 0xA7CB, 0xA7CB, 0x264 - 0xA7CB },
        { 0xA7CC, 0xA7CC, 1 },      { 0xA7CE, 0xA7CE, 1 },
        { 0xA7D2, 0xA7D2, 1 },      { 0xA7D4, 0xA7D4, 1 },
        { 0xA7DA, 0xA7DA, 1 },      { 0xA7DC, 0xA7DC, 0x19B - 0xA7DC },
        { 0x10D50, 0x10D65, 0x20 }, { 0x16EA0, 0x16EB8, 0x1B },
    };
    if (c == 0x130) { /* the one character whose lower case is two */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = c;
    if (c >= newer[0].first)
        for (size_t i = 0; i < LENGTH(newer); i++)
            if (c >= newer[i].first && c <= newer[i].last) {
                out[0] = c + newer[i].distance;
                return 1;
            }
    out[0] = utf8proc_tolower(c);
    return 1;
}

/* ---- normal forms ---------------------------------------------------------- */

/* Decompositions that came after the Unicode 9 of tokenizers' normal forms. */
static bool is_too_new(int32_t c)
{
    static const UnicodeRange newer[] = {
        { 0x32FF, 0x32FF },   { 0xA7F1, 0xA7F4 },   { 0xAB69, 0xAB69 },   { 0x105C9, 0x105C9 }, { 0x105E4, 0x105E4 },
        { 0x10781, 0x107BA }, { 0x11383, 0x11391 }, { 0x113C5, 0x113C8 }, { 0x11938, 0x11938 }, { 0x16121, 0x16128 },
        { 0x16D68, 0x16D6A }, { 0x1CCD6, 0x1CCF9 }, { 0x1E030, 0x1E06D }, { 0x1F16C, 0x1F16C }, { 0x1FBF0, 0x1FBF9 },
    };
    return within(c, newer, LENGTH(newer));
}

void unicode_decompose(CodePoints *out, int32_t c, bool compat)
{
    if (c < 0x80 || is_too_new(c)) {
        codepoints_add(out, c, 0);
        return;
    }
    utf8proc_int32_t parts[LONGEST_DECOMPOSITION];
    int boundary = 0;
    const utf8proc_option_t how = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compat ? UTF8PROC_COMPAT : 0);
    const utf8proc_ssize_t n = utf8proc_decompose_char(c, parts, LONGEST_DECOMPOSITION, how, &boundary);
    REQUIRE(n >= 0 && n <= LONGEST_DECOMPOSITION);
    for (utf8proc_ssize_t i = 0; i < n; i++)
        codepoints_add(out, parts[i], i > 0);
}

static int combining_class(int32_t c)
{
    if (c < 0x300 || !in_set(c, &unicode_ordered))
        return 0;
    return utf8proc_get_property(c)->combining_class;
}

/* Stable, by counting: a run of marks may be as long as the text. */
static void sort_long_run(CodePoint *marks, size_t n)
{
    size_t start[257] = { 0 };
    CodePoint *sorted = xmalloc(n * sizeof(marks[0]));
    for (size_t i = 0; i < n; i++)
        start[combining_class(marks[i].c) + 1]++;
    for (size_t k = 1; k < LENGTH(start); k++)
        start[k] += start[k - 1];
    for (size_t i = 0; i < n; i++)
        sorted[start[combining_class(marks[i].c)]++] = marks[i];
    for (size_t i = 0; i < n; i++)
        marks[i] = sorted[i];
    free(sorted);
}

static void sort_run(CodePoint *marks, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const CodePoint mark = marks[i];
        const int class = combining_class(mark.c);
        size_t k = i;
        for (; k > 0 && combining_class(marks[k - 1].c) > class; k--)
            marks[k] = marks[k - 1];
        marks[k] = mark;
    }
}

void unicode_reorder(CodePoints *list, size_t from)
{
    enum { SHORT_RUN = 16 };
    size_t run = from; /* behind the last starter */
    for (size_t i = from; i <= list->count; i++) {
        if (i < list->count && combining_class(list->data[i].c) != 0)
            continue;
        if (i - run > SHORT_RUN)
            sort_long_run(list->data + run, i - run);
        else if (i - run > 1)
            sort_run(list->data + run, i - run);
        run = i + 1;
    }
}

enum { /* Hangul's syllables are counted, not listed */
       L_FIRST = 0x1100,
       L_COUNT = 19,
       V_FIRST = 0x1161,
       V_COUNT = 21,
       T_BEFORE = 0x11A7,
       T_COUNT = 28,
       S_FIRST = 0xAC00,
       S_COUNT = L_COUNT * V_COUNT * T_COUNT
};

/* What the two are joined into; -1: they are not. */
static int32_t joined(int32_t a, int32_t b)
{
    if (a >= L_FIRST && a < L_FIRST + L_COUNT && b >= V_FIRST && b < V_FIRST + V_COUNT)
        return S_FIRST + ((a - L_FIRST) * V_COUNT + (b - V_FIRST)) * T_COUNT;
    if (a >= S_FIRST && a < S_FIRST + S_COUNT && (a - S_FIRST) % T_COUNT == 0 && b > T_BEFORE && b < T_BEFORE + T_COUNT)
        return a + (b - T_BEFORE);
    if (b < 0x300)
        return -1;
    size_t low = 0, high = unicode_pair_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const UnicodePair *pair = &unicode_pairs[middle];
        if (pair->first == a && pair->second == b)
            return pair->joined;
        if (pair->first < a || (pair->first == a && pair->second < b))
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

void unicode_compose(CodePoints *list)
{
    CodePoint *const data = list->data;
    size_t kept = 0, starter = 0; /* data[starter] may be joined, if there is one */
    bool has_starter = false;
    int last = -1; /* class of the mark before that was kept; -1: none behind the starter */
    for (size_t i = 0; i < list->count; i++) {
        const CodePoint point = data[i];
        const int class = combining_class(point.c);
        if (has_starter && last < class) {
            const int32_t whole = joined(data[starter].c, point.c);
            if (whole >= 0) {
                data[starter].c = whole;
                data[starter].change += point.change - 1;
                continue;
            }
        }
        if (class == 0) {
            has_starter = true;
            starter = kept;
            last = -1;
        } else {
            last = class;
        }
        data[kept++] = point;
    }
    list->count = kept;
}

bool unicode_is_plain_nfc(int32_t c)
{
    static const UnicodeRange plain[] = {
        { 0x0, 0x2FF },     { 0x370, 0x373 },   { 0x388, 0x481 },   { 0x48A, 0x590 },   { 0x3041, 0x3098 },
        { 0x309B, 0x30FF }, { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xAC00, 0xD7A3 }, { 0x1F300, 0x1F9FF },
    };
    return within(c, plain, LENGTH(plain));
}
