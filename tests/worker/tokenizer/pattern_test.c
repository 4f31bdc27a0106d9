#include "worker/tokenizer/pattern.h"

#include "worker/tokenizer/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"
#define REST "[^\\s\\p{L}\\p{N}]+"
#define GPT2 CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?" REST "|\\s+(?!\\S)|\\s+"
#define LLAMA3_WITH(numbers)                                                                                           \
    "(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers "| ?" REST "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static uint64_t state = 5;

static uint32_t next_random(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % below;
}

/* What the expressions tell apart, and any character at all. */
static void add_random(Text *text)
{
    static const char *const parts[] = { " ",      " ",      "  ",     "\n",         "\r\n",      "\t",     "'",
                                         "'s",     "'L",     "l",      "'RE",        "'\u017f",   "'ve",    "d",
                                         "a",      "Zz",     "é",      "中",         "1",         "12",     "²",
                                         ".",      "!?",     "$",      "\u0301",     "_",         "\u00a0", "\u2028",
                                         "\u3000", "\u200b", "\u0660", "\U00016ff4", "\U00010d4d" };
    if (next_random(8) > 0) {
        text_adds(text, parts[next_random(sizeof(parts) / sizeof(parts[0]))]);
        return;
    }
    const int32_t c = 1 + (int32_t)next_random(next_random(2) ? 0x10FFFF : 0x2FFF);
    if (c < 0xD800 || c > 0xDFFF)
        unicode_add(text, c);
}

static void expect_same(const Text *text, const Segments *a, const Segments *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = a->data[i].begin == b->data[i].begin && a->data[i].end == b->data[i].end &&
               a->data[i].match == b->data[i].match;
    if (!same)
        fail_msg("\"%s\" is split otherwise", text->data);
}

static void compare(const char *expression, int times)
{
    Err err = { 0 };
    Pattern scanner = { 0 }, regex = { 0 };
    Segments a = { 0 }, b = { 0 };
    Text text = { 0 };
    assert_true(pattern_regex(&scanner, expression, true, &err));
    assert_true(pattern_regex(&regex, expression, false, &err));
    assert_non_null(scanner.scan);
    assert_null(regex.scan);
    for (int i = 0; i < times; i++) {
        text_clear(&text);
        for (uint32_t k = next_random(14); k < 15; k++)
            add_random(&text);
        a.count = b.count = 0;
        pattern_find(&scanner, text.data, text.size, &a);
        pattern_find(&regex, text.data, text.size, &b);
        expect_same(&text, &a, &b);
    }
    free(a.data);
    free(b.data);
    text_release(&text);
    pattern_release(&scanner);
    pattern_release(&regex);
}

static void scanners_find_what_the_expressions_find(void **unused)
{
    (void)unused;
    compare(GPT2, 20000);
    compare(LLAMA3_WITH("\\p{N}{1,3}"), 20000);
    compare(LLAMA3_WITH("\\p{N}"), 20000);
}

static void expect_pieces(const char *expression, const char *text, SplitBehavior behavior, const char *want)
{
    Err err = { 0 };
    Pattern pattern = { 0 };
    Segments segments = { 0 };
    Pieces pieces = { 0 };
    Text have = { 0 };
    if (!pattern_regex(&pattern, expression, true, &err))
        fail_msg("%s: %s", err.where, err.what);
    pattern_find(&pattern, text, strlen(text), &segments);
    split_segments(&segments, behavior, 0, &pieces);
    text_adds(&have, "");
    for (size_t i = 0; i < pieces.count; i++) {
        text_adds(&have, i > 0 ? "|" : "");
        text_add(&have, text + pieces.data[i].at, pieces.data[i].size);
    }
    assert_string_equal(have.data, want);
    free(segments.data);
    free(pieces.data);
    text_release(&have);
    pattern_release(&pattern);
}

static void matches_become_pieces_as_the_behavior_says(void **unused)
{
    (void)unused;
    expect_pieces("-", "-a--b", SPLIT_REMOVED, "a|b");
    expect_pieces("-", "-a--b", SPLIT_ISOLATED, "-|a|-|-|b");
    expect_pieces("-", "-a--b", SPLIT_CONTIGUOUS, "-|a|--|b");
    expect_pieces("-", "-a--b", SPLIT_MERGED_WITH_PREVIOUS, "-|a-|-|b");
    expect_pieces("-", "-a--b", SPLIT_MERGED_WITH_NEXT, "-a|-|-b");
}

static void classes_are_of_the_unicode_that_oniguruma_knows(void **unused)
{
    (void)unused;
    expect_pieces("\\p{L}", "1\U00010d4d2", SPLIT_ISOLATED, "1|\U00010d4d|2"); /* Unicode 16 */
    expect_pieces("\\P{Lu}+", "a\u1c89b", SPLIT_ISOLATED, "a|\u1c89|b");
    expect_pieces("\\s",
                  "a\u180eb\xC2\x85"
                  "c",
                  SPLIT_REMOVED, "a\u180eb|c");
    expect_pieces("\\w", "²", SPLIT_REMOVED, "");
    expect_pieces("[^\\w]", "²", SPLIT_REMOVED, "");
    expect_pieces("\\h", "gf", SPLIT_ISOLATED, "g|f");
    expect_pieces("\\u00e9", "aéb", SPLIT_REMOVED, "a|b");
    expect_pieces("\\b", "a\u0301 b", SPLIT_ISOLATED, "a\u0301| |b");
}

/* Its members are the outer set's. */
static void a_set_within_a_set_is_joined(void **unused)
{
    (void)unused;
    expect_pieces("[a[bc]d]+", "xabcdex[]", SPLIT_ISOLATED, "x|abcd|ex[]");
    expect_pieces(" ?[^(\\s|[.,!?])]+", "ab]c (e[f.", SPLIT_ISOLATED, "ab]c| (|e[f|.");
    expect_pieces("[a[-c]]+", "abc-", SPLIT_ISOLATED, "a|b|c-");
    expect_pieces("[a[b-]c]+", "abxc-", SPLIT_ISOLATED, "ab|x|c-");
    expect_pieces("[[a]-c]+", "b-ac", SPLIT_ISOLATED, "b|-ac");
}

static void what_cannot_be_said_to_pcre2_is_refused(void **unused)
{
    (void)unused;
    static const char *const cases[][2] = {
        { "[a[^bc]]", "'[^' within a set is not supported" },
        { "[a[]bc]]", "'[]' within a set is not supported" },
        { "[a&&b]", "'&&' within a set is not supported" },
        { "a{1,2}+", "'}+' is not supported" },
        { "\\K", "'\\K' is not supported" },
        { "a\\", "the expression ends in a backslash" },
        { "[[:alpha", "'[:' has no end" },
        { "(a", "missing closing parenthesis" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Err err = { 0 };
        Pattern pattern = { 0 };
        assert_false(pattern_regex(&pattern, cases[i][0], true, &err));
        if (!strstr(err.what, cases[i][1]))
            fail_msg("wanted \"%s\", got \"%s\"", cases[i][1], err.what);
        assert_non_null(strstr(err.where, cases[i][0]));
        pattern_release(&pattern);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scanners_find_what_the_expressions_find),
        cmocka_unit_test(matches_become_pieces_as_the_behavior_says),
        cmocka_unit_test(classes_are_of_the_unicode_that_oniguruma_knows),
        cmocka_unit_test(a_set_within_a_set_is_joined),
        cmocka_unit_test(what_cannot_be_said_to_pcre2_is_refused),
    };
    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
