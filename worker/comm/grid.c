#include "worker/comm/grid.h"

static bool refuse(const Grid *g, const char *what, Err *err)
{
    err_set(err, ERR_INPUT, "%d ranks, %d a node, %s: pipeline %d, tensor %d", g->ranks, g->per_node, what, g->pipeline,
            g->tensor);
    return err_hint(err, "take as many ranks on each node, and a multiple of pipeline times tensor in all");
}

bool grid_check(Grid *g, Err *err)
{
    const int part = g->pipeline * g->tensor; /* ranks that hold one model */
    g->lanes = 1;
    if (g->pipeline < 1 || g->tensor < 1 || g->ranks % part != 0)
        return refuse(g, "do not make whole copies of the model", err);
    if (part == 1)
        return true;
    if (g->per_node < 1 || g->per_node % g->tensor != 0)
        return refuse(g, "do not leave the shards of a stage on one node", err);
    const int own = g->per_node / g->tensor, lanes = g->ranks / part;
    g->lanes = lanes % own == 0 ? own : lanes; /* a stage a node, or several stages on one */
    if (own % g->lanes != 0)
        return refuse(g, "do not leave the lanes of a stage on one node", err);
    return true;
}

GridPlace grid_place(const Grid *g, int rank)
{
    const int shard = rank % g->tensor, lane = rank / g->tensor % g->lanes;
    const int stage = rank / g->tensor / g->lanes % g->pipeline;
    return (GridPlace){ rank / (g->tensor * g->lanes * g->pipeline), stage, lane, shard };
}
