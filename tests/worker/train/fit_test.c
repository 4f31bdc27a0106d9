/* How large micro-batches are where there is little room, and what is said where there is none. */
#include "worker/train/fit.h"

#include "common/base/mem.h"
#include "tests/common/config/load.h"

#include <stdlib.h>

static const FitOptions here = { .ranks = 2, .server = true };

static void load(Config *c, int megabytes, const char *tokens)
{
    char *memory = xprintf("parallel.memory=%dMB", megabytes),
         *size = xprintf("parallel.micro_batch_tokens=%s", tokens);
    load_good(c, "task_type: SEQ_CLS\n",
              OVERRIDES("model=tests/golden/bert-seqcls/model", "data.train=tests/golden/bert-seqcls/train.tsv",
                        "data.max_length=32", "train.output_dir=out", "labels=negative,neutral,positive",
                        "train.batch_size=128", "train.eval_strategy=no", "lora.target_modules=query,value", memory,
                        size));
    free(memory);
    free(size);
}

static int64_t chosen_with(int megabytes)
{
    Config c;
    Err err = { 0 };
    bool chosen = false;
    load(&c, megabytes, "auto");
    assert_true(fit_choose(&c, &here, &chosen, &err));
    assert_true(chosen);
    const int64_t tokens = c.parallel.micro_batch_tokens;
    config_release(&c);
    return tokens;
}

static bool has_room(int megabytes, const char *tokens, Err *err)
{
    Config c;
    *err = (Err){ 0 };
    load(&c, megabytes, tokens);
    const bool ok = fit_check(&c, &here, err);
    config_release(&c);
    return ok;
}

static void pieces_grow_with_the_room_up_to_the_usual_size(void **state)
{
    (void)state;
    int64_t before = 0, sizes = 0;
    for (int megabytes = 60; megabytes <= 160; megabytes += 5) {
        const int64_t tokens = chosen_with(megabytes);
        assert_true(tokens >= before);
        sizes += tokens > before;
        before = tokens;
    }
    assert_int_equal(before, CONFIG_PIECE_TOKENS);
    assert_true(sizes >= 3); /* some in between */
}

static void what_was_chosen_has_room_and_more_has_not(void **state)
{
    (void)state;
    Err err;
    int megabytes = 160;
    while (chosen_with(megabytes) == CONFIG_PIECE_TOKENS)
        megabytes -= 5;
    char *tokens = xprintf("%lld", (long long)chosen_with(megabytes));
    assert_true(has_room(megabytes, tokens, &err));
    assert_true(has_room(megabytes * 2, "4096", &err));
    while (has_room(megabytes, "4096", &err))
        megabytes--;
    assert_int_equal(err_exit_code(&err), 2);
    expect_in(err.what, "GB of memory with 2 ranks here, and may take");
    expect_in(err.where, "parallel.memory");
    expect_in(err.hint, "parallel.micro_batch_tokens: ");
    expect_in(err.hint, "--ranks=1 (");
    free(tokens);
}

static void a_number_that_is_given_stays(void **state)
{
    (void)state;
    Config c;
    Err err = { 0 };
    bool chosen = true;
    load(&c, 10, "2048");
    assert_true(fit_choose(&c, &here, &chosen, &err));
    assert_false(chosen);
    assert_int_equal(c.parallel.micro_batch_tokens, 2048);
    config_release(&c);
}

static void where_nothing_fits_it_is_said(void **state)
{
    (void)state;
    Err err;
    assert_false(has_room(10, "64", &err));
    expect_in(err.hint, "a smaller data.max_length or model, or several machines");
    assert_int_equal(chosen_with(10), 64); /* refused behind it */
}

static void amounts_of_memory_are_read(void **state)
{
    (void)state;
    assert_int_equal(text_bytes("16GB"), 16000000000);
    assert_int_equal(text_bytes("1.5MB"), 1500000);
    assert_int_equal(text_bytes("2TB"), 2000000000000);
    static const char *const none[] = { "", "GB", "16", "16 GB", "-1GB", "0GB", "nanGB", "1e300GB", "16gb" };
    for (size_t i = 0; i < LENGTH(none); i++)
        assert_int_equal(text_bytes(none[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_grow_with_the_room_up_to_the_usual_size),
        cmocka_unit_test(what_was_chosen_has_room_and_more_has_not),
        cmocka_unit_test(a_number_that_is_given_stays),
        cmocka_unit_test(where_nothing_fits_it_is_said),
        cmocka_unit_test(amounts_of_memory_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
