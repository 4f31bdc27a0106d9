/* gather - the sums of one step as they come in, added in the tree of common/slots/tree.h.
 *
 * What is there is a set of finished nodes, none inside another; two siblings become their parent
 * at once. So at most one buffer a node that waits for its sibling is held, and the bits of the
 * root do not depend on who sent what in which order.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_GATHER_H
#define PS_GATHER_H

#include "common/slots/sums.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct GatherSum {
    float *gradient; /* [size]; malloc'ed; NULL: no node here */
    int64_t end;
    int64_t tokens;
    double weight, loss; /* as in a PUSH */
    double versions; /* sum, over its micro-batches, of those that they were computed at */
} GatherSum;

typedef struct Gather {
    GatherSum *nodes; /* [M], by the node's first leaf */
    int64_t M, size;
    WireDtype dtype;
    int64_t open; /* nodes with a gradient */
} Gather;

typedef enum { GATHER_KEPT, GATHER_KNOWN, GATHER_NO_NODE } GatherAnswer;

/* M leaves, sums of `size` floats, which are joined as sums_add of this dtype does. */
void gather_init(Gather *gather, int64_t M, int64_t size, WireDtype dtype);
void gather_release(Gather *gather);
void gather_clear(Gather *gather);

/* What gather_add would answer. */
GatherAnswer gather_ask(const Gather *gather, int64_t begin, int64_t end);

/* Takes *sum's gradient when the answer is GATHER_KEPT (then nulled). A node that contains finished
 * ones replaces them; one inside a finished node is GATHER_KNOWN. */
GatherAnswer gather_add(Gather *gather, int64_t begin, int64_t end, GatherSum *sum);

/* The first leaf that no finished node has; M: there is none. */
int64_t gather_first_missing(const Gather *gather);

/* The whole step's sum, or NULL. Lent until the next call. */
const GatherSum *gather_root(const Gather *gather);

/* Its gradient, which becomes the caller's. There must be a root. */
float *gather_take_root(Gather *gather);

#endif
