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

typedef struct Exchange {
    void (*barrier)(void *self); /* returns when all have called */
    int (*most)(void *self, int number); /* the largest */
    void (*share)(void *self, void *bytes, size_t size); /* the first rank's, on all */
    void *(*memory)(void *self, size_t size, Err *err); /* group_memory */
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

/* The first rank's text on every rank (owned by the caller; NULL where it has NULL), and its number. */
char *group_share_text(const Group *group, const char *text);
uint64_t group_share_number(const Group *group, uint64_t number);

/* Zeroed memory that the ranks share, who are on one node; page-aligned. Checks the room in /dev/shm first; fails on
 * all alike. Lives as long as the group's Comm. */
MUST_USE void *group_memory(const Group *group, size_t size, Err *err);

#endif
