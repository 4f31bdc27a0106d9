#include "common/metrics/overlap.h"
#include "common/base/maths.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/metrics/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A text and its references, cut and numbered. */
typedef struct Sides {
    Text *text; /* [count] what the words point into */
    Words *words; /* [count]; [0] is the text's, the rest are the references' */
    int64_t count;
} Sides;

static void sides_open(Sides *s, const char *text, const char *const *references, int64_t count,
                       void (*cut)(const char *text, size_t n, Text *out))
{
    s->count = count + 1;
    s->text = xcalloc((size_t)s->count, sizeof *s->text);
    s->words = xcalloc((size_t)s->count, sizeof *s->words);
    for (int64_t i = 0; i < s->count; i++) {
        const char *side = i == 0 ? text : references[i - 1];
        cut(side, strlen(side), &s->text[i]);
        words_split(&s->words[i], s->text[i].data, s->text[i].size);
    }
    words_number(s->words, s->count);
}

static void sides_close(Sides *s)
{
    for (int64_t i = 0; i < s->count; i++) {
        words_release(&s->words[i]);
        text_release(&s->text[i]);
    }
    free(s->words);
    free(s->text);
}

/* ---- tokenizer 13a ---------------------------------------------------------- */

static void replace(Text *text, const char *from, const char *to)
{
    const size_t size = strlen(from);
    Text out = { 0 };
    text_add(&out, "", 0);
    for (size_t i = 0; i < text->size;) {
        const bool here = text->size - i >= size && memcmp(text->data + i, from, size) == 0;
        text_add(&out, here ? to : text->data + i, here ? strlen(to) : 1);
        i += here ? size : 1;
    }
    text_release(text);
    *text = out;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_no_digit(char c)
{
    return !is_digit(c);
}
static bool is_stop(char c)
{
    return c == '.' || c == ',';
}
static bool is_dash(char c)
{
    return c == '-';
}
/* [\{-\~\[-\` -\&\(-\+\:-\@\/] */
static bool is_mark(char c)
{
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
           (c >= ':' && c <= '@') || c == '/';
}

/* Parts every pair of neighbours that fits, from the left and without overlap: a space between, and
 * one before or behind. Bytes will do: what is not ASCII is only ever "no digit". */
static void part_pairs(Text *text, bool (*first)(char), bool (*second)(char), bool before)
{
    Text out = { 0 };
    for (size_t i = 0; i < text->size; i++) {
        if (i + 1 < text->size && first(text->data[i]) && second(text->data[i + 1])) {
            text_add(&out, " ", before);
            text_add(&out, text->data + i, 1);
            text_add(&out, " ", 1);
            text_add(&out, text->data + i + 1, 1);
            text_add(&out, " ", !before);
            i++;
        } else {
            text_add(&out, text->data + i, 1);
        }
    }
    text_release(text);
    *text = out;
}

static void part_marks(Text *text)
{
    Text out = { 0 };
    for (size_t i = 0; i < text->size; i++) {
        const bool mark = is_mark(text->data[i]);
        text_add(&out, " ", mark);
        text_add(&out, text->data + i, 1);
        text_add(&out, " ", mark);
    }
    text_release(text);
    *text = out;
}

/* sacrebleu's Tokenizer13a on line.rstrip(), step for step. */
static void cut_13a(const char *line, size_t n, Text *out)
{
    size_t end = 0;
    for (size_t i = 0; i < n;) {
        const size_t space = words_space(line + i, n - i);
        i += space ? space : 1;
        end = space ? end : i;
    }
    text_add(out, line, end);
    replace(out, "<skipped>", "");
    replace(out, "-\n", "");
    replace(out, "\n", " ");
    replace(out, "&quot;", "\"");
    replace(out, "&amp;", "&");
    replace(out, "&lt;", "<");
    replace(out, "&gt;", ">");
    Text padded = { 0 };
    text_addf(&padded, " %s ", out->data);
    text_release(out);
    *out = padded;
    part_marks(out);
    part_pairs(out, is_no_digit, is_stop, false);
    part_pairs(out, is_stop, is_no_digit, true);
    part_pairs(out, is_digit, is_dash, false);
}

/* ---- BLEU --------------------------------------------------------------------- */

/* The n-grams of one length of one text, sorted; unused places of `at` are -1. */
typedef struct Gram {
    int32_t at[BLEU_ORDER];
} Gram;

static int by_gram(const void *a, const void *b)
{
    const Gram *x = a, *y = b;
    for (int i = 0; i < BLEU_ORDER; i++)
        if (x->at[i] != y->at[i])
            return x->at[i] < y->at[i] ? -1 : 1;
    return 0;
}

static int64_t grams_of(const Words *words, int order, Gram *grams)
{
    const int64_t count = words->count - order + 1;
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < BLEU_ORDER; k++)
            grams[i].at[k] = k < order ? words->ids[i + k] : -1;
    if (count > 0)
        qsort(grams, (size_t)count, sizeof *grams, by_gram);
    return count > 0 ? count : 0;
}

/* A text's different n-grams, how often each occurs, and the most that one reference has of it. */
typedef struct Tally {
    Gram gram;
    int64_t here, there;
} Tally;

static int64_t tally_text(Tally *tally, const Gram *grams, int64_t count)
{
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        if (n == 0 || by_gram(&tally[n - 1].gram, &grams[i]) != 0)
            tally[n++] = (Tally){ grams[i], 0, 0 };
        tally[n - 1].here++;
    }
    return n;
}

