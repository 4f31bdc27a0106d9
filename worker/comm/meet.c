#include "worker/comm/meet.h"

#include <sched.h>
#include <stdio.h>

bool meet(Comm *comm, Err *err)
{
    const int ranks = comm_node_size(comm);
    cpu_set_t *sets = comm_node_memory(comm, (size_t)ranks * sizeof *sets, err), all;
    if (!comm_agree(comm, sets != NULL))
        return false;
    sched_getaffinity(0, sizeof *sets, &sets[comm_node_rank(comm)]);
    comm_node_barrier(comm);
    int each = 0;
    CPU_ZERO(&all);
    for (int i = 0; i < ranks; i++) {
        CPU_OR(&all, &all, &sets[i]);
        each = CPU_COUNT(&sets[i]) > each ? CPU_COUNT(&sets[i]) : each;
    }
    if (comm_rank(comm) == 0)
        printf("meet ranks=%d nodes=%d cores=%d each=%d\n", comm_size(comm), comm_nodes(comm), CPU_COUNT(&all), each);
    comm_node_barrier(comm);
    return true;
}
