/* places - memory of this machine that clients on it work in, instead of having all sent to them: the values, which only the
 * server changes, and a room for a gradient, one a client. The server's, which alone uses it.
 *
 * A room is made when its client is welcomed, and goes with its route, its BYE, or the end of its connection. Whoever comes back behind that is
 * told that nobody knows it, and is welcomed anew.
 *
 * Threads: one. */
#ifndef PS_PLACES_H
#define PS_PLACES_H

#include "ps/costs.h"
#include "ps/routes.h"
#include "ps/run.h"

/* A HELLO came by this route. */
void places_note(Route *route, const Msg *hello);

/* What the WELCOME on this route offers: nothing to clients elsewhere, or where values are not shared. */
void places_offer(MemoryOffer *offer, Route *route, const Run *run);

/* A PUSH whose gradient lies in the client's room: it is lent to the message. False: there is no room of this client. */
MUST_USE bool places_lend(Msg *push, const Route *route, CostsSeen *seen);

/* A PUSH or EVAL that was computed from values of a server before this one, where they lay: perhaps while they changed. */
bool places_is_stale(const Msg *msg, const Run *run);

/* A LEASE that leaves says which values it is for; those that it need not bring are counted. */
void places_lease(Msg *lease, Route *route, const Run *run, CostsSeen *seen);

void places_forget(Route *route); /* its room */
void places_forget_all(Routes *routes);
void places_leave(Route *route); /* it has said BYE */

#endif
