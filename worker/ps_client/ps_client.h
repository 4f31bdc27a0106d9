/* ps_client - a worker node's line to the parameter server.
 *
 * A thread of its own holds two DEALER sockets, one for data and one for control (heartbeats), so
 * that the calls below may compute for minutes while the server hears from us. What is unanswered
 * is sent again, also to a server that was restarted (it gets HELLO again first). Pushes are
 * copied, queued and repeated until they are acknowledged; large ones go in pieces (WIRE_PIECE), a few at a time, and are
 * not copied.
 *
 * A client works for one run and one plan. A server that comes up at the same address with another
 * run, or leases of another plan, end it: what it has read and opened is of no use there.
 *
 * Owner: worker/train, one per node of a job (its first rank). Threads: one caller. Collective: no.
 * Errors: ERR_PEER when the server is silent for longer than `patience`, ERR_REFUSED with its
 * sentence when it does not want us. */
#ifndef WORKER_PS_CLIENT_PS_CLIENT_H
#define WORKER_PS_CLIENT_PS_CLIENT_H

#include "common/config/config.h"
#include "common/wire/message.h"

typedef struct PsClient PsClient;

typedef struct PsClientOptions {
    const char *address; /* tcp://host:port */
    const char *keys; /* keys_line of common/wire/keys.h; NULL: none */
    double heartbeat, patience; /* seconds */
    uint64_t run; /* id of the run whose file was read (ps_client_ask); 0: the file is our own */
} PsClientOptions;

MUST_USE PsClient *ps_client_open(const PsClientOptions *options, Err *err);

/* Says BYE (when welcome before), waits for the thread. NULL is fine. */
void ps_client_close(PsClient *client);

/* The server's run: its file, owned by the caller, and its id. found: NULL, or the run file with the labels that
 * were found in the data, which become the run's where it has none yet. */
MUST_USE bool ps_client_ask(PsClient *client, const char *found, char **run_text, uint64_t *run, Err *err);

/* run_text: the effective run file here. *fixed: the run's, owned by the caller; or NULL where the server
 * names the arithmetic to follow: *follow, owned by the caller, and HELLO is to be said again. */
MUST_USE bool ps_client_hello(PsClient *client, const HelloFacts *facts, const char *run_text, char **fixed,
                              char **follow, Err *err);

/* What will be computed (facts_plan), when updates are made and how gradients travel (ps.mode, ps.wire_dtype), as the run
 * file that HELLO brought says: before the first lease. */
void ps_client_plan(PsClient *client, uint64_t plan, const PsConfig *ps);

typedef struct Lease {
    LeaseKind kind;
    int64_t step; /* whose micro-batches; of an evaluation: the version */
    int64_t version; /* of the adapter to compute at: of the values */
    Range range[WIRE_RANGES];
    int range_count;
    int code; /* LEASE_STOP: exit code */
    char text[512]; /* LEASE_STOP: why, for a person */
    bool in_place; /* the values are in the memory that was taken (ps_client_takes), and not in `values` */
} Lease;

/* Memory on this machine that the server offers; sums_key 0: none. LEASE_WAIT of ps_client_next
 * says that there is another offer. Who has it mapped takes it: leases are for the values that lie there, from now on while
 * that is the newest offer. */
MemoryOffer ps_client_offer(PsClient *client);
void ps_client_takes(PsClient *client, uint64_t sums_key);

/* Waits for work. have: version in values[0, size), -1: none; values is overwritten when the lease
 * is for another, and not in place. Call it right after the last push of a lease. */
MUST_USE bool ps_client_next(PsClient *client, int64_t have, Lease *lease, float *values, int64_t size, Err *err);

typedef struct Push {
    bool eval;
    int64_t step, version; /* of the lease */
    Range range; /* TRAIN: one node of the sum tree (tree_node in common/slots/tree.h) */
    int64_t tokens;
    double weight, loss, seconds;
    const void *data; /* f32 gradient sums or f64 metric sums */
    size_t size; /* bytes */
    bool in_place; /* data lies in the memory that was taken */
} Push;

/* The data is copied; a gradient of more than WIRE_PIECE floats is lent until the call returns, when the server has it
 * (int8: it is rounded at once, which takes a quarter of its memory). */
MUST_USE bool ps_client_push(PsClient *client, const Push *push, Err *err);

/* Memory of the ranks behind this client, told to the server with the heartbeats. */
void ps_client_memory(PsClient *client, int64_t bytes);

/* What the server sets beside what it counts: once, before the first lease. */
void ps_client_foresee(PsClient *client, const Foreseen *foreseen);

/* Bytes sent and received so far, framing included. */
void ps_client_traffic(const PsClient *client, int64_t *up, int64_t *down);

#endif
