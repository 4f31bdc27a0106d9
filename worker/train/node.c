#include "worker/train/node.h"

#include "common/base/mem.h"
#include "common/slots/tree.h"

/* For the largest part that a rank is given of a range: with as many ranks as micro-batches it is one buffer each. */
static int sums_needed(int64_t micro_batches, int ranks)
{
    const int n = tree_room((micro_batches + ranks - 1) / ranks);
    REQUIRE(n <= NODE_SUMS);
    return n;
}

bool node_open(Node *node, const Group *team, const NodeOptions *options, Err *err)
{
    const int64_t slot_size = options->slot_size, eval_width = options->eval_width;
    *node = (Node){
        .rank = team->rank,
        .size = team->size,
        .slot_size = slot_size,
        .eval_width = eval_width,
        .dtype = options->dtype,
        .sums_room = sums_needed(options->micro_batches, team->size),
    };
    const size_t slots = arena_cost((size_t)slot_size * sizeof(float));
    const size_t embeddings = arena_cost((size_t)options->embeddings * sizeof(float));
    node->box_bytes =
        arena_cost(sizeof(NodeBox)) + (size_t)node->sums_room * slots + arena_cost((size_t)eval_width * sizeof(double));
    const size_t head = arena_cost(sizeof(NodeShared)) + slots + embeddings;
    char *base = group_memory(team, head + (size_t)node->size * node->box_bytes, err);
    if (!base)
        return false;
    node->shared = (NodeShared *)(void *)base;
    node->values = (float *)(void *)(base + arena_cost(sizeof(NodeShared)));
    node->embeddings = (float *)(void *)(base + arena_cost(sizeof(NodeShared)) + slots);
    node->boxes = base + head;
    if (node->rank == 0) {
        pthread_barrierattr_t shared;
        pthread_barrierattr_init(&shared);
        pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
        pthread_barrier_init(&node->shared->gate, &shared, (unsigned)node->size);
        pthread_barrierattr_destroy(&shared);
        node->shared->micro_batches = options->micro_batches;
    }
    *node_box(node, node->rank) = (NodeBox){ 0 };
    group_barrier(team);
    return true;
}

void node_gate(Node *node)
{
    pthread_barrier_wait(&node->shared->gate);
}

NodeBox *node_box(const Node *node, int rank)
{
    return (NodeBox *)(void *)(node->boxes + (size_t)rank * node->box_bytes);
}

float *node_sum(const Node *node, int rank, int i)
{
    REQUIRE(i >= 0 && i < node->sums_room);
    const size_t slots = arena_cost((size_t)node->slot_size * sizeof(float));
    return (float *)(void *)((char *)node_box(node, rank) + arena_cost(sizeof(NodeBox)) + (size_t)i * slots);
}

double *node_eval(const Node *node, int rank)
{
    const size_t slots = arena_cost((size_t)node->slot_size * sizeof(float));
    return (double *)(void *)((char *)node_box(node, rank) + arena_cost(sizeof(NodeBox)) +
                              (size_t)node->sums_room * slots);
}
