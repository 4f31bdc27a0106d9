#include "ps/costs.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/process.h"
#include "ps/run_state.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const double keep_pause = 3; /* seconds between two writings */

typedef struct Kept {
    const char *name;
    size_t offset;
} Kept;

#define AT(f) offsetof(Costs, f)
static const Kept kept[] = {
    { "wire_bytes_up", AT(up) },    { "wire_bytes_down", AT(down) },         { "replicas", AT(clients) },
    { "placed_up", AT(placed_up) }, { "placed_down", AT(placed_down) },      { "peak_memory", AT(all_bytes) },
    { "plan_step", AT(plan_step) }, { "plan_memory", AT(plan_memory) },      { "plan_bytes", AT(plan_bytes) },
    { "ranks", AT(ranks) },         { "peak_rss_worker", AT(worker_bytes) }, { "peak_rss_ps", AT(server_bytes) },
};
enum { KEPT = sizeof kept / sizeof *kept };

static int64_t *figure(Costs *costs, int i)
{
    return (int64_t *)(void *)((char *)costs + kept[i].offset);
}

static char *path_of(const Run *run)
{
    return path_join(run->folder, "wal/costs");
}

/* Not synced: who pulls the plug loses a figure of the summary, and no step waits for it. */
void costs_keep(Run *run)
{
    Costs *costs = &run->costs;
    costs->kept_at = clock_now();
    if (!run->begun || run->complete || !costs->changed)
        return;
    json_t *to = json_object();
    for (int i = 0; i < KEPT; i++)
        json_object_set_new(to, kept[i].name, json_integer(*figure(costs, i)));
    char *text = json_dumps(to, JSON_COMPACT), *path = path_of(run), *part = path_join(run->folder, "wal/costs.tmp");
    FILE *file = fopen(part, "we");
    const bool ok = file && fprintf(file, "%s\n", text) > 0;
    if (file && fclose(file) == 0 && ok && rename(part, path) == 0)
        costs->changed = false;
    else
        unlink(part);
    json_decref(to);
    free(text);
    free(part);
    free(path);
}

static void raise_to(int64_t *most, int64_t value, bool *changed)
{
    *changed = *changed || value > *most;
    *most = value > *most ? value : *most;
}

bool costs_may_foresee(const Foreseen *foreseen)
{
    const double most = 1e9; /* s, which in ns fit into 64 bits; a NaN passes no comparison */
    return foreseen->seconds > 0 && foreseen->seconds <= most;
}

void costs_foresee(Foreseen *all, const Foreseen *one)
{
    if (!costs_may_foresee(one))
        return;
    all->seconds = all->seconds > 0 ? 1 / (1 / all->seconds + 1 / one->seconds) : one->seconds;
    all->memory += one->memory;
    all->bytes += one->bytes;
}

/* More clients, or more memory: the larger group is what the measured figures are of. */
static void take_foreseen(Costs *costs, const Foreseen *foreseen)
{
    if (!costs_may_foresee(foreseen) || foreseen->memory <= costs->plan_memory)
        return;
    costs->plan_step = (int64_t)(foreseen->seconds * 1e9);
    costs->plan_memory = foreseen->memory;
    costs->plan_bytes = foreseen->bytes;
    costs->changed = true;
}

/* Seldom but where it may have grown, as the kernel walks all pages. */
void costs_look(Costs *costs, int64_t workers)
{
    const double pause = 2;
    struct rusage usage = { 0 };
    getrusage(RUSAGE_SELF, &usage);
    if (usage.ru_maxrss <= costs->resident && clock_now() < costs->looked_at + pause)
        return;
    costs->resident = usage.ru_maxrss;
    costs->looked_at = clock_now();
    const int64_t mine = process_memory();
    raise_to(&costs->server_bytes, mine, &costs->changed);
    raise_to(&costs->all_bytes, mine + workers, &costs->changed);
}

void costs_count(Run *run, const CostsSeen *seen)
{
    Costs *costs = &run->costs;
    raise_to(&costs->up, costs->up_before + seen->up, &costs->changed);
    raise_to(&costs->down, costs->down_before + seen->down, &costs->changed);
    raise_to(&costs->placed_up, costs->placed_up_before + seen->placed_up, &costs->changed);
    raise_to(&costs->placed_down, costs->placed_down_before + seen->placed_down, &costs->changed);
    raise_to(&costs->clients, seen->clients, &costs->changed);
    raise_to(&costs->ranks, seen->ranks, &costs->changed);
    raise_to(&costs->worker_bytes, seen->worker_bytes, &costs->changed);
    take_foreseen(costs, &seen->foreseen);
    costs_look(costs, seen->workers_now);
    if (clock_now() >= costs->kept_at + keep_pause)
        costs_keep(run);
}

void costs_take(Run *run)
{
    Err none = { 0 };
    char *path = path_of(run);
    json_t *from = file_exists(path) ? json_file(path, &none) : NULL;
    for (int i = 0; i < KEPT; i++) {
        const int64_t value = from ? json_get_int(from, kept[i].name, 0, &none) : 0;
        *figure(&run->costs, i) = value > 0 ? value : 0;
    }
    run->costs.up_before = run->costs.up;
    run->costs.down_before = run->costs.down;
    run->costs.placed_up_before = run->costs.placed_up;
    run->costs.placed_down_before = run->costs.placed_down;
    json_decref(from);
    free(path);
}

int64_t costs_up(const Costs *costs)
{
    return costs->up + costs->placed_up;
}

int64_t costs_down(const Costs *costs)
{
    return costs->down + costs->placed_down;
}

double costs_of_full(const Run *run)
{
    return 8.0 * (double)arch_parameters(run->adapted.arch) * (double)run->costs.clients * (double)run->state.version;
}

double costs_share(const Run *run)
{
    const double full = costs_of_full(run);
    return full > 0 ? (double)(costs_up(&run->costs) + costs_down(&run->costs)) / full : 0;
}
