/* client_core - a worker node's side of the dialogue with the parameter server, without its sockets, thread and clock.
 *
 * The caller's wishes, messages and the time go in; what has to be sent goes out through ClientWay. It holds what is
 * unanswered and sends it again, also to a server that was restarted (which gets HELLO again first), knows which version
 * a lease may be for, and how long a silent server is waited for. ps_client is this behind a thread; the simulation test
 * drives it in a network of its own.
 *
 * One wish at a time: client_core_ask, _hello, _next, _push of a large gradient, or _bye; it is over when
 * client_core_waits is false. Small pushes are copied, and nobody waits for them.
 *
 * Owner: ps_client. Threads: one at a time. */
#ifndef WORKER_PS_CLIENT_CLIENT_CORE_H
#define WORKER_PS_CLIENT_CLIENT_CORE_H

#include "common/wire/socket.h"
#include "worker/ps_client/ps_client.h"

typedef struct ClientCore ClientCore;

typedef struct ClientCoreOptions {
    uint64_t client; /* its incarnation, drawn at random; never 0 */
    uint64_t run; /* that it must be; 0: any */
    const char *address; /* for messages; borrowed */
    double heartbeat, patience; /* seconds */
} ClientCoreOptions;

/* Where messages go: the data socket, or control. */
typedef struct ClientWay {
    void *self;
    WireSent (*send)(void *self, bool data, const Msg *msg, Err *err);
} ClientWay;

ClientCore *client_core_new(const ClientCoreOptions *options, double now);
void client_core_free(ClientCore *core); /* NULL is fine */

/* ---- wishes; `now` is in seconds of one clock, which only goes on ---- */

void client_core_ask(ClientCore *core, const char *found, double now); /* found: NULL, or a run file */
void client_core_hello(ClientCore *core, const HelloFacts *facts, const char *run_text, double now);

/* have: version in values[slot_size], -1: none. The values are lent until the wish is over. Where the server offers other
 * memory meanwhile, it ends with LEASE_WAIT. */
void client_core_next(ClientCore *core, int64_t have, float *values, double now);

/* A gradient of more than WIRE_PIECE floats is lent, and a wish; other data is copied. False: no memory, or failed before. */
MUST_USE bool client_core_push(ClientCore *core, const Push *push, Err *err);
void client_core_bye(ClientCore *core, double now);

bool client_core_waits(const ClientCore *core);

/* Behind ASK and HELLO: the answer, the caller's. False: failed, *err says how. */
MUST_USE bool client_core_answer(ClientCore *core, Msg *answer, Err *err);
MUST_USE bool client_core_lease(ClientCore *core, Lease *lease, Err *err); /* behind client_core_next */
MUST_USE bool client_core_pushed(ClientCore *core,
                                 Err *err); /* behind client_core_push: what was lent is the caller's again */

/* ---- what comes, and time ---- */

void client_core_message(ClientCore *core, Msg *msg, double now); /* takes what it keeps of it (nulled) */

/* Whether the server is silent for too long. door, words: what the control socket's last handshake told (wire_door). */
void client_core_tick(ClientCore *core, Door door, const Err *words, double now);

/* Sends what is due. */
void client_core_send(ClientCore *core, const ClientWay *way, double now);

/* Seconds until something is due: at least 0.02, at most half a second. */
double client_core_sleep(const ClientCore *core, double now);

/* For good: every wish ends with it. The first one counts. */
void client_core_fail(ClientCore *core, const Err *err);

/* ---- what it is told, and asked ---- */

/* What will be computed (facts_plan), and how its gradients travel (ps.wire_dtype): those of bf16 have been rounded (sums.h).
 * Behind HELLO. */
void client_core_plan(ClientCore *core, uint64_t plan, const PsConfig *ps);
void client_core_memory(ClientCore *core, int64_t bytes); /* goes with heartbeats */
void client_core_foresee(ClientCore *core, const Foreseen *foreseen); /* goes with heartbeats, the first at once */
int64_t client_core_slot_size(const ClientCore *core); /* 0: before HELLO */
const MemoryOffer *client_core_offer(const ClientCore *core); /* the server's newest; sums_key 0: none */

/* That of an offer, which is mapped: work lies there from now on, while it is the newest. */
void client_core_takes(ClientCore *core, uint64_t sums_key);
bool client_core_may_leave(const ClientCore *core); /* is known to a server that would miss it */

#endif
