/* Which token of a text a causal classifier reads: the last that is not pad_token_id. Tokens behind it change
 * nothing, so the logits are those of the text without them. */
#include "common/base/mem.h"
#include "tests/support/model_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_TOKENS = 8, PAD = 0, LABELS = 3 };

static Subject *open_trained(void)
{
    Err err = { 0 };
    Subject *s = open_subject(golden_index("gpt2-seqcls"));
    char *trained = file_of(s, "expected");
    must(slots_read_adapter(s->c.values, s->c.table, trained, &err), &err);
    free(trained);
    assert_int_equal(s->c.arch->pad_id, PAD);
    return s;
}

/* logits[2][LABELS] of two texts in one batch. */
static void two_texts(const Subject *s, const int32_t *a, int64_t a_n, const int32_t *b, int64_t b_n, float *logits)
{
    const int64_t start[] = { 0, a_n, a_n + b_n }, example[] = { 0, 1 };
    int32_t ids[2 * MOST_TOKENS];
    memcpy(ids, a, (size_t)a_n * sizeof *ids);
    memcpy(ids + a_n, b, (size_t)b_n * sizeof *ids);
    const Batch batch = { .B = 2, .N = a_n + b_n, .start = start, .ids = ids, .example = example };
    const Packed p = { .batch = batch };
    Model *model = open_subject_model(s, &p, 0);
    model_predict(model, &batch, s->c.values, logits);
    model_close(model);
}

/* Text a and text b, one after the other in a batch, have the same logits. */
static bool read_alike(const Subject *s, const int32_t *a, int64_t a_n, const int32_t *b, int64_t b_n)
{
    float logits[2 * LABELS];
    two_texts(s, a, a_n, b, b_n, logits);
    return difference(logits, logits + LABELS, LABELS) < 1e-5;
}

static void padding_tokens_at_the_end_of_a_text_are_passed_over(void **state)
{
    (void)state;
    Subject *s = open_trained();
    const int32_t plain[] = { 40, 50, 60 }, one[] = { 40, 50, 60, PAD }, three[] = { 40, 50, 60, PAD, PAD, PAD };
    assert_true(read_alike(s, one, 4, plain, 3));
    assert_true(read_alike(s, plain, 3, three, 6));
    close_subject(s);
}

static void padding_tokens_inside_are_part_of_the_text(void **state)
{
    (void)state;
    Subject *s = open_trained();
    const int32_t inside[] = { 40, PAD, 60 }, behind[] = { 40, PAD, 60, PAD }, without[] = { 40, 60 };
    assert_true(read_alike(s, inside, 3, behind, 4));
    assert_false(read_alike(s, inside, 3, without, 2));
    close_subject(s);
}

static void of_padding_tokens_alone_the_first_is_read(void **state)
{
    (void)state;
    Subject *s = open_trained();
    const int32_t alone[] = { PAD, PAD, PAD };
    assert_true(read_alike(s, alone, 3, alone, 1));
    close_subject(s);
}

static void a_model_without_a_padding_token_reads_the_last(void **state)
{
    (void)state;
    Subject *s = open_trained();
    const int32_t plain[] = { 40, 50, 60 }, longer[] = { 40, 50, 60, PAD };
    s->c.arch->pad_id = -1;
    assert_false(read_alike(s, plain, 3, longer, 4));
    close_subject(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_tokens_at_the_end_of_a_text_are_passed_over),
        cmocka_unit_test(padding_tokens_inside_are_part_of_the_text),
        cmocka_unit_test(of_padding_tokens_alone_the_first_is_read),
        cmocka_unit_test(a_model_without_a_padding_token_reads_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
