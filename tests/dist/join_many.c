/* join_many tcp://HOST:PORT COUNT [work] - as many clients of one server at once: each connects, asks for the run and joins it,
 * as the first rank of a job does. Prints the seconds until the last one is in. Their data are made up, so the run must be one
 * that nobody has joined yet.
 *
 * work: they go on to the run's end, each with a sum for every micro-batch of its leases that takes no time to compute. Prints the
 * step's time (milliseconds, half and 99 of 100 steps are faster) and the gradients that went up (GB/s, from the first lease to the
 * last push). So that is
 * what the server and the line add to a step. Keys are those of LORA_KEYS. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/slots/adapted.h"
#include "common/wire/facts.h"
#include "common/wire/keys.h"
#include "worker/ps_client/ps_client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct Joiner {
    pthread_t thread;
    const char *address;
    PsClient *client;
    char *fixed; /* the run */
    Err err;
    bool in;
    double *times; /* [count] when it had a lease of another step */
    double last; /* when its last push was taken */
    int64_t count, pushes;
} Joiner;

enum { MOST_STEPS = 100000 };

static pthread_barrier_t start, all_in;
static HelloFacts facts;
static bool works;
static const char *keys; /* line of them, or NULL */

static void join(Joiner *joiner)
{
    char *text = NULL, *follow = NULL;
    PsClientOptions options = { .address = joiner->address, .keys = keys, .heartbeat = 1, .patience = 60 };
    PsClient *asking = ps_client_open(&options, &joiner->err);
    const bool asked = asking && ps_client_ask(asking, NULL, &text, &options.run, &joiner->err);
    ps_client_close(asking);
    if (asked && (joiner->client = ps_client_open(&options, &joiner->err)))
        joiner->in =
            ps_client_hello(joiner->client, &facts, text, &joiner->fixed, &follow, &joiner->err) && joiner->fixed;
    free(text);
    free(follow);
}

static bool push_all(Joiner *joiner, const Lease *lease, const float *gradient)
{
    bool ok = true;
    for (int i = 0; ok && i < lease->range_count; i++)
        for (int64_t m = lease->range[i].begin; ok && m < lease->range[i].end; m++) {
            const Push push = { .step = lease->step,
                                .version = lease->version,
                                .range = { m, m + 1 },
                                .weight = 1,
                                .data = gradient,
                                .size = (size_t)facts.slot_size * sizeof *gradient };
            ok = ps_client_push(joiner->client, &push, &joiner->err);
            joiner->pushes += ok;
        }
    return ok;
}

static void work(Joiner *joiner)
{
    Config config = { 0 };
    float *values = xcalloc((size_t)facts.slot_size, sizeof *values),
          *gradient = xcalloc((size_t)facts.slot_size, sizeof *gradient);
    Lease lease = { .version = -1 };
    joiner->times = xcalloc(MOST_STEPS, sizeof *joiner->times);
    joiner->in = config_load(&config, &(ConfigSources){ .file = "the run", .text = joiner->fixed }, &joiner->err);
    if (joiner->in)
        ps_client_plan(joiner->client, facts_plan(&facts, config_digest(&config, true), config.parallel.micro_batches),
                       &config.ps);
    for (int64_t step = -1; joiner->in; step = lease.step) {
        joiner->in = ps_client_next(joiner->client, lease.version, &lease, values, facts.slot_size, &joiner->err);
        if (!joiner->in || lease.kind == LEASE_STOP)
            break;
        if (lease.step != step && joiner->count < MOST_STEPS)
            joiner->times[joiner->count++] = clock_now();
        joiner->in = push_all(joiner, &lease, gradient);
        joiner->last = clock_now();
    }
    config_release(&config);
    free(values);
    free(gradient);
}

static void *joiner_main(void *arg)
{
    Joiner *joiner = arg;
    pthread_barrier_wait(&start);
    join(joiner);
    pthread_barrier_wait(&all_in);
    if (works && joiner->in)
        work(joiner);
    ps_client_close(joiner->client);
    return NULL;
}

