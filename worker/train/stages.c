#include "worker/train/stages.h"

#include "worker/comm/grid.h"
#include "worker/model/stage.h"

int stages_of(const Config *config)
{
    return config->parallel.pipeline > 0 ? (int)config->parallel.pipeline : 1;
}

bool stages_check(const Config *config, Err *err)
{
    if (stages_of(config) == 1 || !config->data.generate)
        return true;
    err_set(err, ERR_INPUT, "evaluations do not write texts with a model in %d stages", stages_of(config));
    err_at(err, "data.generate");
    return err_hint(err, "take parallel.pipeline: 1 or data.generate: false");
}

bool stages_check_model(const Config *config, const ModelArch *arch, const SlotTable *table, Err *err)
{
    Stage stage;
    const int count = stages_of(config);
    if (count == 1)
        return true;
    if (arch->source_layers > 0) {
        err_set(err, ERR_INPUT,
                "a model of two stacks (model_type '%s') is not cut into stages: all blocks that write read "
                "what the others give",
                arch->family->model_type);
        err_hint(err, "take parallel.pipeline: 1");
        return err_at(err, "parallel.pipeline");
    }
    if (!stages_check(config, err) || !stage_init(&stage, arch, table, 0, count, err))
        return false;
    stage_release(&stage);
    return true;
}

bool stages_check_ranks(const Config *config, int64_t ranks, Err *err)
{
    Grid grid = { .ranks = (int)ranks, .per_node = (int)ranks, .pipeline = stages_of(config), .tensor = 1 };
    return grid_check(&grid, err);
}
