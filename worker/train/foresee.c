#include "worker/train/foresee.h"

#include "common/slots/sums.h"
#include "worker/arithmetic/speed.h"
#include "worker/train/layout.h"
#include "worker/train/needs.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Of a step: those that there are; of episodes all their batches. */
static double examples_of(const JobStepOptions *o)
{
    const double asked = needs_examples(o->config), there = (double)o->data->train.examples;
    return o->config->meta.algorithm != META_NONE || asked < there ? asked : there;
}

/* What the training examples make of a step on the average. */
static LayoutWork work_of(const JobStep *step, const JobStepOptions *o)
{
    const TrainSet *train = &o->data->train;
    const int64_t *start = train->data.start;
    double tokens = 0, squares = 0;
    for (int64_t i = 0; i < train->count; i++) {
        const double T = (double)(start[train->rows[i] + 1] - start[train->rows[i]]);
        tokens += T;
        squares += T * T;
    }
    const double all = (double)(train->episodes ? train->count : train->examples), examples = all > 0 ? all : 1;
    ModelOptions model = step->options;
    model.most_tokens = step->trained_tokens;
    model.most_sequences = step->trained_rows;
    return (LayoutWork){ .model = model,
                         .evaluated = o->config->train.eval_strategy == WHEN_NO ? 0 : o->data->eval.most_tokens,
                         .micro_batches = o->config->parallel.micro_batches,
                         .copies = episode_copies(&o->config->meta),
                         .tokens = tokens / examples * examples_of(o),
                         .T = tokens > 0 ? squares / tokens : 1 };
}

/* A product of a micro-batch with a matrix of the model's width. */
static double core_flops(const JobStepOptions *o, double tokens)
{
    enum { ROWS = 512, WIDTH = 1024 }; /* of larger ones the speed is the same */
    const int64_t C = least(o->base->adapted.arch->C, WIDTH), rows = tokens < ROWS ? (int64_t)tokens : ROWS;
    return speed_of_products(rows > 0 ? rows : 1, C, C) * 1e9 * LAYOUT_REACHED;
}

bool foresee(Foreseen *foreseen, const JobStep *step, const JobStepOptions *o, int lanes, Err *err)
{
    const LayoutWork work = work_of(step, o);
    const LayoutMachine machine = { .nodes = o->lane->size,
                                    .lanes = lanes,
                                    .cores = (int64_t)lanes * o->threads,
                                    .memory = 0,
                                    .net = 1e9, /* between nodes: not measured, taken for 8 Gbit/s */
                                    .flops = core_flops(o, work.tokens / (double)work.micro_batches) };
    const Adapted *base = &o->base->adapted;
    RunLayout layout;
    if (!layout_of(&layout, &machine, &work, o->config->train.precision, base->arch, base->table, o->lane->size, err))
        return false;
    const double up =
        layout.wire * (double)sums_bytes(o->config->ps.wire_dtype, 256) / (double)sums_bytes(WIRE_FP32, 256);
    *foreseen = (Foreseen){ layout.seconds, (int64_t)layout_memory(&layout), (int64_t)(up + layout.wire) };
    layout_release(&layout);
    return true;
}
