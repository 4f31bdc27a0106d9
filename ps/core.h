/* core - the parameter server without its sockets, clock and files.
 *
 * Messages and ticks go in; replies come out through core_reply, and what has to happen in the
 * world (apply a step, write a file) goes through CoreWorld, a table of functions that ps/run.c
 * fills with the real ones and the simulation test with its own. It owns the clock of steps, the
 * leases, the gather tree, and who is there.
 *
 * Owner: the server. Threads: one caller. */
#ifndef PS_CORE_H
#define PS_CORE_H

#include "common/config/config.h"
#include "common/wire/message.h"

typedef struct PsCore PsCore;

/* A step's sums, complete: the core lends them for the call. */
typedef struct StepSums {
    int64_t step; /* 0-based: the version that they become the next one of */
    float *gradient; /* [slot_size]; what becomes of it is the world's affair */
    double weight; /* that gradient and loss are divided by */
    int64_t tokens;
    double loss;
    int64_t batch; /* whose examples: `step`, but with PS_ASYNC */
    double behind; /* versions that it was computed before `step`, on the average; 0 with PS_SYNC */
} StepSums;

/* A whole push, before it is added to the sums. */
typedef struct PushSum {
    int64_t step; /* 0-based */
    Range range;
    const float *gradient; /* [slot_size] */
    double weight, loss; /* weight: that gradient and loss are divided by */
    uint64_t client;
    const char *host;
    bool others; /* somebody else is there who gets work */
} PushSum;

typedef enum {
    PUSH_COUNTS,
    PUSH_REFUSED, /* its client is told *text, and gets no more work */
    PUSH_ENDS /* the run, with exit code 5 and *text */
} PushVerdict;

typedef struct CoreWorld {
    void *self;
    /* First HELLO(s): fixes the micro-batches of a step for `replicas` ranks; returns M and the
     * run's plan (facts_plan). */
    int64_t (*begin)(void *self, const HelloFacts *facts, int64_t replicas, uint64_t *plan);
    /* Name of the run's arithmetic (borrowed); NULL: all is the first HELLO's. *begun: it is the one that the run was
     * begun with; else a level alone leaves its core to the first HELLO. */
    const char *(*arithmetic)(void *self, bool *begun);
    /* NULL when this HELLO fits the run, else a sentence that says what differs (malloc'ed).
     * first: of those who wait for the start with it; NULL: nobody does. */
    char *(*differs)(void *self, const Msg *hello, const HelloFacts *first);
    /* Text of the run file (borrowed). */
    const char *(*run_text)(void *self);
    /* Applies a step: version becomes step + 1. False: the run failed (sets exit code by *code,
     * *text). */
    bool (*apply)(void *self, const StepSums *sums, int *code, const char **text);
    /* What comes after version v was reached (also called at the start): train, evaluate, stop, or wait.
     */
    LeaseKind (*next)(void *self, int64_t version, int *code, const char **text);
    /* The first version behind this one at which something else than a step may come. With PS_SYNC it is not asked. */
    int64_t (*until)(void *self, int64_t version);
    /* All chunks of an evaluation at `version` are in: sums joined in chunk order by pieces. */
    void (*evaluated)(void *self, int64_t version, const double *const *sums, const int64_t *sizes, int64_t chunks);
    const float *(*values)(void *self); /* [slot_size], of the newest version */
    /* Is it to be believed? NULL: each is. */
    PushVerdict (*weigh)(void *self, const PushSum *push, const char **text);
} CoreWorld;

typedef struct CoreOptions {
    uint64_t run;
    int64_t version; /* to go on from */
    const int64_t *missing; /* [missing_count] PS_ASYNC: batches that others have overtaken; lent to core_new */
    int missing_count;
    PsMode mode;
    int64_t staleness; /* PS_SSP */
    WireDtype wire_dtype; /* of the gradients that come */
    int64_t sum_bytes; /* that gradients may take which wait for others (ps/room.h) */
    double lease_timeout; /* seconds of silence until a client's leases go to others */
} CoreOptions;

PsCore *core_new(const CoreOptions *options, const CoreWorld *world);
void core_free(PsCore *core);

/* Takes the message's data (nulls it) when it is kept. */
void core_message(PsCore *core, Msg *msg, double now);
/* A PUSH or EVAL that must not count: acknowledged, so that its client goes on. */
void core_useless(PsCore *core, const Msg *msg);
void core_tick(PsCore *core, double now);
/* A client's connection has ended: others get its work at once. It may come back. */
void core_gone(PsCore *core, uint64_t client, double now);

/* The next reply to send to reply->client; false when there is none. Borrowed until the next call
 * into the core; a LEASE's data is CoreWorld.values. */
bool core_reply(PsCore *core, Msg *reply);

bool core_is_over(const PsCore *core); /* stopped, and every client was told or is gone */
int64_t core_open_sums(const PsCore *core); /* gradients that it holds */
int core_exit_code(const PsCore *core);
int64_t core_clients(const PsCore *core, int64_t *ranks);

/* PHASE_PAUSE: the world has no work for now, and is asked again at each tick. */
typedef enum { PHASE_WAIT, PHASE_TRAIN, PHASE_EVAL, PHASE_OVER, PHASE_PAUSE } CorePhase;

/* Who and what is there, for people: lent until the next call into the core. */
typedef struct CoreLook {
    const struct Clients *clients; /* ps/clients.h */
    const struct Rounds *rounds; /* ps/rounds.h: what is open, oldest first */
    CorePhase phase;
    int64_t version;
    int64_t differing; /* pieces of which two clients gave other bits (ps/witness.h) */
} CoreLook;
CoreLook core_look(const PsCore *core);

#endif
