/* Schedules of faults (sim.h): thousands, or as many as SIM_SCHEDULES says, from SIM_SEED on, by as many processes as there
 * are cores. With SIM_TRACE=1 the one of SIM_SEED is played and told. */
#include "tests/ps/sim/sim.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "tests/ps/sim/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SCHEDULES = 500 };
#else
enum { SCHEDULES = 4000 };
#endif
enum { MOST_PROCESSES = 64 };

/* What a process found; in memory that is shared with it. */
typedef struct Found {
    int64_t played, steps, events, restarts;
    double recovery; /* the longest */
    uint64_t recovery_seed;
} Found;

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void play(Found *found, uint64_t first, uint64_t end, uint64_t stride)
{
    for (uint64_t seed = first; seed < end; seed += stride) {
        const SimResult result = sim_play(seed, false);
        found->played++;
        found->steps += result.steps;
        found->events += result.events;
        found->restarts += result.restarts;
        if (result.recovery > found->recovery) {
            found->recovery = result.recovery;
            found->recovery_seed = seed;
        }
    }
}

static void all_schedules_end_with_the_bits_of_the_plain_loop(void **state)
{
    (void)state;
    const uint64_t first = setting("SIM_SEED", 1), end = first + setting("SIM_SCHEDULES", SCHEDULES);
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const int processes = cores < 1 ? 1 : cores > MOST_PROCESSES ? MOST_PROCESSES : (int)cores;
    Found *found =
        mmap(NULL, MOST_PROCESSES * sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(found != MAP_FAILED);
    const double start = clock_now();
    for (int i = 0; i < processes; i++)
        if (fork() == 0) {
            play(&found[i], first + (uint64_t)i, end, (uint64_t)processes);
            _exit(0);
        }
    int bad = 0, status;
    while (wait(&status) > 0)
        bad += status != 0;
    Found all = { 0 };
    for (int i = 0; i < processes; i++) {
        all.played += found[i].played;
        all.steps += found[i].steps;
        all.events += found[i].events;
        all.restarts += found[i].restarts;
        if (found[i].recovery > all.recovery) {
            all.recovery = found[i].recovery;
            all.recovery_seed = found[i].recovery_seed;
        }
    }
    printf(
        "%lld schedules, %lld steps, %lld events, %lld restarts of the server, %.1f s; longest way to the end behind "
        "the last fault %.0f s (seed %llu)\n",
        (long long)all.played, (long long)all.steps, (long long)all.events, (long long)all.restarts,
        clock_now() - start, all.recovery, (unsigned long long)all.recovery_seed);
    assert_int_equal(bad, 0);
    assert_int_equal(all.played, end - first);
}

int main(void)
{
    log_setup("sim", LOG_ERROR);
    if (setting("SIM_TRACE", 0)) {
        log_setup("sim", LOG_INFO);
        sim_play(setting("SIM_SEED", 1), true);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_schedules_end_with_the_bits_of_the_plain_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
