/* fake_node - a node of ranks without MPI and without a server, for work_test.c: the table of their group and the
 * functions of ps_client.h are defined here. Ranks are processes as in a real job; rank 0 is the test's own, so what
 * its client is told stays in the test's memory. The client hands out a list of leases and keeps what is pushed. */
#ifndef TESTS_WORKER_TRAIN_FAKE_NODE_H
#define TESTS_WORKER_TRAIN_FAKE_NODE_H

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/train/job.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_RANKS = 8, MOST_PUSHES = 64, TEXT_ROOM = 1 << 16, POOL = 64 << 20, MOST_SECONDS = 60 };

/* ---- a group of ranks ----------------------------------------------------------------- */

typedef struct Meeting {
    pthread_barrier_t gate;
    atomic_int most;
    atomic_ullong sum;
    char shared[TEXT_ROOM];
} Meeting;

typedef struct Rank {
    int rank, size;
    Meeting *meeting; /* shared */
    char *pool; /* [POOL] shared, at the same address in all; all take the same pieces of it */
    size_t used;
} Rank;

static void barrier(void *self)
{
    pthread_barrier_wait(&((Rank *)self)->meeting->gate);
}

static int most(void *self, int number)
{
    Meeting *m = ((Rank *)self)->meeting;
    for (int seen = m->most; number > seen && !atomic_compare_exchange_weak(&m->most, &seen, number);) {
    }
    barrier(self);
    const int all = m->most;
    barrier(self);
    m->most = 0; /* numbers are never below */
    barrier(self);
    return all;
}

static uint64_t sum(void *self, uint64_t number)
{
    Meeting *m = ((Rank *)self)->meeting;
    m->sum += number;
    barrier(self);
    const uint64_t all = m->sum;
    barrier(self);
    m->sum = 0;
    barrier(self);
    return all;
}

/* Of a group of one. */
static uint64_t sum_alone(void *self, uint64_t number)
{
    (void)self;
    return number;
}

static void share(void *self, void *bytes, size_t size)
{
    Meeting *m = ((Rank *)self)->meeting;
    REQUIRE(size <= TEXT_ROOM);
    if (((Rank *)self)->rank == 0)
        memcpy(m->shared, bytes, size);
    barrier(self);
    memcpy(bytes, m->shared, size);
    barrier(self);
}

static void *memory(void *self, size_t size, Err *err)
{
    Rank *rank = self;
    (void)err;
    char *place = rank->pool + rank->used;
    rank->used += arena_cost(size);
    REQUIRE(rank->used <= POOL);
    return place;
}

static Groups groups_of(Rank *rank)
{
    static const Exchange exchange = { .barrier = barrier, .most = most, .sum = sum, .share = share, .memory = memory };
    static const Exchange alone_exchange = { .sum = sum_alone };
    const Group all = { rank->rank, rank->size, &exchange, rank }, alone = { 0, 1, &alone_exchange, rank };
    return (Groups){ .job = all, .node = all, .nodes = 1, .data = all, .pipeline = alone, .team = all };
}

/* ---- ps_client.h ---------------------------------------------------------------------- */

typedef struct Pushed {
    Push push; /* its data is a copy, owned */
} Pushed;

enum { FAKE_RUN = 31 }; /* id of the run whose file is asked for */

/* What rank 0's client does and was told. */
typedef struct Script {
    const Lease *leases; /* a range that ends at -1 ends at the chunks of the evaluation */
    int lease_count, next;
    int silent_at; /* the server does not answer this lease any more; -1: it does */
    const char *run; /* run file that is asked for */
    const char *follow; /* the run's arithmetic; NULL: whatever the client has */
    int hellos;
    uint64_t joins, plan; /* what the client said of them; 0: nothing */
    char *text; /* its configuration; owned */
    HelloFacts facts;
    Pushed pushes[MOST_PUSHES];
    int count;
    int64_t memory;
    Foreseen foreseen;
} Script;

static Script script;

struct PsClient {
    int unused;
};

PsClient *ps_client_open(const PsClientOptions *options, Err *err)
{
    (void)err;
    script.joins = options->run;
    return xcalloc(1, sizeof(PsClient));
}

void ps_client_close(PsClient *client)
{
    free(client);
}

bool ps_client_ask(PsClient *client, const char *found, char **run_text, uint64_t *run, Err *err)
{
    (void)client;
    (void)found;
    (void)err;
    *run_text = xstrdup(script.run);
    *run = FAKE_RUN;
    return true;
}

/* The run file as a server sends it back. */
static char *fixed_run(const char *text, const HelloFacts *facts, Err *err)
{
    Config config;
    Text fixed = { 0 };
    char digest[24];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)facts->fingerprint);
    REQUIRE(config_load(&config, &(ConfigSources){ .file = "the run", .text = text }, err) &&
            config_set(&config, "parallel.arithmetic", facts->arithmetic, err) &&
            config_set(&config, "parallel.fingerprint", digest, err));
    config_print(&config, &fixed);
    config_release(&config);
    return text_take(&fixed);
}

