/* How an answer is chosen, on logits that show each rule alone. */
#include "worker/eval/spans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { T = 6 };

/* [CLS] question [SEP] and three words of context: characters 0-3, 4-6, 7-12. */
static const int32_t offsets[2 * T] = { -1, -1, -1, -1, -1, -1, 0, 3, 4, 6, 7, 12 };

typedef struct Choice {
    int64_t begin, end; /* begin -2: no answer */
    int64_t count;
    double odds;
} Choice;

static Choice choose(const SpansOptions *o, const float (*windows)[2 * T], int count)
{
    Spans s = { 0 };
    spans_begin(&s);
    for (int w = 0; w < count; w++)
        spans_add(&s, o, windows[w], offsets, T);
    spans_choose(&s, o);
    const AnswerSpan none = { .begin = -2, .end = -2 }, span = s.answer < 0 ? none : s.found[s.answer];
    const Choice c = { span.begin, span.end, s.count, s.odds };
    double sum = 0;
    for (int64_t i = 0; i < s.count; i++)
        sum += s.found[i].probability;
    assert_float_equal(sum, 1, 1e-12);
    spans_release(&s);
    return c;
}

static void expect(Choice c, int64_t begin, int64_t end)
{
    assert_int_equal(c.begin, begin);
    assert_int_equal(c.end, end);
}

static void the_best_pair_in_order_that_is_short_enough_is_the_answer(void **state)
{
    (void)state;
    const float w[1][2 * T] = { { 9, 9, 8, 8, 0, 0, 6, 1, 4, 2, 0, 5 } };
    const float crossed[1][2 * T] = { { 0, 0, 0, 0, 0, 0, 1, 7, 1, 1, 7, 1 } };
    SpansOptions o = { .n_best = 20, .longest = 30 };
    expect(choose(&o, w, 1), 0, 12); /* 6 + 5: [CLS] and the question are no context */
    o.longest = 2;
    expect(choose(&o, w, 1), 4, 12);
    o.longest = 1;
    expect(choose(&o, w, 1), 0, 3);
    o.longest = 30;
    expect(choose(&o, crossed, 1), 7, 12); /* 7 + 7 is not in order; 7 + 1, found before 1 + 7 */
    o.n_best = 2;
    expect(choose(&o, w, 1), SPANS_WORD, SPANS_WORD); /* the places of [CLS] and the question use the best up */
}

static void equal_sums_stay_in_the_order_in_which_they_were_found(void **state)
{
    (void)state;
    const float w[1][2 * T] = { { 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0 } };
    const SpansOptions o = { .n_best = 20, .longest = 30 };
    expect(choose(&o, w, 1), 4, 6); /* the later of equal logits comes first */
}

static void an_answer_is_of_the_best_window(void **state)
{
    (void)state;
    const float w[2][2 * T] = { { 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0 } };
    const SpansOptions o = { .n_best = 20, .longest = 30 };
    expect(choose(&o, w, 2), 4, 6);
}

static void no_answer_is_given_above_the_threshold_and_of_the_least_window(void **state)
{
    (void)state;
    const float w[2][2 * T] = { { 3, 3, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0 }, { 1, 1, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0 } };
    SpansOptions o = { .n_best = 20, .longest = 30, .impossible = true };
    const Choice c = choose(&o, w, 2);
    expect(c, 0, 3); /* none is worth 2, the answer 3 */
    assert_float_equal(c.odds, -1, 1e-6);
    o.threshold = -1;
    expect(choose(&o, w, 2), 0, 3); /* not above it */
    o.threshold = -1.5;
    expect(choose(&o, w, 2), -2, -2);
    expect(choose(&o, w, 1), -2, -2); /* 6 against 2 */
}

static void none_comes_back_where_others_are_better(void **state)
{
    (void)state;
    const float w[1][2 * T] = { { 0, 0, 0, 0, 0, 0, 5, 5, 4, 4, 3, 3 } };
    const SpansOptions o = { .n_best = 2, .longest = 30, .impossible = true };
    assert_int_equal(choose(&o, w, 1).count, 3); /* the two best, and none */
}

static void where_nothing_counts_the_answer_is_the_word_that_says_so(void **state)
{
    (void)state;
    const float w[1][2 * T] = { { 9, 9, 8, 8, 7, 7, 0, 0, 0, 0, 0, 0 } };
    SpansOptions o = { .n_best = 3, .longest = 30 };
    expect(choose(&o, w, 1), SPANS_WORD, SPANS_WORD);
    o.impossible = true;
    o.threshold = 20;
    const Choice c = choose(&o, w, 1);
    expect(c, SPANS_WORD, SPANS_WORD);
    assert_int_equal(c.count, 2);
    assert_float_equal(c.odds, 18, 1e-6);
    o.threshold = 0;
    expect(choose(&o, w, 1), -2, -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_pair_in_order_that_is_short_enough_is_the_answer),
        cmocka_unit_test(equal_sums_stay_in_the_order_in_which_they_were_found),
        cmocka_unit_test(an_answer_is_of_the_best_window),
        cmocka_unit_test(no_answer_is_given_above_the_threshold_and_of_the_least_window),
        cmocka_unit_test(none_comes_back_where_others_are_better),
        cmocka_unit_test(where_nothing_counts_the_answer_is_the_word_that_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
