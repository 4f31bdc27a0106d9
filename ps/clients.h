/* clients - who has said HELLO and is believed to be there. The core's, which alone uses it.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_CLIENTS_H
#define PS_CLIENTS_H

#include "common/wire/message.h"
#include "ps/idmap.h"

typedef struct Client {
    uint64_t id;
    HelloFacts facts;
    double seen; /* its last message */
    double active; /* it was given its work, or finished a part of it */
    double speed; /* pieces a second and rank, moving average; 0: not measured */
    int64_t held; /* version that its last PULL named */
    int64_t asked; /* turn of that PULL */
    int64_t sent_turn, sent_version; /* of the last lease that took values along */
    bool parked, welcomed, told_end;
    bool late; /* its work was given away, and it has not asked for more since */
    bool gone; /* its connection has ended, and nothing was heard since */
    double leased, turn; /* ps/trust.h: when it got its work; seconds of a piece, moving average, 0: not measured */
    int64_t leased_pieces;
    int strikes; /* leases without an answer, one after the other */
    double quarantined_until;
} Client;

/* In the order of their HELLOs; zeroed is empty. */
typedef struct Clients {
    Client *items;
    int count, room;
    IdMap places; /* id: index of items */
} Clients;

Client *clients_find(const Clients *clients, uint64_t id); /* NULL: not there; lent until one comes or goes */
Client *clients_add(Clients *clients, uint64_t id); /* lent likewise */
void clients_remove(Clients *clients, int index);
void clients_release(Clients *clients);

int64_t clients_ranks(const Clients *clients); /* of all together */
int64_t clients_most_ranks(const Clients *clients); /* of one */
bool clients_are_told(const Clients *clients); /* that it is over */

/* Takes the speed of a range that took so long. False: that is no time. */
bool clients_measure(Client *client, Range range, double seconds);

/* Mean speed of those that were measured; 0: nobody was. */
double clients_mean_speed(const Clients *clients);

/* Its share of the work, in ranks: more for the faster. mean: clients_mean_speed. */
double clients_weight(const Client *client, double mean);

#endif
