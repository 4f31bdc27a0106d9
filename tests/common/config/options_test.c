/* The command line of the programs. */
#include "common/config/options.h"
#include "tests/common/config/load.h"

#include <stdlib.h>

typedef struct Own {
    const char *ranks, *model;
    bool help, overwrite;
    Option options[4];
    OptionTable table;
} Own;

static int make_table(void **state)
{
    static Own own;
    own = (Own){
        .options = { { "ranks", "N", "worker processes", &own.ranks, NULL },
                     { "model", "DIR", "a model's folder", &own.model, NULL },
                     { "help", NULL, "this text", NULL, &own.help },
                     { "overwrite", NULL, "start anew", NULL, &own.overwrite } },
    };
    own.table = (OptionTable){ "lora train", "RUN.yaml", "trains", own.options, 4, true, 0 };
    *state = &own;
    return 0;
}

static bool read_words(Arguments *arguments, const Own *own, Err *err, int count, const char *const *words)
{
    char *argv[16] = { 0 };
    for (int i = 0; i < count; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    return options_read(arguments, &own->table, count + 1, argv, err);
}

#define READ(arguments, own, err, ...)                                                                                 \
    read_words(arguments, own, err, (int)(sizeof(const char *[]){ __VA_ARGS__ } / sizeof(char *)),                     \
               (const char *const[]){ __VA_ARGS__ })

static void options_overrides_and_arguments_are_told_apart(void **state)
{
    Own *own = *state;
    Arguments a;
    Err err = { 0 };
    assert_true(READ(&a, own, &err, "run.yaml", "--ranks=4", "--lora.r=16", "--overwrite", "-", "--task_type=SEQ_CLS",
                     "--model_config.p=0", "--", "--ranks=5"));
    assert_string_equal(own->ranks, "4");
    assert_true(own->overwrite);
    assert_false(own->help);
    assert_int_equal(a.override_count, 3);
    assert_string_equal(a.overrides[0], "lora.r=16");
    assert_string_equal(a.overrides[2], "model_config.p=0");
    assert_int_equal(a.positional_count, 3);
    assert_string_equal(a.positionals[0], "run.yaml");
    assert_string_equal(a.positionals[1], "-");
    assert_string_equal(a.positionals[2], "--ranks=5");
    arguments_release(&a);
    arguments_release(&a);
}

static void an_option_of_the_program_goes_before_a_key(void **state)
{
    Own *own = *state;
    Arguments a;
    Err err = { 0 };
    assert_true(READ(&a, own, &err, "--model=dir", "--ranks=1", "--ranks=2", "-h"));
    assert_string_equal(own->model, "dir");
    assert_string_equal(own->ranks, "2");
    assert_true(own->help);
    assert_int_equal(a.override_count, 0);
    arguments_release(&a);
}

static void a_folder_may_begin_with_a_tilde(void **state)
{
    Own *own = *state;
    Arguments a;
    Err err = { 0 };
    setenv("HOME", "/home/me", 1);
    assert_true(READ(&a, own, &err, "--model=~/m", "--ranks=~"));
    assert_string_equal(own->model, "/home/me/m");
    assert_string_equal(own->ranks, "~");
    arguments_release(&a);
}

static void expect_bad(const Own *own, const char *word, const char *what, const char *hint)
{
    Arguments a;
    Err err = { 0 };
    assert_false(READ(&a, own, &err, word));
    expect_in(err.what, what);
    expect_in(err.hint, hint);
    assert_int_equal(err_exit_code(&err), 2);
    assert_null(a.overrides);
}

static void an_unknown_option_names_the_nearest(void **state)
{
    Own *own = *state;
    expect_bad(own, "--rank=4", "unknown option '--rank'", "'--ranks'");
    expect_bad(own, "--overwrit", "unknown option '--overwrit'", "'--overwrite'");
    expect_bad(own, "--lora.lora_alhpa=3", "unknown option '--lora.lora_alhpa'", "'--lora.lora_alpha'");
    expect_bad(own, "--learning_rate=3", "unknown option", "'--train.learning_rate'");
    expect_bad(own, "--lora={r: 3}", "unknown option '--lora'", "--lora.KEY=VALUE");
    expect_bad(own, "--qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "unknown option", "--help");
    expect_bad(own, "-x", "unknown option '-x'", "two dashes");
    own->table.keys = false; /* a program without a run file */
    expect_bad(own, "--lora.r=3", "unknown option '--lora.r'", "--help");
}

static void values_are_given_where_they_are_due(void **state)
{
    Own *own = *state;
    expect_bad(own, "--ranks", "'--ranks' has no value", "--ranks=N");
    expect_bad(own, "--ranks=", "'--ranks' has no value", "--ranks=N");
    expect_bad(own, "--overwrite=yes", "'--overwrite' takes no value", "--overwrite alone");
    expect_bad(own, "--lora.r", "'--lora.r' has no value", "--lora.r=VALUE");
}

static void keys_can_be_looked_up_and_arguments_counted(void **state)
{
    Own *own = *state;
    Arguments a;
    Err err = { 0 };
    assert_true(READ(&a, own, &err, "a", "b", "--ps.address=tcp://x:1", "--ps.address=tcp://y:2"));
    assert_string_equal(arguments_key(&a, "ps.address"), "tcp://y:2");
    assert_null(arguments_key(&a, "ps.addres"));
    assert_true(arguments_expect(&a, &own->table, 1, 2, &err));
    assert_false(arguments_expect(&a, &own->table, 0, 1, &err));
    expect_in(err.what, "'b' is one argument too many");
    assert_false(arguments_expect(&a, &own->table, 3, 3, &err));
    expect_in(err.hint, "usage: lora train RUN.yaml");
    arguments_release(&a);
}

static void help_is_made_from_the_table(void **state)
{
    Own *own = *state;
    Text out = { 0 };
    options_help(&own->table, NULL, &out);
    expect_in(out.data, "usage: lora train RUN.yaml");
    expect_in(out.data, "--ranks=N");
    expect_in(out.data, "start anew");
    int lines = 0;
    for (const char *p = out.data; *p; p++)
        lines += *p == '\n';
    assert_true(lines <= 24); /* one screen */
    text_clear(&out);
    options_help(&own->table, "keys", &out);
    expect_in(out.data, "\n  train.learning_rate ");
    expect_in(out.data, "other defaults than PEFT's and Trainer's");
    text_clear(&out);
    options_help(&own->table, "names", &out);
    expect_in(out.data, "works as train.eval_strategy");
    text_release(&out);
}

static void help_has_topics_where_there_are_keys(void **state)
{
    Own *own = *state;
    Arguments a;
    Err err = { 0 };
    assert_true(READ(&a, own, &err, "--help=keys"));
    assert_true(own->help);
    assert_string_equal(a.topic, "keys");
    arguments_release(&a);
    assert_true(READ(&a, own, &err, "--help=names", "-h"));
    assert_string_equal(a.topic, "names");
    arguments_release(&a);
    expect_bad(own, "--help=yes", "no help on 'yes'", ", --help=keys, --help=names");
    own->table.first = 1;
    assert_true(READ(&a, own, &err, "--help=all"));
    Text all = { 0 }, few = { 0 };
    options_help(&own->table, a.topic, &all);
    options_help(&own->table, NULL, &few);
    assert_non_null(strstr(all.data, "start anew"));
    assert_null(strstr(few.data, "start anew"));
    assert_non_null(strstr(few.data, "--help=all"));
    text_release(&all);
    text_release(&few);
    arguments_release(&a);
    own->table.first = 0;
    expect_bad(own, "--help=all", "no help on 'all'", "--help=keys");
    own->table.keys = false;
    expect_bad(own, "--help=keys", "no help on 'keys'", "lora train --help");
}

static void whole_numbers_are_checked(void **state)
{
    (void)state;
    int64_t n = 0;
    Err err = { 0 };
    assert_true(option_int("ranks", "16", 1, 64, &n, &err));
    assert_int_equal(n, 16);
    static const char *const bad[] = { "0", "65", "x", "4x", "", "99999999999999999999", "1.5" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(option_int("ranks", bad[i], 1, 64, &n, &err));
    expect_in(err.where, "--ranks");
    assert_int_equal(n, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(options_overrides_and_arguments_are_told_apart, make_table),
        cmocka_unit_test_setup(an_option_of_the_program_goes_before_a_key, make_table),
        cmocka_unit_test_setup(a_folder_may_begin_with_a_tilde, make_table),
        cmocka_unit_test_setup(an_unknown_option_names_the_nearest, make_table),
        cmocka_unit_test_setup(values_are_given_where_they_are_due, make_table),
        cmocka_unit_test_setup(keys_can_be_looked_up_and_arguments_counted, make_table),
        cmocka_unit_test_setup(help_is_made_from_the_table, make_table),
        cmocka_unit_test_setup(help_has_topics_where_there_are_keys, make_table),
        cmocka_unit_test_setup(whole_numbers_are_checked, make_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
