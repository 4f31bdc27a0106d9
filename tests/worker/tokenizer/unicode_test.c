#include "worker/tokenizer/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect_points(const CodePoints *have, const int32_t *want, size_t count)
{
    assert_int_equal(have->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(have->data[i].c, want[i]);
}

static void every_code_point_survives_utf8(void **state)
{
    (void)state;
    for (int32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        char bytes[4];
        size_t at = 0;
        const size_t n = unicode_encode(bytes, c);
        assert_int_equal(unicode_next(bytes, &at), c);
        assert_int_equal(at, n);
        assert_int_equal(unicode_before(bytes, n), 0);
    }
}

static void lower_case_is_full_and_not_contextual(void **state)
{
    (void)state;
    static const int32_t cases[][2] = {
        { 'A', 'a' },         { 0x3A3, 0x3C3 },  { 0x1E9E, 0xDF },     { 0x2126, 0x3C9 },
        { 0x10400, 0x10428 }, { 0xA7DC, 0x19B }, { 0x16EA0, 0x16EBB }, { 0x4E00, 0x4E00 },
    };
    int32_t lower[2];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(unicode_lower(lower, cases[i][0]), 1);
        assert_int_equal(lower[0], cases[i][1]);
    }
    assert_int_equal(unicode_lower(lower, 0x130), 2);
    assert_int_equal(lower[0], 'i');
    assert_int_equal(lower[1], 0x307);
}

static void classes_are_those_of_the_crates_not_of_the_newest_unicode(void **state)
{
    (void)state;
    assert_true(unicode_is_punctuation('$'));
    assert_true(unicode_is_punctuation(0x3002));
    assert_false(unicode_is_punctuation(0x2E43)); /* P since Unicode 9 */
    assert_true(unicode_is_nonspacing(0x301));
    assert_false(unicode_is_nonspacing(0x1DF6)); /* Mn since Unicode 10 */
    assert_true(unicode_is_other(0xE000));
    assert_false(unicode_is_other(0x378)); /* not assigned */
    assert_true(unicode_is_word(0x200D));
    assert_true(unicode_is_numeric(0x2160));
    assert_false(unicode_is_cjk(0x2B820)); /* tokenizers leaves a hole here */
    assert_true(unicode_is_cjk(0x2B920));
}

static void marks_are_ordered_by_class_and_stay_in_turn_within_one(void **state)
{
    (void)state;
    enum { MARKS = 900 };
    /* classes 230, 220, 230, 1; longer than a short run, and as one */
    static const int32_t marks[] = { 0x301, 0x323, 0x300, 0x334 };
    for (int count = 4; count <= MARKS; count += 4) {
        CodePoints list = { 0 };
        codepoints_add(&list, 'a', 0);
        for (int i = 0; i < count; i++)
            codepoints_add(&list, marks[i % 4], 0);
        codepoints_add(&list, 'b', 0);
        unicode_reorder(&list, 0);
        for (int i = 0; i < count; i++) {
            const int32_t want = i < count / 4              ? 0x334
                                 : i < count / 2            ? 0x323
                                 : i % 2 == (count / 2) % 2 ? 0x301
                                                            : 0x300;
            assert_int_equal(list.data[1 + i].c, want);
        }
        assert_int_equal(list.data[count + 1].c, 'b');
        codepoints_release(&list);
    }
}

static void compositions_newer_than_the_tables_are_left_out(void **state)
{
    (void)state;
    static const int32_t cases[][2] = {
        { 0x11935, 0x11930 }, /* U+11938 since Unicode 13 */
        { 0xAC00, 0x11A7 }, /* no trailing consonant */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CodePoints list = { 0 };
        codepoints_add(&list, cases[i][0], 0);
        codepoints_add(&list, cases[i][1], 0);
        unicode_compose(&list);
        expect_points(&list, cases[i], 2);
        codepoints_release(&list);
    }
}

static void composition_undoes_decomposition(void **state)
{
    (void)state;
    static const int32_t composed[] = { 0xE9, 0x1EAD, 0xAC01, 0x30AC };
    CodePoints list = { 0 };
    for (size_t i = 0; i < 4; i++)
        unicode_decompose(&list, composed[i], false);
    assert_int_equal(list.count, 2 + 3 + 3 + 2);
    unicode_reorder(&list, 0);
    unicode_compose(&list);
    expect_points(&list, composed, 4);
    codepoints_release(&list);
}

/* unicode_numeric and unicode_regex_number of the ranges given out, against the questions for each character. */
static void a_set_told_by_its_differences_is_the_other_set_but_for_them(void **state)
{
    (void)state;
    const struct {
        const UnicodeSet *set;
        bool (*is)(int32_t c);
    } sets[] = { { &unicode_numeric, unicode_is_numeric }, { &unicode_regex_number, unicode_is_regex_number } };
    for (size_t k = 0; k < 2; k++) {
        size_t count, at = 0;
        UnicodeRange *ranges = unicode_ranges(sets[k].set, &count);
        for (int32_t c = 0; c < 0x110000; c++) {
            at += at < count && c > ranges[at].last;
            assert_int_equal(sets[k].is(c), at < count && c >= ranges[at].first && c <= ranges[at].last);
        }
        free(ranges);
    }
    assert_true(unicode_is_numeric(0x11DE0)); /* newer than the Unicode of the regular expressions */
    assert_false(unicode_is_regex_number(0x11DE0));
}

/* Differences that touch, cover and precede ranges of the other set. */
static void differences_cut_and_join_ranges(void **state)
{
    (void)state;
    static const UnicodeRange of[] = { { 10, 19 }, { 30, 39 } };
    static const UnicodeRange differs[] = { { 5, 9 }, { 12, 13 }, { 20, 34 }, { 50, 50 } };
    static const UnicodeRange want[] = { { 5, 11 }, { 14, 29 }, { 35, 39 }, { 50, 50 } };
    const UnicodeSet base = { of, 2, NULL }, set = { differs, 4, &base };
    size_t count;
    UnicodeRange *have = unicode_ranges(&set, &count);
    assert_int_equal(count, 4);
    assert_memory_equal(have, want, sizeof want);
    free(have);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_survives_utf8),
        cmocka_unit_test(lower_case_is_full_and_not_contextual),
        cmocka_unit_test(classes_are_those_of_the_crates_not_of_the_newest_unicode),
        cmocka_unit_test(marks_are_ordered_by_class_and_stay_in_turn_within_one),
        cmocka_unit_test(compositions_newer_than_the_tables_are_left_out),
        cmocka_unit_test(composition_undoes_decomposition),
        cmocka_unit_test(a_set_told_by_its_differences_is_the_other_set_but_for_them),
        cmocka_unit_test(differences_cut_and_join_ranges),
    };
    return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}
