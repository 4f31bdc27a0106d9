#include "launch/cmd_plan.h"

#include "common/base/mem.h"
#include "common/slots/adapted.h"
#include "launch/command.h"
#include "launch/plan_text.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/arithmetic/speed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct PlanArguments {
    const char *nodes, *lanes, *cores, *memory, *net, *gflops;
    bool json, table, stages, help;
} PlanArguments;

static const double ROOM = 0.85; /* of a node's memory */

/* ---- numbers with units ------------------------------------------------------------------------------- */

typedef struct Unit {
    const char *name;
    double factor;
} Unit;

/* "64GB", "10Gbit", "50": a number above 0 and one of the units. */
static bool read_quantity(const char *option, const char *text, const Unit *units, double *value, Err *err)
{
    char *rest;
    const double number = strtod(text, &rest);
    for (const Unit *u = units; rest > text && u->name && number > 0 && number < 1e15; u++)
        if (strcmp(rest, u->name) == 0) {
            *value = number * u->factor;
            return true;
        }
    err_set(err, ERR_INPUT, "'%s' is no number above 0 with its unit", text);
    err_at(err, "--%s", option);
    return err_hint(err, "for example --%s=%s%s", option, strcmp(option, "net") == 0 ? "10" : "64", units->name);
}

/* parallel.memory, else all that there is. */
static double own_memory(const Config *c)
{
    return c->parallel.memory ? (double)text_bytes(c->parallel.memory)
                              : (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

static bool read_machine(LayoutMachine *m, Planned *p, const PlanArguments *given, Err *err)
{
    static const Unit memory[] = { { "GB", 1e9 }, { "TB", 1e12 }, { "MB", 1e6 }, { NULL, 0 } };
    static const Unit net[] = { { "Gbit", 1e9 / 8 }, { "Mbit", 1e6 / 8 }, { NULL, 0 } };
    static const Unit plain[] = { { "", 1 }, { NULL, 0 } };
    double room = own_memory(p->config);
    *m = (LayoutMachine){ .nodes = 1, .lanes = 1, .cores = sysconf(_SC_NPROCESSORS_ONLN), .net = 1e9 / 8 };
    if ((given->nodes && !option_int("nodes", given->nodes, 1, 4096, &m->nodes, err)) ||
        (given->lanes && !option_int("lanes", given->lanes, 1, 4096, &m->lanes, err)) ||
        (given->cores && !option_int("cores", given->cores, 1, 4096, &m->cores, err)) ||
        (given->memory && !read_quantity("memory", given->memory, memory, &room, err)) ||
        (given->net && !read_quantity("net", given->net, net, &m->net, err)) ||
        (given->gflops && !read_quantity("gflops", given->gflops, plain, &p->given, err)))
        return false;
    m->memory = room * ROOM;
    if (!given->gflops) {
        p->measured = true;
        p->given = speed_measure().products;
    }
    m->flops = p->given * 1e9 * LAYOUT_REACHED;
    return true;
}

/* ---- what is printed ------------------------------------------------------------------------------------------ */

static bool say_one(Planned *p, bool json, Err *err)
{
    Text out = { 0 };
    if (!layouts_of(&p->layouts, p->config, &p->machine, p->arch, p->table, err))
        return false;
    if (json) {
        json_t *all = plan_json(p);
        char *text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        text_addf(&out, "%s\n", text);
        free(text);
        json_decref(all);
    } else {
        plan_text(p, &out);
    }
    fputs(out.data, stdout);
    text_release(&out);
    const bool fits = p->layouts.chosen >= 0;
    layouts_release(&p->layouts);
    return fits || err_set(err, ERR_INPUT, "no layout of these nodes has room for the run");
}

/* What parallel.pipeline: auto stands for, for scripts. */
static bool say_stages(Planned *p, Err *err)
{
    if (!layouts_of(&p->layouts, p->config, &p->machine, p->arch, p->table, err))
        return false;
    const int stages = layouts_auto(&p->layouts, &p->machine, err);
    layouts_release(&p->layouts);
    return stages > 0 && printf("%d\n", stages) > 0;
}

/* For the numbers of nodes up to the machine's, by fours, and the links that there are. */
static bool say_table(Planned *p, Err *err)
{
    static const double links[] = { 1, 10, 25, 100 };
    const int64_t most = p->machine.nodes;
    Text out = { 0 };
    bool ok = true, first = true;
    for (int64_t nodes = 4; ok && nodes <= most; nodes *= 4)
        for (size_t k = 0; ok && k < LENGTH(links); k++) {
            p->machine.nodes = nodes;
            p->machine.net = links[k] * 1e9 / 8;
            ok = layouts_of(&p->layouts, p->config, &p->machine, p->arch, p->table, err);
            if (ok && first)
                plan_table_head(p, &out);
            if (ok)
                plan_table_rows(p, &out);
            first = false;
            layouts_release(&p->layouts);
        }
    if (ok && out.data)
        fputs(out.data, stdout);
    text_release(&out);
    if (ok && first) {
        err_set(err, ERR_INPUT, "a table begins with 4 nodes");
        return err_hint(err, "--nodes=64 has 4, 16 and 64");
    }
    return ok;
}

static bool plan(const PlanArguments *given, const Config *config, Err *err)
{
    const AdaptedOptions o = adapted_of(config);
    Adapted adapted;
    Planned p = { .config = config };
    Arithmetic arithmetic;
    bool ok = config_check_training(config, err) && adapted_open(&adapted, &o, err);
    if (!ok)
        return false;
    p.arch = adapted.arch;
    p.table = adapted.table;
    ok = arithmetic_start(&arithmetic, config->parallel.arithmetic, config->train.precision != PRECISION_FP32, true,
                          err) &&
         read_machine(&p.machine, &p, given, err) &&
         (given->table    ? say_table(&p, err)
          : given->stages ? say_stages(&p, err)
                          : say_one(&p, given->json, err));
    adapted_release(&adapted);
    return ok && (fflush(stdout) == 0 || err_errno(err, "cannot write to standard output"));
}

static bool run(void *self, const Arguments *words, Err *err)
{
    const ConfigSources sources = { .file = words->positionals[0],
                                    .overrides = words->overrides,
                                    .override_count = words->override_count };
    Config config = { 0 };
    const bool ok = config_load(&config, &sources, err) && plan(self, &config, err);
    config_release(&config);
    return ok;
}

int cmd_plan(int argc, char **argv)
{
    PlanArguments given = { 0 };
    const Option own[] = {
        { "nodes", "N", "how many; default: 1", &given.nodes, NULL },
        { "lanes", "N", "ranks of a node that work side by side, and share its cores; default: 1", &given.lanes, NULL },
        { "cores", "N", "of a node; default: this machine's", &given.cores, NULL },
        { "memory", "64GB", "of a node, of which 85% are used; default: this machine's", &given.memory, NULL },
        { "net", "10Gbit", "of a node's link, each way; default: 1Gbit", &given.net, NULL },
        { "gflops", "N", "of a core; default: this machine's products are measured", &given.gflops, NULL },
        { "json", NULL, "one JSON object instead of a page", NULL, &given.json },
        { "table", NULL, "4, 16, 64 ... up to --nodes nodes at 1, 10, 25, 100 Gbit/s, as Markdown", NULL,
          &given.table },
        { "stages", NULL, "only how many stages parallel.pipeline: auto takes of the nodes", NULL, &given.stages },
        { "help", NULL, "this text", NULL, &given.help },
    };
    const OptionTable table = { "lora plan",
                                "RUN.yaml",
                                "what a run takes of so many nodes: stages, memory, time, bytes",
                                own,
                                sizeof own / sizeof *own,
                                true,
                                0 };
    return command_main(&(Command){ &table, &given.help, 1, 1, run, &given }, argc, argv);
}
