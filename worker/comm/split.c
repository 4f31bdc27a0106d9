#include "worker/comm/split.h"

bool groups_split(Groups *g, int pipeline, int tensor, Err *err)
{
    Grid grid = { .ranks = g->job.size, .per_node = g->per_node, .pipeline = pipeline, .tensor = tensor };
    if (!grid_check(&grid, err))
        return false;
    const GridPlace at = grid_place(&grid, g->job.rank);
    const int part = at.stage * tensor + at.shard, lane = at.replica * grid.lanes + at.lane;
    g->place = at;
    g->lanes = grid.lanes;
    g->data = group_split(&g->job, part);
    g->pipeline = group_split(&g->job, lane * tensor + at.shard);
    g->tensor = group_split(&g->job, lane * pipeline + at.stage);
    g->team = group_split(&g->node, part);
    return true;
}

bool groups_lead(const Groups *g)
{
    return g->team.rank == 0 && g->place.stage == 0;
}
