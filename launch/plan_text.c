#include "launch/plan_text.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static double taken(const LayoutStage *s)
{
    return s->weights + s->kept + s->other;
}

/* Of a step's time: what it would take if all nodes computed all of it. */
static double share(const Planned *p, const RunLayout *l)
{
    double work = 0;
    for (int s = 0; s < l->stages; s++)
        work += l->stage[s].up + l->stage[s].back;
    return work * (double)l->micro_batches / (double)p->machine.nodes / l->seconds;
}

/* "data 8", "pipeline 4 x 2". Owned. */
static char *name_of(const RunLayout *l)
{
    return l->stages == 1 ? xprintf("data %lld", (long long)l->replicas)
                          : xprintf("pipeline %d x %lld", l->stages, (long long)l->replicas);
}

/* The stage that takes most of its node. */
static const LayoutStage *largest(const RunLayout *l)
{
    const LayoutStage *most = l->stage;
    for (int s = 1; s < l->stages; s++)
        most = taken(&l->stage[s]) > taken(most) ? &l->stage[s] : most;
    return most;
}

static double parameters(const Planned *p)
{
    return (double)arch_parameters(p->arch);
}

/* ---- a page ------------------------------------------------------------------------------------------------ */

static void add_head(const Planned *p, Text *out)
{
    const RunLayout *l = &p->layouts.layout[0];
    text_addf(out, "%s, fp32: %.1f M trainable of %.3f G parameters. %lld examples a step, %lld tokens at the most\n",
              p->arch->family->model_type, (double)p->table->trainable / 1e6, parameters(p) / 1e9,
              (long long)p->config->train.batch_size, (long long)l->tokens);
    text_addf(out, "on paper: %lld node(s), %lld cores x %.1f GFLOP/s (%s) x 80%%, %.1f GB and %.1f Gbit/s a node\n",
              (long long)p->machine.nodes, (long long)p->machine.cores, p->given,
              p->measured ? "products of this machine" : "as given", p->machine.memory / 1e9, p->machine.net * 8e-9);
}

static void add_chosen(const Planned *p, const RunLayout *l, Text *out)
{
    char *name = name_of(l);
    text_addf(out, "\nchosen: %s, %lld micro-batches\n", name, (long long)l->micro_batches);
    text_adds(out, "  stage  blocks       weights      kept     other   of a node\n");
    for (int s = 0; s < l->stages; s++) {
        const LayoutStage *at = &l->stage[s];
        text_addf(out, "  %-5d  %3lld..%-3lld  %8.2f GB  %8.2f  %8.2f   %3.0f%%\n", s, (long long)at->first,
                  (long long)at->end - 1, at->weights / 1e9, at->kept / 1e9, at->other / 1e9,
                  100 * taken(at) / p->machine.memory);
    }
    text_addf(
        out,
        "  a step       %.3g s: the slowest stage computes %.3g, server %.3g; %.0f%% of what the nodes can do; %.0f "
        "tokens/s\n",
        l->seconds, l->compute, l->server, 100 * share(p, l), (double)l->tokens / l->seconds);
    text_addf(out,
              "  on the wire  %.3g GB a node between stages; server %.3g GB in, as much out (%.2g%% of all weights)\n",
              l->mpi / 1e9, l->wire / 1e9, 100 * (double)p->table->trainable / parameters(p));
    free(name);
}

static void add_other(const Planned *p, const RunLayout *l, Text *out)
{
    char *name = name_of(l);
    const LayoutStage *most = largest(l);
    if (l->fits)
        text_addf(out, "  %-16s  %.3g s, %.0f%% of what the nodes can do; a stage takes %.2f GB\n", name, l->seconds,
                  100 * share(p, l), taken(most) / 1e9);
    else
        text_addf(out, "  %-16s  %.2f GB of weights and %.2f besides do not fit into %.1f GB\n", name,
                  most->weights / 1e9, (most->kept + most->other) / 1e9, p->machine.memory / 1e9);
    free(name);
}

