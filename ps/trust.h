/* trust - how long a client may take for its work, and what becomes of one that says it is there, but gives none.
 *
 * A client is measured from the lease to its last sum, the way on the line included. In training it may take three times what it
 * usually takes (or, where it has given nothing yet, what the others do), but a second, or a fifth of the lease timeout, it has always. Then its
 * work goes to those who wait, and the first answer counts. Whoever was too late twice without a sum in between, not even a late one, gets
 * no work for a minute, then for two, four ..., as long as there are others.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_TRUST_H
#define PS_TRUST_H

#include "ps/clients.h"
#include "ps/witness.h"

void trust_lease(Client *client, int64_t pieces, double now); /* it was given so many */
void trust_sum(Client *client, double now); /* the last of them came, in time or late */

/* Seconds. longest: of a piece of this round so far; eval: pieces of an evaluation are too unlike each other to be compared. */
double trust_patience(const Clients *clients, const Client *client, bool eval, double lease_timeout, double longest);

/* Its work was given away. Seconds for which it gets none; 0: it may ask for more. */
double trust_strike(Client *client, double now);

/* Does it get work? Not while it is cut off, or has struck out and others have not. */
bool trust_has(const Clients *clients, const Client *client, double now);
/* Is there somebody else who gets work? */
bool trust_others(const Clients *clients, const Client *client, double now);
/* Says it when another has given the piece of this push before, with other bits: one of the two machines computes wrongly. */
void trust_compare(const Clients *clients, Witness *witness, const Client *client, const Msg *push, int64_t version);
int64_t trust_quarantined(const Clients *clients, double now);

#endif