/* Both are sorted: one walk along the two. */
static void tally_reference(Tally *tally, int64_t n, const Gram *grams, int64_t count)
{
    for (int64_t t = 0, i = 0; t < n; t++) {
        int64_t same = 0;
        while (i < count && by_gram(&grams[i], &tally[t].gram) <= 0)
            same += by_gram(&grams[i++], &tally[t].gram) == 0;
        if (same > tally[t].there)
            tally[t].there = same;
    }
}

static int64_t nearest_length(const Words *references, int64_t count, int64_t length)
{
    int64_t best = references[0].count;
    for (int64_t i = 1; i < count; i++) {
        const int64_t at = references[i].count;
        const int64_t gap = llabs(at - length), least = llabs(best - length);
        if (gap < least || (gap == least && at < best))
            best = at;
    }
    return best;
}

BleuCounts bleu_count(const char *text, const char *const *references, int64_t count)
{
    REQUIRE(count >= 1);
    Sides s;
    sides_open(&s, text, references, count, cut_13a);
    int64_t most = 1;
    for (int64_t i = 0; i < s.count; i++)
        most = s.words[i].count > most ? s.words[i].count : most;
    Gram *grams = xmalloc((size_t)most * sizeof *grams);
    Tally *tally = xmalloc((size_t)most * sizeof *tally);
    BleuCounts out = { .words = (double)s.words[0].count };
    out.reference_words = (double)nearest_length(s.words + 1, count, s.words[0].count);
    for (int order = 1; order <= BLEU_ORDER; order++) {
        const int64_t all = grams_of(&s.words[0], order, grams), n = tally_text(tally, grams, all);
        out.total[order - 1] = (double)all;
        for (int64_t i = 1; i < s.count; i++)
            tally_reference(tally, n, grams, grams_of(&s.words[i], order, grams));
        for (int64_t t = 0; t < n; t++)
            out.matched[order - 1] += (double)(tally[t].here < tally[t].there ? tally[t].here : tally[t].there);
    }
    free(tally);
    free(grams);
    sides_close(&s);
    return out;
}

double bleu_score(const BleuCounts *counts)
{
    double logs = 0, halves = 1;
    bool any = false;
    for (int n = 0; n < BLEU_ORDER; n++)
        any = any || counts->matched[n] > 0;
    for (int n = 0; any && n < BLEU_ORDER; n++) {
        if (counts->total[n] == 0)
            return 0.0;
        if (counts->matched[n] == 0)
            halves *= 2; /* the k-th length without a match counts as 2^-k of one */
        const double matched = counts->matched[n] == 0 ? 1 / halves : counts->matched[n];
        logs += maths_log(100.0 * matched / counts->total[n]) / BLEU_ORDER;
    }
    const bool brief = counts->words < counts->reference_words;
    return any ? (brief ? maths_exp(1 - counts->reference_words / counts->words) : 1.0) * maths_exp(logs) : 0.0;
}

/* ---- ROUGE-L -------------------------------------------------------------------- */

/* Runs of a-z and 0-9 of the text in lower case. Two letters outside ASCII have lower cases within:
 * the Kelvin sign's is k, that of I with a dot is i and the dot. */
static void cut_alphanumeric(const char *line, size_t n, Text *out)
{
    text_add(out, "", 0);
    for (size_t i = 0; i < n; i++) {
        const char c = line[i];
        const bool upper = c >= 'A' && c <= 'Z';
        if (upper || (c >= 'a' && c <= 'z') || is_digit(c))
            text_add(out, &(char){ (char)(upper ? c - 'A' + 'a' : c) }, 1);
        else if (n - i >= 3 && memcmp(line + i, "\xE2\x84\xAA", 3) == 0)
            text_add(out, "k", 1), i += 2;
        else if (n - i >= 2 && memcmp(line + i, "\xC4\xB0", 2) == 0)
            text_add(out, "i ", 2), i += 1;
        else
            text_add(out, " ", 1);
    }
}

/* Length of the longest common subsequence; row[b->count + 1] is room. */
static int64_t common_length(const Words *a, const Words *b, int64_t *row)
{
    memset(row, 0, (size_t)(b->count + 1) * sizeof *row);
    for (int64_t i = 0; i < a->count; i++) {
        int64_t corner = 0; /* of the row above, one to the left */
        for (int64_t j = 1; j <= b->count; j++) {
            const int64_t above = row[j];
            if (a->ids[i] == b->ids[j - 1])
                row[j] = corner + 1;
            else if (row[j - 1] > above)
                row[j] = row[j - 1];
            corner = above;
        }
    }
    return row[b->count];
}

double rouge_l(const char *text, const char *const *references, int64_t count)
{
    Sides s;
    sides_open(&s, text, references, count, cut_alphanumeric);
    const Words *words = &s.words[0];
    int64_t *row = xmalloc((size_t)(words->count + 1) * sizeof *row);
    double best = 0;
    for (int64_t i = 1; i < s.count; i++) {
        const int64_t both = common_length(&s.words[i], words, row);
        if (both == 0)
            continue;
        const double precision = (double)both / (double)words->count;
        const double recall = (double)both / (double)s.words[i].count;
        best = fmax(best, 2 * precision * recall / (precision + recall));
    }
    free(row);
    sides_close(&s);
    return best;
}
