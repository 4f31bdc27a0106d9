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
    node->values = node->own_values = (float *)(void *)(base + arena_cost(sizeof(NodeShared)));
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

static void leave_place(Node *node)
{
    shared_memory_close(&node->server_values);
    shared_memory_close(&node->server_sums);
    node_settle(node, false);
}

void node_close(Node *node)
{
    if (node->shared)
        leave_place(node);
}

void node_gate(Node *node)
{
    pthread_barrier_wait(&node->shared->gate);
}

bool node_take_place(Node *node)
{
    const MemoryOffer *offer = &node->shared->offer;
    const size_t size = (size_t)node->slot_size * sizeof(float);
    leave_place(node);
    node_box(node, node->rank)->placed =
        shared_memory_open(&node->server_values, offer->values, offer->values_key, size, false) &&
        shared_memory_open(&node->server_sums, offer->sums, offer->sums_key, size, true);
    node_gate(node);
    bool all = true;
    for (int r = 0; r < node->size; r++)
        all = all && node_box(node, r)->placed;
    if (!all)
        leave_place(node);
    node_gate(node); /* offer and boxes are free again */
    return all;
}

void node_settle(Node *node, bool in_place)
{
    REQUIRE(!in_place || node->server_sums.data);
    node->in_place = in_place;
    node->values = in_place ? node->server_values.data : node->own_values;
}

NodeBox *node_box(const Node *node, int rank)
{
    return (NodeBox *)(void *)(node->boxes + (size_t)rank * node->box_bytes);
}

float *node_sum(const Node *node, int rank, int i)
{
    REQUIRE(i >= 0 && i < node->sums_room);
    if (rank == 0 && i == 0 && node->in_place)
        return node->server_sums.data;
    const size_t slots = arena_cost((size_t)node->slot_size * sizeof(float));
    return (float *)(void *)((char *)node_box(node, rank) + arena_cost(sizeof(NodeBox)) + (size_t)i * slots);
}

double *node_eval(const Node *node, int rank)
{
    const size_t slots = arena_cost((size_t)node->slot_size * sizeof(float));
    return (double *)(void *)((char *)node_box(node, rank) + arena_cost(sizeof(NodeBox)) +
                              (size_t)node->sums_room * slots);
}
