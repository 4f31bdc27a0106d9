/* Whose a folder, a log, a checkpoint and a HELLO are. */
#include "ps/run.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/world.h"
#include "tests/support/folder.h"
#include "tests/support/small_run.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* In the place of libc's: what removes things ends the process behind `removals_left` of them. */
static int removals_left = -1; /* -1: no end */

static void count_removal(void)
{
    if (removals_left == 0)
        _exit(9);
    if (removals_left > 0)
        removals_left--;
}

int unlink(const char *path)
{
    count_removal();
    return unlinkat(AT_FDCWD, path, 0);
}

int remove(const char *path)
{
    count_removal();
    return unlinkat(AT_FDCWD, path, file_is_folder(path) ? AT_REMOVEDIR : 0);
}

static const char *const FASTER = "train.learning_rate=0.05";

/* A run of SMALL_LONGER with checkpoints 3 and 6, broken off at step 8, or complete. */
static void make_old(const char *folder, bool complete)
{
    Err err = { 0 };
    if (!complete)
        small_run_to_eight(folder);
    else
        free(small_run_finish(small_run_open(folder, true, SMALL_LONGER, &err), folder));
}

/* --overwrite with another configuration in a process that ends behind n removals; false: it came through. */
static bool overwrite_and_die(const char *folder, int n)
{
    const pid_t child = fork();
    if (child == 0) {
        Err err = { 0 };
        removals_left = n;
        Run *run = small_run_open(folder, true, FASTER, &err);
        _exit(run ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
    return WEXITSTATUS(status) == 9;
}

static void check_refusal(const Err *err)
{
    assert_true(err->kind == ERR_INPUT || err->kind == ERR_IO);
    assert_true(strlen(err->where) > 0 || strchr(err->what, '/'));
}

/* Each opening by another configuration or the old one is refused, begins at nothing, or ends with the
 * bits of a run of its own. */
static void overwriting_that_is_killed_mixes_no_runs(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *calm = test_folder_new();
    Err err = { 0 };
    char *old = small_run_finish(small_run_open(calm, true, SMALL_LONGER, &err), calm);
    char *faster = small_run_finish(small_run_open(calm, true, FASTER, &err), calm);
    int kills = 0;
    for (int complete = 0; complete < 2; complete++)
        for (int by_old = 0; by_old < 2; by_old++)
            for (int n = 0;; n++) {
                make_old(folder, complete);
                const bool killed = overwrite_and_die(folder, n);
                err = (Err){ 0 };
                Run *run = small_run_open(folder, false, by_old ? SMALL_LONGER : FASTER, &err);
                if (!run) {
                    check_refusal(&err);
                } else if (!run_is_complete(run)) {
                    assert_true(by_old || run_version(run) == 0);
                    char *got = small_run_finish(run, folder);
                    assert_string_equal(got, by_old ? old : faster);
                    free(got);
                } else {
                    assert_true(by_old); /* all that makes it complete is still there */
                    run_close(run);
                }
                kills += killed;
                if (!killed) {
                    assert_non_null(run);
                    break;
                }
            }
    assert_true(kills > 40);
    free(old);
    free(faster);
    test_folder_drop(folder);
    test_folder_drop(calm);
}

/* checkpoint-6's lora_state.json without the keys of NAMES (NULL-terminated), with its digest renewed. */
static void rewrite_state(const char *folder, const char *const *names)
{
    Err err = { 0 };
    char *path = xprintf("%s/checkpoint-6/lora_state.json", folder);
    json_t *file = json_file(path, &err), *digests = json_object_get(file, "digests");
    assert_non_null(digests);
    for (; *names; names++)
        assert_int_equal(json_object_del(file, *names), 0);
    json_object_del(digests, "lora_state.json");
    char *text = json_dumps(file, JSON_COMPACT | JSON_SORT_KEYS);
    char *hex = xprintf("%016llx", (unsigned long long)digest_fast(text, strlen(text)));
    json_object_set_new(digests, "lora_state.json", json_string(hex));
    assert_true(json_write(path, file, &err));
    free(hex);
    free(text);
    json_decref(file);
    free(path);
}

static void a_checkpoint_that_does_not_say_whose_it_is_is_not_gone_on_from(void **state)
{
    (void)state;
    static const char *const lost[][3] = { { "run", NULL }, { "plan", NULL }, { "format", NULL }, { NULL } };
    char *folder = test_folder_new();
    for (int i = 0; i < 4; i++) {
        Err err = { 0 };
        small_run_to_eight(folder);
        rewrite_state(folder, lost[i]);
        Run *run = small_run_open(folder, false, SMALL_LONGER, &err);
        assert_non_null(run);
        assert_int_equal(run_version(run), lost[i][0] ? 3 : 8); /* the last one only had its digest renewed */
        run_close(run);
    }
    test_folder_drop(folder);
}

/* The log's first record as the first version of the program began it. */
static void make_log_old(const char *path)
{
    char head[24];
    const uint32_t type = 0x57414c31;
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    memcpy(head, &type, sizeof type);
    const uint64_t digest = digest_fast(head, 16);
    memcpy(head + 16, &digest, sizeof digest);
    rewind(file);
    assert_int_equal(fwrite(head, 1, sizeof head, file), sizeof head);
    assert_int_equal(fclose(file), 0);
}

static void a_log_of_an_older_version_is_told_and_stays(void **state)
{
    (void)state;
    char *folder = test_folder_new(), *log = xprintf("%s/wal/log", folder);
    Err err = { 0 };
    small_run_to_eight(folder);
    make_log_old(log);
    const int64_t size = file_size(log);
    assert_null(small_run_open(folder, false, SMALL_LONGER, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.what, "was written by an older version of this program"));
    assert_non_null(strstr(err.hint, "finish the run with the version that began it"));
    assert_string_equal(err.where, log);
    assert_int_equal(file_size(log), size);
    free(log);
    test_folder_drop(folder);
}

static void a_run_that_nobody_joined_keeps_its_id_with_the_same_configuration(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    uint64_t id = 0;
    for (int i = 0; i < 3; i++) { /* killed, so that nothing is taken back */
        int out[2];
        assert_int_equal(pipe(out), 0);
        const pid_t child = fork();
        if (child == 0) {
            Err err = { 0 };
            Run *run = small_run_open(folder, false, i < 2 ? SMALL_LONGER : FASTER, &err);
            const uint64_t mine = run ? run_id(run) : 0;
            _exit(write(out[1], &mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 1);
        }
        uint64_t now = 0;
        assert_int_equal(read(out[0], &now, sizeof now), sizeof now);
        assert_int_equal(waitpid(child, NULL, 0), child);
        close(out[0]);
        close(out[1]);
        assert_true(now != 0);
        if (i > 0)
            assert_int_equal(now == id, i == 1);
        id = now;
    }
    test_folder_drop(folder);
}

/* What the run says to a HELLO; "" when it fits. Lent until the next call. */
static const char *said_to(const Run *run, const Msg *hello, const HelloFacts *first)
{
    static char room[1024];
    CoreWorld world = world_of((Run *)(uintptr_t)run);
    char *differs = world.differs(world.self, hello, first);
    snprintf(room, sizeof room, "%s", differs ? differs : "");
    free(differs);
    return room;
}

static void a_hello_must_fit_in_all(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    Err err = { 0 };
    Run *run = small_run_open(folder, false, NULL, &err);
    assert_non_null(run);
    CoreWorld world = world_of(run);
    HelloFacts first = small_run_facts(run);
    Msg probe = { .type = MSG_HELLO, .text = xstrdup(world.run_text(run)), .facts = first };
    snprintf(first.host, sizeof first.host, "one");
    snprintf(probe.facts.host, sizeof probe.facts.host, "two");
    assert_string_equal(said_to(run, &probe, NULL), "");
    assert_string_equal(said_to(run, &probe, &first), "");
    uint64_t plan = 0;
    for (int begun = 0; begun < 2; begun++) { /* while it waits for the start, and behind it */
        const HelloFacts *with = begun ? NULL : &first;
        Msg hello = probe;
        hello.facts.data_digest = 0xab;
        const char *said = said_to(run, &hello, with);
        assert_non_null(strstr(said,
                               "other training data: XXH3 00000000000000ab of 40 examples on two, but XXH3 "
                               "0000000000000000 of 40 examples on one, which began the run; it reads data.train: /"));
        assert_non_null(strstr(said, "tests/golden/bert-seqcls/train.tsv"));
        hello = probe;
        hello.facts.eval_digest = 0xab;
        assert_non_null(
            strstr(said_to(run, &hello, with), "other validation data: XXH3 00000000000000ab of 2 examples on two, "));
        hello = probe;
        hello.facts.base_digest = 1;
        assert_non_null(
            strstr(said_to(run, &hello, with), "another base model: XXH3 0000000000000001 on two, but XXH3 "));
        hello = probe;
        hello.facts.longest++;
        assert_non_null(
            strstr(said_to(run, &hello, with), "another longest training example: 33 on two, but 32 on one"));
        hello = probe;
        hello.facts.eval_examples++;
        assert_non_null(
            strstr(said_to(run, &hello, with), "another number of validation examples: 3 on two, but 2 on one"));
        hello = probe;
        hello.text = NULL;
        assert_non_null(strstr(said_to(run, &hello, with), "does not say its configuration"));
        hello = probe;
        hello.run = run_id(run) + 1;
        assert_non_null(strstr(said_to(run, &hello, with), "this worker belongs to run "));
        hello.run = run_id(run);
        assert_string_equal(said_to(run, &hello, with), "");
        if (!begun)
            world.begin(world.self, &first, 2, &plan);
    }
    assert_true(plan != 0);
    probe.plan = plan;
    assert_string_equal(said_to(run, &probe, NULL), "");
    probe.plan++;
    assert_non_null(strstr(said_to(run, &probe, NULL), "this worker computes plan "));
    free(probe.text);
    run_close(run);
    test_folder_drop(folder);
}

int main(void)
{
    log_setup("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overwriting_that_is_killed_mixes_no_runs),
        cmocka_unit_test(a_checkpoint_that_does_not_say_whose_it_is_is_not_gone_on_from),
        cmocka_unit_test(a_log_of_an_older_version_is_told_and_stays),
        cmocka_unit_test(a_run_that_nobody_joined_keeps_its_id_with_the_same_configuration),
        cmocka_unit_test(a_hello_must_fit_in_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