bool ps_client_hello(PsClient *client, const HelloFacts *facts, const char *run_text, char **fixed, char **follow,
                     Err *err)
{
    (void)client;
    script.facts = *facts;
    *fixed = *follow = NULL;
    if (++script.hellos > 4)
        return err_set(err, ERR_PEER, "hello is said again and again");
    if (script.follow && strcmp(script.follow, facts->arithmetic) != 0) {
        *follow = xstrdup(script.follow);
        return true;
    }
    *fixed = fixed_run(script.run ? script.run : run_text, facts, err);
    free(script.text);
    script.text = xstrdup(run_text);
    return true;
}

void ps_client_plan(PsClient *client, uint64_t plan, const PsConfig *ps)
{
    (void)ps;
    (void)client;
    script.plan = plan;
}

/* The adapter at a version: nothing is 0. */
static void values_at(float *values, int64_t size, int64_t version)
{
    rng_normal(values, size, 0.05F, rng_key(21, version, 0, 0));
}

bool ps_client_next(PsClient *client, int64_t have, Lease *lease, float *values, int64_t size, Err *err)
{
    (void)client;
    if (script.next == script.silent_at)
        return err_set(err, ERR_PEER, "the parameter server is silent");
    REQUIRE(script.next < script.lease_count);
    *lease = script.leases[script.next++];
    lease->version = lease->step;
    for (int i = 0; i < lease->range_count; i++)
        if (lease->range[i].end < 0)
            lease->range[i].end = script.facts.eval_chunks;
    if (lease->kind != LEASE_STOP && lease->step != have)
        values_at(values, size, lease->step);
    return true;
}

bool ps_client_push(PsClient *client, const Push *push, Err *err)
{
    (void)client;
    (void)err;
    REQUIRE(script.count < MOST_PUSHES);
    Pushed *kept = &script.pushes[script.count++];
    void *copy = xmalloc(push->size + 1);
    memcpy(copy, push->data, push->size);
    kept->push = *push;
    kept->push.data = copy;
    return true;
}

void ps_client_memory(PsClient *client, int64_t bytes)
{
    (void)client;
    script.memory = bytes;
}

MemoryOffer ps_client_offer(PsClient *client)
{
    (void)client;
    return (MemoryOffer){ 0 };
}

void ps_client_takes(PsClient *client, uint64_t sums_key)
{
    (void)client;
    (void)sums_key;
}

void ps_client_foresee(PsClient *client, const Foreseen *foreseen)
{
    (void)client;
    script.foreseen = *foreseen;
}

static void forget(void)
{
    for (int i = 0; i < script.count; i++)
        free((void *)(uintptr_t)script.pushes[i].push.data);
    free(script.text);
    script = (Script){ .silent_at = -1 };
}

/* ---- a job ---------------------------------------------------------------------------- */

typedef struct Ended {
    bool opened, ok;
    int code;
    Err err;
    int others[MOST_RANKS]; /* exit codes of ranks 1 .. */
} Ended;

static void work_of_rank(Rank *rank, const ConfigSources *sources, Job *job, Ended *ended)
{
    const Groups groups = groups_of(rank);
    *ended = (Ended){ 0 };
    ended->opened = job_open(job, &groups, sources, "none", NULL, &ended->err);
    ended->ok = ended->opened && job_work(job, &ended->code, &ended->err);
    if (!ended->ok)
        ended->code = err_exit_code(&ended->err);
}

static void be_rank(Rank *rank, const ConfigSources *sources)
{
    Job job;
    Ended ended;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work_of_rank(rank, sources, &job, &ended);
    _exit(ended.code);
}

/* The others would wait for it at the next gate. */
static void on_child(int number, siginfo_t *info, void *context)
{
    static const char text[] = "a rank died of a signal\n";
    (void)number;
    (void)context;
    if (info->si_code != CLD_EXITED)
        _exit(write(STDERR_FILENO, text, sizeof text - 1) > 0 ? 1 : 2);
}

static void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return memory;
}

/* `ranks` ranks open the run and work until they are told to stop; look sees rank 0's job then. A
 * rank that dies or hangs ends the test program. */
static void play(int ranks, const ConfigSources *sources, Ended *ended, void (*look)(Job *job, Ended *ended))
{
    Rank rank = { 0, ranks, shared_memory(sizeof(Meeting)), shared_memory(POOL), 0 };
    const struct sigaction action = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_NOCLDSTOP | SA_RESTART };
    pthread_barrierattr_t shared;
    pid_t others[MOST_RANKS];
    Job job;
    sigaction(SIGCHLD, &action, NULL);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&rank.meeting->gate, &shared, (unsigned)ranks);
    alarm(MOST_SECONDS);
    for (rank.rank = ranks - 1; rank.rank > 0; rank.rank--)
        if ((others[rank.rank] = fork()) == 0)
            be_rank(&rank, sources);
    work_of_rank(&rank, sources, &job, ended);
    for (int r = 1; r < ranks; r++) {
        int status;
        REQUIRE(waitpid(others[r], &status, 0) == others[r]);
        ended->others[r] = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    alarm(0);
    if (look)
        look(&job, ended);
    job_close(&job);
    munmap(rank.meeting, sizeof(Meeting));
    munmap(rank.pool, POOL);
}

#endif
