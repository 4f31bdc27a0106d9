/* core_state - what core.c and greet.c hold of a server's dialogue, between them. Nobody else includes it.
 *
 * Owner: the PsCore. Threads: one. */
#ifndef PS_CORE_STATE_H
#define PS_CORE_STATE_H

#include "ps/chunks.h"
#include "ps/clients.h"
#include "ps/core.h"
#include "ps/outbox.h"
#include "ps/rounds.h"
#include "ps/witness.h"

struct PsCore {
    CoreOptions options;
    CoreWorld world;
    CorePhase phase;
    int64_t version, M;
    uint64_t plan; /* once it has begun */
    HelloFacts facts; /* of the first client */
    bool begun;
    double first_hello; /* PHASE_WAIT: when waiting began */
    double last_tick, longest_piece;
    Clients clients;
    Rounds rounds;
    int64_t next_step, until; /* to be opened next; that must not be opened before this version is reached */
    int64_t *missing; /* [missing_count] to be opened before that, newest first; owned */
    int missing_count;
    Witness witness;
    Chunks chunks; /* PHASE_EVAL: all of the round */
    int code;
    char *text;
    Outbox outbox;
    Msg last; /* lent by core_reply */
};

Msg *core_reply_to(PsCore *core, uint64_t client, MsgType type);
void core_reply_text(PsCore *core, uint64_t client, MsgType type, const char *text); /* text is copied */
void core_take_away(PsCore *core, int index); /* a client, and what it has */
void core_advance(PsCore *core, double now); /* to what comes at this version */

#endif