/* What the server compares with its own: the slots of the run's model. */
static bool find_facts(const char *address, Err *err)
{
    char *text = NULL;
    uint64_t run;
    Config config = { 0 };
    Adapted adapted = { 0 };
    PsClient *client =
        ps_client_open(&(PsClientOptions){ .address = address, .keys = keys, .heartbeat = 1, .patience = 60 }, err);
    bool ok = client && ps_client_ask(client, NULL, &text, &run, err);
    ps_client_close(client);
    ok = ok && config_load(&config, &(ConfigSources){ .file = "the run", .text = text }, err);
    if (ok) {
        const AdaptedOptions options = adapted_of(&config);
        ok = adapted_open(&adapted, &options, err);
    }
    if (ok)
        facts = (HelloFacts){ .slot_hash = adapted.table->hash,
                              .slot_size = adapted.table->size,
                              .examples = 64,
                              .longest = 16,
                              .ranks = 1,
                              .job_ranks = 1,
                              .arithmetic = "made-up" };
    adapted_release(&adapted);
    config_release(&config);
    free(text);
    return ok;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the first client's steps, but the first of all, and of all pushes. */
static void tell_work(const Joiner *joiners, int count)
{
    const Joiner *first = &joiners[0];
    const int64_t steps = first->count - 2;
    double bytes = 0, last = 0;
    if (steps < 1)
        return;
    for (int i = 0; i < count; i++) {
        bytes += (double)joiners[i].pushes * (double)facts.slot_size * (double)sizeof(float);
        last = joiners[i].last > last ? joiners[i].last : last;
    }
    double *times = xcalloc((size_t)steps, sizeof *times);
    for (int64_t i = 0; i < steps; i++)
        times[i] = first->times[i + 2] - first->times[i + 1];
    qsort(times, (size_t)steps, sizeof *times, by_size);
    printf("steps %lld p50 %.1f ms p99 %.1f ms up %.2f GB/s\n", (long long)steps, 1e3 * times[steps / 2],
           1e3 * times[steps * 99 / 100], bytes / (last - first->times[0]) / 1e9);
    free(times);
}

int main(int argc, char **argv)
{
    Err err = { 0 };
    const int count = argc >= 3 ? atoi(argv[2]) : 0;
    works = argc == 4 && strcmp(argv[3], "work") == 0;
    char *line = keys_line(NULL, &err);
    keys = line;
    if (count < 1 || argc > 4 || (argc == 4 && !works) || err.kind != ERR_NONE || !find_facts(argv[1], &err)) {
        fprintf(stderr, "join_many: %s\n", err.kind == ERR_NONE ? "tcp://HOST:PORT COUNT [work]" : err.what);
        return 2;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    Joiner *joiners = xcalloc((size_t)count, sizeof *joiners);
    pthread_barrier_init(&start, NULL, (unsigned)count + 1);
    pthread_barrier_init(&all_in, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        joiners[i].address = argv[1];
        REQUIRE(pthread_create(&joiners[i].thread, NULL, joiner_main, &joiners[i]) == 0);
    }
    pthread_barrier_wait(&start);
    const double begin = clock_now();
    pthread_barrier_wait(&all_in);
    const double seconds = clock_now() - begin;
    int in = 0;
    for (int i = 0; i < count; i++) {
        pthread_join(joiners[i].thread, NULL);
        in += joiners[i].in;
        if (!joiners[i].in)
            fprintf(stderr, "join_many: client %d: %s\n", i, joiners[i].err.what);
    }
    printf("%d %.2f\n", in, seconds);
    if (works)
        tell_work(joiners, count);
    for (int i = 0; i < count; i++) {
        free(joiners[i].fixed);
        free(joiners[i].times);
    }
    free(joiners);
    free(line);
    return in == count ? 0 : 1;
}
