#include "worker/train/stages.h"

#include "worker/comm/grid.h"
#include "worker/model/stage.h"

int stages_of(const Config *config)
{
    return config->parallel.pipeline > 0 ? (int)config->parallel.pipeline : 1;
}

bool stages_check_model(const Config *config, const ModelArch *arch, const SlotTable *table, Err *err)
{
    Stage stage;
    const int count = stages_of(config);
    if (count == 1)
        return true;
    if (!stage_init(&stage, arch, table, 0, count, err))
        return false;
    stage_release(&stage);
    return true;
}

bool stages_check_ranks(const Config *config, int64_t ranks, Err *err)
{
    Grid grid = { .ranks = (int)ranks, .per_node = (int)ranks, .pipeline = stages_of(config), .tensor = 1 };
    return grid_check(&grid, err);
}