void plan_text(const Planned *p, Text *out)
{
    add_head(p, out);
    if (p->layouts.chosen >= 0)
        add_chosen(p, &p->layouts.layout[p->layouts.chosen], out);
    else
        text_adds(out, "\nno layout fits: take more nodes, or nodes with more memory, or lower "
                       "parallel.micro_batch_tokens or data.max_length\n");
    if (p->layouts.count > 1 || p->layouts.chosen < 0)
        text_adds(out, "not chosen\n");
    for (int i = 0; i < p->layouts.count; i++)
        if (i != p->layouts.chosen)
            add_other(p, &p->layouts.layout[i], out);
}

/* ---- JSON ---------------------------------------------------------------------------------------------------- */

static json_t *stage_json(const LayoutStage *s)
{
    return json_pack("{s:I, s:I, s:f, s:f, s:f}", "first", (json_int_t)s->first, "end", (json_int_t)s->end,
                     "weights_bytes", s->weights, "kept_bytes", s->kept, "other_bytes", s->other);
}

static json_t *layout_json(const Planned *p, const RunLayout *l)
{
    json_t *stages = json_array();
    for (int s = 0; s < l->stages; s++)
        json_array_append_new(stages, stage_json(&l->stage[s]));
    return json_pack("{s:i, s:I, s:I, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "pipeline", l->stages, "replicas",
                     (json_int_t)l->replicas, "micro_batches", (json_int_t)l->micro_batches, "fits", l->fits,
                     "step_seconds", l->seconds, "compute_seconds", l->compute, "server_seconds", l->server, "share",
                     share(p, l), "mpi_bytes", l->mpi, "server_bytes", l->wire, "stages", stages);
}

json_t *plan_json(const Planned *p)
{
    json_t *layouts = json_array();
    for (int i = 0; i < p->layouts.count; i++)
        json_array_append_new(layouts, layout_json(p, &p->layouts.layout[i]));
    json_t *all =
        json_pack("{s:I, s:I, s:f, s:f, s:f, s:b, s:f, s:I, s:o}", "nodes", (json_int_t)p->machine.nodes, "cores",
                  (json_int_t)p->machine.cores, "memory_bytes", p->machine.memory, "net_bytes_per_second",
                  p->machine.net, "gflops", p->given, "measured", p->measured, "parameters", parameters(p), "trainable",
                  (json_int_t)p->table->trainable, "layouts", layouts);
    json_object_set_new(all, "chosen",
                        p->layouts.chosen >= 0 ? json_integer(p->layouts.layout[p->layouts.chosen].stages)
                                               : json_null());
    return all;
}

/* ---- a table --------------------------------------------------------------------------------------------------- */

void plan_table_head(const Planned *p, Text *out)
{
    text_addf(out,
              "%s of %.2f G parameters, fp32, %.1f M trainable, %lld tokens a step, nodes of %lld cores x %.0f "
              "GFLOP/s x 80%% and %.0f GB:\n\n",
              p->arch->family->model_type, parameters(p) / 1e9, (double)p->table->trainable / 1e6,
              (long long)p->layouts.layout[0].tokens, (long long)p->machine.cores, p->given, p->machine.memory / 1e9);
    text_adds(out,
              "| nodes | Gbit/s | layout | GB a node | s a step | of what the nodes can do | MPI GB a node | server "
              "GB in |\n|---|---|---|---|---|---|---|---|\n");
}

void plan_table_rows(const Planned *p, Text *out)
{
    for (int i = 0; i < p->layouts.count; i++) {
        const RunLayout *l = &p->layouts.layout[i];
        if (i != p->layouts.chosen && l->stages > 1)
            continue;
        char *name = name_of(l);
        text_addf(out, "| %lld | %.0f | %s%s | %.1f | ", (long long)p->machine.nodes, p->machine.net * 8e-9, name,
                  i == p->layouts.chosen ? ", chosen" : "", taken(largest(l)) / 1e9);
        if (l->fits)
            text_addf(out, "%.3g | %.0f%% | %.2g | %.2g |\n", l->seconds, 100 * share(p, l), l->mpi / 1e9,
                      l->wire / 1e9);
        else
            text_adds(out, "no room | | | |\n");
        free(name);
    }
}
