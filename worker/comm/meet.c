#include "worker/comm/meet.h"

#include <sched.h>
#include <stdio.h>

/* A group that is what it should be: its ranks agree, hear their first, and stand in the order of the job. */
static bool does_meet(const Group *g, int job_rank, int first)
{
    const bool heard = group_share_number(g, (uint64_t)job_rank) == (uint64_t)first;
    const bool placed = g->rank == 0 ? job_rank == first : job_rank > first;
    return group_agree(g, heard && placed) && !group_agree(g, g->rank != g->size - 1);
}

/* On one node: the model in as many stages as there are ranks, so that each has a lane's stage and memory of its own. */
static bool split(Comm *comm, int rank, int stages, Err *err)
{
    Groups g;
    if (!comm_groups(&g, comm, stages, 1, err))
        return false;
    bool met = does_meet(&g.pipeline, rank, 0);
    const Group alone[] = { g.data, g.tensor, g.team };
    for (int i = 0; i < 3; i++)
        met = does_meet(&alone[i], rank, rank) && met;
    int *own = group_memory(&g.team, sizeof *own, err);
    if (!group_agree(&g.job, own != NULL))
        return false;
    *own = rank;
    group_barrier(&g.job);
    return (met && *own == rank) || err_set(err, ERR_IO, "MPI does not split the ranks of this job as it should");
}

bool meet(Comm *comm, Err *err)
{
    Groups g;
    if (!comm_groups(&g, comm, 1, 1, err))
        return false;
    const int ranks = g.node.size;
    cpu_set_t *sets = group_memory(&g.team, (size_t)ranks * sizeof *sets, err), all;
    if (!group_agree(&g.job, sets != NULL))
        return false;
    sched_getaffinity(0, sizeof *sets, &sets[g.node.rank]);
    group_barrier(&g.node);
    int each = 0;
    CPU_ZERO(&all);
    for (int i = 0; i < ranks; i++) {
        CPU_OR(&all, &all, &sets[i]);
        each = CPU_COUNT(&sets[i]) > each ? CPU_COUNT(&sets[i]) : each;
    }
    const bool ok = does_meet(&g.job, g.job.rank, 0) && (g.nodes > 1 || split(comm, g.job.rank, ranks, err));
    if (group_agree(&g.job, ok) && g.job.rank == 0)
        printf("meet ranks=%d nodes=%d cores=%d each=%d\n", g.job.size, g.nodes, CPU_COUNT(&all), each);
    group_barrier(&g.job);
    return ok;
}
