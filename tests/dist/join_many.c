/* join_many tcp://HOST:PORT COUNT - as many clients of one server at once: each connects, asks for the run and joins it, as
 * the first rank of a job does. Prints the seconds until the last one is in. Their data are made up, so the run must be one
 * that nobody has joined yet. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/slots/adapted.h"
#include "worker/ps_client/ps_client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

typedef struct Joiner {
    pthread_t thread;
    const char *address;
    PsClient *client;
    Err err;
    bool in;
} Joiner;

static pthread_barrier_t start, all_in;
static HelloFacts facts;

static void join(Joiner *joiner)
{
    char *text = NULL, *fixed = NULL, *follow = NULL;
    PsClientOptions options = { .address = joiner->address, .heartbeat = 1, .patience = 60 };
    PsClient *asking = ps_client_open(&options, &joiner->err);
    const bool asked = asking && ps_client_ask(asking, NULL, &text, &options.run, &joiner->err);
    ps_client_close(asking);
    if (asked && (joiner->client = ps_client_open(&options, &joiner->err)))
        joiner->in = ps_client_hello(joiner->client, &facts, text, &fixed, &follow, &joiner->err) && fixed;
    free(text);
    free(fixed);
    free(follow);
}

static void *joiner_main(void *arg)
{
    Joiner *joiner = arg;
    pthread_barrier_wait(&start);
    join(joiner);
    pthread_barrier_wait(&all_in);
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
    PsClient *client = ps_client_open(&(PsClientOptions){ .address = address, .heartbeat = 1, .patience = 60 }, err);
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

int main(int argc, char **argv)
{
    Err err = { 0 };
    const int count = argc == 3 ? atoi(argv[2]) : 0;
    if (count < 1 || !find_facts(argv[1], &err)) {
        fprintf(stderr, "join_many: %s\n", count < 1 ? "tcp://HOST:PORT COUNT" : err.what);
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
    free(joiners);
    return in == count ? 0 : 1;
}
