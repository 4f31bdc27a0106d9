/* node - what the ranks of a node share while they train: the adapter's values, the lease they
 * work on, and a place where each lays its sums.
 *
 * The first rank (the leader) talks to the parameter server; it writes the lease and the values
 * between two gates, all others read. Gates are process-shared barriers that sleep: a waiting rank
 * leaves its core to those that compute (and to the server beside them).
 *
 * Where the server is on this machine too, it may have memory for the values, and for the sum that the leader pushes
 * (node_take_place): then they lie there, and their places here are left untouched, which costs nothing.
 *
 * Owner: the job; the shared memory is comm's, or the server's. Threads: the main thread of each rank.
 * Collective: node_open, node_gate and node_take_place, over the node. */
#ifndef WORKER_TRAIN_NODE_H
#define WORKER_TRAIN_NODE_H

#include "common/base/shared_memory.h"
#include "common/config/config.h"
#include "worker/comm/group.h"
#include "worker/ps_client/ps_client.h"

#include <pthread.h>

enum { NODE_SUMS = 42 }; /* most tree nodes that a contiguous range falls into, and a leaf */

/* A sum that a rank has computed: a node of the tree. */
typedef struct NodeSum {
    Range range;
    int64_t tokens;
    double weight, loss;
} NodeSum;

typedef struct NodeShared {
    pthread_barrier_t gate;
    Lease lease;
    int64_t micro_batches;
    MemoryOffer offer; /* of the server, to be taken before the next lease; sums_key 0: go on */
} NodeShared;

/* One rank's outbox. */
typedef struct NodeBox {
    int count;
    NodeSum sums[NODE_SUMS];
    double seconds;
    int64_t memory; /* bytes of the rank, its share of what the node shares */
    int64_t eval_size; /* doubles in eval[] */
    bool placed; /* the rank has mapped the offer */
    Err failure; /* kind ERR_NONE: none; the leader reports it, and the job ends */
} NodeBox;

typedef struct Node {
    int rank, size;
    int64_t slot_size, eval_width;
    WireDtype dtype; /* how sums are added */
    int sums_room; /* gradient buffers a rank has: for its part of all micro-batches */
    NodeShared *shared;
    const float *values; /* [slot_size] shared: own_values, or the server's */
    float *own_values; /* [slot_size] shared */
    SharedMemory server_values, server_sums; /* of the offer that was taken; empty: none */
    bool in_place; /* this lease's values, and the first sum, are there */
    float *embeddings; /* [NodeOptions.embeddings] shared */
    char *boxes; /* size times box_bytes */
    size_t box_bytes;
} Node;

typedef struct NodeOptions {
    int64_t slot_size, eval_width, micro_batches;
    WireDtype dtype;
    int64_t embeddings; /* floats of those of a step (step_embeddings.h); 0: none */
} NodeOptions;

/* team: ranks of one node. */
MUST_USE bool node_open(Node *node, const Group *team, const NodeOptions *options, Err *err);

void node_close(Node *node);

void node_gate(Node *node);

/* Maps what shared->offer says, on all ranks or on none. True: all have it. */
MUST_USE bool node_take_place(Node *node);

/* Values and the first sum are where this lease has them. */
void node_settle(Node *node, bool in_place);
NodeBox *node_box(const Node *node, int rank);
float *node_sum(const Node *node, int rank, int i); /* gradient buffer i of a rank's outbox, [slot_size] */
double *node_eval(const Node *node, int rank); /* [eval_width] */

#endif
