/* HELLOs before the start: who may stay, who is refused, who is told to compute otherwise. */
#include "tests/ps/core_sim.h"

/* Three nodes of a job, then one of another job; `odd` has other data. */
static void greet_with_other_data(PsCore *core, uint64_t id, uint64_t job, uint64_t data)
{
    Msg msg = message(MSG_HELLO, id);
    msg.facts = (HelloFacts){
        .base_digest = 1, .data_digest = data, .slot_size = SIZE, .ranks = 1, .job_ranks = 3, .job = job
    };
    core_message(core, &msg, 0);
}

static void a_job_with_two_sets_of_data_is_refused_whole_before_the_start(void **state)
{
    (void)state;
    Sim sim = { .M = 3, .steps = 1 };
    PsCore *core = start(&sim);
    Msg reply;
    int64_t ranks;
    greet_with_other_data(core, 1, 5, 100);
    greet_with_other_data(core, 2, 5, 100);
    greet_with_other_data(core, 9, 6, 100); /* of another job, with the same data: it stays */
    assert_int_equal(core_clients(core, &ranks), 3);
    greet_with_other_data(core, 3, 5, 101);
    int told = 0;
    while (core_reply(core, &reply)) {
        assert_int_equal(reply.type, MSG_REFUSE);
        assert_string_equal(reply.text, "other data");
        assert_true(reply.client <= 3);
        told++;
    }
    assert_int_equal(told, 3);
    assert_int_equal(core_clients(core, &ranks), 1);
    greet_with_other_data(core, 4, 7, 101); /* alone it is refused alone */
    assert_true(refused(core, 4, "other data"));
    assert_int_equal(core_clients(core, &ranks), 1);
    Msg bye = message(MSG_BYE, 9);
    core_message(core, &bye, 0);
    for (uint64_t id = 11; id <= 13; id++) /* nobody waits: the next job brings the run its data */
        greet_with_other_data(core, id, 8, 101);
    int welcomed = 0;
    while (core_reply(core, &reply))
        welcomed += reply.type == MSG_WELCOME;
    assert_int_equal(welcomed, 3);
    core_free(core);
}

static void greet_with_arithmetic(PsCore *core, uint64_t id, const char *name)
{
    Msg msg = message(MSG_HELLO, id);
    msg.facts = (HelloFacts){ .base_digest = 1, .slot_size = SIZE, .ranks = 1, .job_ranks = 3, .job = 5 };
    snprintf(msg.facts.arithmetic, sizeof msg.facts.arithmetic, "%s", name);
    core_message(core, &msg, 0);
}

static void who_computes_otherwise_is_told_the_run_s_arithmetic(void **state)
{
    (void)state;
    Sim sim = { .M = 3, .steps = 1 };
    PsCore *core = start(&sim);
    Msg reply;
    int64_t ranks;
    greet_with_arithmetic(core, 1, "level-2"); /* the first replica's is the run's */
    greet_with_arithmetic(core, 2, "level-3");
    assert_true(core_reply(core, &reply));
    assert_int_equal(reply.type, MSG_FOLLOW);
    assert_int_equal(reply.client, 2);
    assert_string_equal(reply.text, "level-2");
    assert_int_equal(core_clients(core, &ranks), 1); /* and it is no member yet */
    greet_with_arithmetic(core, 2, "level-2");
    assert_false(core_reply(core, &reply));
    assert_int_equal(core_clients(core, &ranks), 2);
    core_free(core);

    sim.arithmetic = "level-1"; /* the run file names it: also to the first */
    core = start(&sim);
    greet_with_arithmetic(core, 1, "level-2");
    assert_true(core_reply(core, &reply));
    assert_int_equal(reply.type, MSG_FOLLOW);
    assert_string_equal(reply.text, "level-1");
    assert_int_equal(core_clients(core, &ranks), 0);
    greet_with_arithmetic(core, 1, "level-10/core"); /* which is no core of level-1 */
    assert_true(core_reply(core, &reply));
    assert_int_equal(reply.type, MSG_FOLLOW);
    core_free(core);
}

static void of_the_level_that_the_run_file_names_the_first_takes_the_core(void **state)
{
    (void)state;
    Sim sim = { .M = 3, .steps = 1, .arithmetic = "level-1" };
    PsCore *core = start(&sim);
    Msg reply;
    int64_t ranks;
    greet_with_arithmetic(core, 1, "level-1/second"); /* its usual core is wrong there */
    assert_false(core_reply(core, &reply));
    greet_with_arithmetic(core, 2, "level-1");
    assert_true(core_reply(core, &reply));
    assert_int_equal(reply.type, MSG_FOLLOW);
    assert_string_equal(reply.text, "level-1/second");
    greet_with_arithmetic(core, 2, "level-1/second");
    greet_with_arithmetic(core, 3, "level-1/second"); /* the job is whole: it begins */
    int welcomed = 0;
    while (core_reply(core, &reply))
        welcomed += reply.type == MSG_WELCOME;
    assert_int_equal(welcomed, 3);
    greet_with_arithmetic(core, 4, "level-1/second"); /* begun with level-1 (begin has not named the core) */
    assert_true(core_reply(core, &reply));
    assert_int_equal(reply.type, MSG_FOLLOW);
    assert_string_equal(reply.text, "level-1");
    assert_int_equal(core_clients(core, &ranks), 3);
    core_free(core);
}

/* Its core is the one that it was begun with, also to the first worker after the server was started again. */
static void a_run_that_goes_on_has_its_core(void **state)
{
    (void)state;
    Sim sim = { .M = 3, .steps = 1, .arithmetic = "level-1", .goes_on = true };
    PsCore *core = start(&sim);
    Msg reply;
    greet_with_arithmetic(core, 1, "level-1/second");
    assert_true(core_reply(core, &reply));
    assert_int_equal(reply.type, MSG_FOLLOW);
    assert_string_equal(reply.text, "level-1");
    greet_with_arithmetic(core, 1, "level-1");
    assert_false(core_reply(core, &reply)); /* it waits for the rest of its job */
    core_free(core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_with_two_sets_of_data_is_refused_whole_before_the_start),
        cmocka_unit_test(who_computes_otherwise_is_told_the_run_s_arithmetic),
        cmocka_unit_test(of_the_level_that_the_run_file_names_the_first_takes_the_core),
        cmocka_unit_test(a_run_that_goes_on_has_its_core),
    };
    log_setup("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
