#include "worker/train/stages.h"

#include "common/base/log.h"
#include "common/slots/adapted.h"
#include "worker/arithmetic/speed.h"
#include "worker/comm/grid.h"
#include "worker/model/stage.h"
#include "worker/train/fit.h"
#include "worker/train/layouts.h"

#include <stdio.h>
#include <unistd.h>

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

/* parallel.data */
static bool check_copies(const Config *config, int64_t ranks, Err *err)
{
    const int64_t copies = ranks / stages_of(config), wanted = config->parallel.data;
    if (wanted < 1 || wanted == copies)
        return true;
    err_set(err, ERR_INPUT, "%lld ranks that hold the model in %d stages are %lld side by side, not %lld",
            (long long)ranks, stages_of(config), (long long)copies, (long long)wanted);
    err_at(err, "parallel.data");
    return err_hint(err, "start %lld ranks, or leave parallel.data out", (long long)(wanted * stages_of(config)));
}

bool stages_check_ranks(const Config *config, int64_t ranks, Err *err)
{
    Grid grid = { .ranks = (int)ranks, .per_node = (int)ranks, .pipeline = stages_of(config), .tensor = 1 };
    return grid_check(&grid, err) && check_copies(config, ranks, err);
}

/* ---- auto -------------------------------------------------------------------------------------------- */

/* Of a node's room this is planned with; the rest is for what no plan knows. */
static const double FILLED = 0.9;

/* What the node with the least has, in bytes. Collective: over the job. */
static double least_room(const Config *config, const Groups *groups)
{
    return -1e6 * group_most(&groups->job, (int)-(fit_room(config, 0) / 1000000));
}

static LayoutMachine machine_of(const Config *config, const ModelArch *arch, const Groups *groups, double room)
{
    const int64_t ranks = groups->per_node, cores = sysconf(_SC_NPROCESSORS_ONLN), C = arch->C < 1024 ? arch->C : 1024;
    const int64_t threads = config->parallel.threads > 0 ? config->parallel.threads : cores > ranks ? cores / ranks : 1;
    return (LayoutMachine){ .nodes = groups->nodes,
                            .lanes = ranks,
                            .cores = ranks * threads,
                            .memory = FILLED * room,
                            .net = 1e9 / 8, /* nobody has said, and it decides only where none fits alone */
                            .flops = speed_of_products(512, C, C) * 1e9 * LAYOUT_REACHED };
}

/* The first rank's: 0 with *err. */
static int choose(const Config *config, const Groups *groups, double room, Err *err)
{
    const AdaptedOptions o = adapted_of(config);
    Adapted adapted;
    Layouts layouts = { 0 };
    int stages = 0;
    if (adapted_open(&adapted, &o, err)) {
        const LayoutMachine machine = machine_of(config, adapted.arch, groups, room);
        if (layouts_of(&layouts, config, &machine, adapted.arch, adapted.table, err))
            stages = layouts_auto(&layouts, &machine, err);
        if (stages > 1)
            log_info("stages", "%d nodes of %.2f GB hold the model in %d stages", groups->nodes, room / 1e9, stages);
    }
    layouts_release(&layouts);
    adapted_release(&adapted);
    return stages;
}

static bool settle(Config *config, const Groups *groups, Err *err)
{
    const double room = least_room(config, groups);
    const int mine = groups->job.rank == 0 ? choose(config, groups, room, err) : 0;
    const int stages = (int)group_share_number(&groups->job, (uint64_t)mine);
    char number[16];
    snprintf(number, sizeof number, "%d", stages);
    return stages > 0 && config_set(config, "parallel.pipeline", number, err);
}

bool stages_settle(Config *config, Groups *groups, Err *err)
{
    const bool chooses = config->parallel.pipeline < 1 && groups->nodes > 1 && groups->per_node > 0;
    if (chooses && !group_agree(&groups->job, settle(config, groups, err)))
        return false;
    return (stages_of(config) == 1 || groups_split(groups, stages_of(config), 1, err)) &&
           check_copies(config, groups->job.size, err);
}
