/* group - ranks that do something together, as whoever computes sees them: this rank's place, and a table of what they
 * can ask of each other. comm.h fills it over MPI, a test with ranks of its own; nobody above includes mpi.h.
 *
 * A Group is a value: copy it; it is good while its Comm is open.
 *
 * Threads: the main thread. Collective: all but the place, over the group. */
#ifndef WORKER_COMM_GROUP_H
#define WORKER_COMM_GROUP_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* A message between two ranks. Of one pair and kind, they come in the order in which they were sent. */
typedef struct Parcel {
    bool sends;
    int peer; /* its rank in the group */
    int kind; /* the receiver's is the sender's */
    void *bytes; /* lent until it was waited for */
    size_t size; /* the same on both sides */
} Parcel;

typedef struct Exchange {
    void (*barrier)(void *self); /* returns when all have called */
    int (*most)(void *self, int number); /* the largest */
    uint64_t (*sum)(void *self, uint64_t number); /* mod 2^64 */
    void (*share)(void *self, void *bytes, size_t size); /* the first rank's, on all */
    void *(*memory)(void *self, size_t size, Err *err); /* group_memory */
    void *(*split)(void *self, int colour, int *rank, int *size); /* group_split: of the group that comes of it */
    int (*post)(void *self, const Parcel *parcel); /* group_send, group_receive */
    void (*wait)(void *self, int ticket); /* group_wait */
} Exchange;

typedef struct Group {
    int rank, size;
    const Exchange *exchange;
    void *self; /* of the table's functions */
} Group;

/* Returns when all have called. */
void group_barrier(const Group *group);

/* True on every rank when `ok` was true on every rank. */
bool group_agree(const Group *group, bool ok);

/* The largest of all ranks' numbers. */
int group_most(const Group *group, int number);

/* The sum of all ranks' numbers, mod 2^64. */
uint64_t group_sum(const Group *group, uint64_t number);

/* The first rank's text on every rank (owned by the caller; NULL where it has NULL), and its number. */
char *group_share_text(const Group *group, const char *text);
uint64_t group_share_number(const Group *group, uint64_t number);

/* Those of its ranks that name the same colour, in its order; good as long as its Comm. Collective. */
Group group_split(const Group *group, int colour);

/* Begins to send or receive, and returns at once: a ticket to wait for it with, once. Messages go on while the caller
 * computes. Not collective; nothing collective may be called while a ticket is out. */
MUST_USE int group_send(const Group *group, int peer, int kind, const void *bytes, size_t size);
MUST_USE int group_receive(const Group *group, int peer, int kind, void *bytes, size_t size);

/* Sleeps until the bytes may be used again, or are there. */
void group_wait(const Group *group, int ticket);

/* Messages of any size that are waited for: whoever waits sleeps. Not collective. */
void group_give(const Group *group, int peer, int kind, const void *bytes, size_t size);
void group_take(const Group *group, int peer, int kind, void *bytes, size_t size);

/* The bytes of rank `from` on all, in this way. */
void group_tell(const Group *group, int from, int kind, void *bytes, size_t size);

/* Zeroed memory that the ranks share, who are on one node; page-aligned. Every rank of the node calls, each of a group of
 * its own: there has to be room in /dev/shm for what all of them take, which is checked first; fails on all alike. Lives
 * as long as the group's Comm. */
MUST_USE void *group_memory(const Group *group, size_t size, Err *err);

#endif
