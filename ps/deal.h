/* deal - who gets what of the open rounds (ps/rounds.h): leases. The core's, which alone uses it.
 *
 *   a round that all begin together, and each evaluation   dealt to all by their measured speed
 *   ssp, a step that is opened while others are open       each takes its part when it comes to it, once; who finds no step
 *                                                          more to open takes what others have left of the oldest
 *   async                                                  a step is one client's, whole
 *
 * Threads: the core's. */
#ifndef PS_DEAL_H
#define PS_DEAL_H

#include "ps/clients.h"
#include "ps/core.h"
#include "ps/rounds.h"

bool deal_is_open(const PsCore *core); /* is there a round of training or evaluation */
int deal_idle(const PsCore *core, double now); /* who waits for work, and would get some */
Round *deal_open(PsCore *core, int64_t step, int64_t pieces, double now); /* nobody's yet */
void deal_round(PsCore *core, Round *round, double now); /* all of it, to all */

/* What a client that waits can have: a lease, or the end. */
void deal_to(PsCore *core, Client *client, double now);
void deal_work(PsCore *core, double now); /* the same, to all */

#endif
