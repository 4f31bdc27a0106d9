/* core_sim - a small world for tests of the server's core: what its steps apply to, and clients' messages.
 * Threads: the test's. */
#ifndef TESTS_PS_CORE_SIM_H
#define TESTS_PS_CORE_SIM_H

#include "ps/core.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 5, CHUNKS = 6, CLIENTS = 7, EVERY = 50, PLAN = 44 };

typedef struct Sim {
    int64_t M, steps, applied, evaluations, evaluated_at;
    uint32_t seed, draw;
    int64_t sum_bytes; /* 0: more than enough */
    float values[SIZE];
    const char *arithmetic; /* of the run file; NULL: auto */
    PushVerdict (*weigh)(void *self, const PushSum *push, const char **text);
    bool goes_on; /* the run was begun by a server before */
} Sim;

static inline uint32_t chance(Sim *sim, uint32_t n)
{
    return rng_bits(rng_key(sim->seed, 0, 0, 0), sim->draw++) % n;
}

static inline void leaf(float out[SIZE], int64_t step, int64_t m)
{
    rng_normal(out, SIZE, 1.0F, rng_key(9, step, m, 1));
}

/* The plain tree sum of [begin, end) by recursion over aligned halves. */
static inline void plain(float out[SIZE], double *loss, int64_t step, int64_t begin, int64_t width, int64_t end)
{
    if (width == 1) {
        leaf(out, step, begin);
        *loss = 0.1 * (double)(begin + 1) + (double)step;
        return;
    }
    plain(out, loss, step, begin, width / 2, end);
    if (begin + width / 2 >= end)
        return;
    float right[SIZE];
    double more;
    plain(right, &more, step, begin + width / 2, width / 2, end);
    for (int i = 0; i < SIZE; i++)
        out[i] += right[i];
    *loss += more;
}

static inline int64_t power(int64_t n)
{
    int64_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

static inline int64_t sim_begin(void *self, const HelloFacts *facts, int64_t replicas, uint64_t *plan)
{
    (void)facts;
    assert_true(replicas > 0);
    *plan = PLAN;
    return ((Sim *)self)->M;
}

static inline const char *sim_arithmetic(void *self, bool *begun)
{
    const Sim *sim = self;
    *begun = sim->goes_on;
    return sim->arithmetic;
}

static inline char *sim_differs(void *self, const Msg *hello, const HelloFacts *first)
{
    (void)self;
    if (first && first->data_digest != hello->facts.data_digest)
        return xstrdup("other data");
    return hello->facts.base_digest == 1 ? NULL : xstrdup("another base model");
}
static inline const char *sim_text(void *self)
{
    (void)self;
    return "run: 1\n";
}
static inline bool sim_apply(void *self, const StepSums *sums, int *code, const char **text)
{
    Sim *sim = self;
    (void)code;
    (void)text;
    assert_int_equal(sums->step, sim->applied);
    float want[SIZE];
    double loss;
    plain(want, &loss, sums->step, 0, power(sim->M), sim->M);
    assert_memory_equal(want, sums->gradient, sizeof want);
    assert_memory_equal(&loss, &sums->loss, sizeof loss);
    assert_true(sums->weight == (double)sim->M);
    sim->applied++;
    sim->values[0] = (float)sim->applied;
    return true;
}
static inline LeaseKind sim_next(void *self, int64_t version, int *code, const char **text)
{
    Sim *sim = self;
    (void)text;
    *code = 0;
    assert_int_equal(version, sim->applied);
    if (version > 0 && version % EVERY == 0 && sim->evaluated_at != version)
        return LEASE_EVAL;
    return version == sim->steps ? LEASE_STOP : LEASE_TRAIN;
}
static inline void sim_evaluated(void *self, int64_t version, const double *const *sums, const int64_t *sizes,
                                 int64_t chunks)
{
    Sim *sim = self;
    assert_int_equal(chunks, CHUNKS);
    for (int64_t i = 0; i < chunks; i++) {
        assert_int_equal(sizes[i], 1);
        assert_true(sums[i][0] == (double)(version * 100 + i));
    }
    sim->evaluated_at = version;
    sim->evaluations++;
}
static inline const float *sim_values(void *self)
{
    return ((Sim *)self)->values;
}

static inline PsCore *start(Sim *sim)
{
    const CoreWorld world = { sim,      sim_begin, sim_arithmetic, sim_differs, sim_text,  sim_apply,
                              sim_next, NULL,      sim_evaluated,  sim_values,  sim->weigh };
    return core_new(
        &(CoreOptions){ .run = 77, .sum_bytes = sim->sum_bytes ? sim->sum_bytes : 1 << 20, .lease_timeout = 5 },
        &world);
}

static inline Msg message(MsgType type, uint64_t client)
{
    return (Msg){ .type = type, .run = 77, .client = client, .plan = PLAN, .at = type == MSG_PULL ? -1 : 0 };
}

static inline void hello(PsCore *core, uint64_t id, double now)
{
    Msg msg = message(MSG_HELLO, id);
    msg.facts = (HelloFacts){ .base_digest = 1,
                              .slot_size = SIZE,
                              .ranks = 1,
                              .job_ranks = 3,
                              .eval_chunks = CHUNKS,
                              .eval_width = 4,
                              .job = 5 };
    core_message(core, &msg, now);
}

/* Is `client` refused, with these words? Takes all replies. */
static inline bool refused(PsCore *core, uint64_t client, const char *why)
{
    Msg reply;
    bool is = false;
    while (core_reply(core, &reply))
        is |= reply.type == MSG_REFUSE && reply.client == client && strcmp(reply.text, why) == 0;
    return is;
}

#endif
