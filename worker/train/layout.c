#include "worker/train/layout.h"

#include "common/base/mem.h"
#include "common/slots/tree.h"
#include "worker/model/stage.h"
#include "worker/model/weights.h"
#include "worker/train/episode.h"
#include "worker/train/needs.h"
#include "worker/train/order.h"
#include "worker/train/simulate.h"

#include <math.h>
#include <stdlib.h>

/* What is asked. */
typedef struct Question {
    const LayoutMachine *machine;
    const LayoutWork *work;
    const ModelArch *arch;
    const SlotTable *table;
    Precision precision;
    int64_t m; /* micro-batches of a lane */
} Question;

static bool is_product(const Module *m)
{
    return m->kind == MODULE_LINEAR || m->kind == MODULE_CONV;
}

/* ---- time --------------------------------------------------------------------------------------------- */

/* Operations of a token in a module, forward or backward. */
static double operations(const Question *q, int module, bool back)
{
    const Module *m = &q->arch->modules[module];
    const ModuleSlots *slots = &q->table->modules[module];
    const bool all_rows = m->layer >= 0 || m->kind == MODULE_CONV || q->arch->head.task->of_tokens;
    if (!is_product(m) || !all_rows)
        return 0;
    const double lora = slots->a >= 0 ? (double)(slots->r * (m->in + m->out)) : 0;
    const double own = slots->weight >= 0 && back ? 4 : 2; /* trained whole: the weight's gradient, too */
    return own * (double)m->out * (double)m->in + (back ? 4 : 2) * lora;
}

static double seconds_of(const Question *q, const Stage *stage, bool back)
{
    const ModelArch *arch = q->arch;
    const double each = (back ? 10 : 4) * q->work->T * (double)(arch->H * arch->D) * (arch->causal ? 0.5 : 1);
    double sum = each * (double)(stage->end - stage->first);
    for (int i = 0; i < arch->module_count; i++)
        sum += stage_holds(stage, &arch->modules[i]) ? operations(q, i, back) : 0;
    const double tokens = q->work->tokens / (double)q->work->micro_batches, lanes = (double)q->machine->lanes;
    return sum * tokens * lanes / (q->machine->flops * (double)q->machine->cores);
}

/* ---- memory --------------------------------------------------------------------------------------------- */

static double weights_of(const Question *q, const Stage *stage)
{
    double sum = 0;
    for (int i = 0; i < q->arch->module_count && !q->table->whole; i++) {
        const Module *m = &q->arch->modules[i];
        const bool shared = m->tied && stage->count == 1; /* its matrix is the word table */
        if (stage_holds(stage, m))
            sum += (shared ? 0 : (double)weights_module_bytes(m, q->table->modules[i].weight >= 0, q->precision)) +
                   (m->bias ? 4 * (double)m->out : 0);
    }
    return sum;
}

/* Of a process beside its model: libraries, buffers of OpenBLAS and Open MPI. */
static const double process_bare = 24e6;

/* Floats that a token takes over a boundary: those of the stream, and with norms behind their blocks again, at most. */
static double boundary(const Question *q)
{
    return (double)(q->arch->pre_norm ? q->arch->C : 2 * q->arch->C);
}

static int threads_of(const LayoutMachine *m)
{
    return m->cores > m->lanes ? (int)(m->cores / m->lanes) : 1;
}

/* A piece of an evaluation keeps nothing, and may be larger: bytes besides. */
static double beyond(const Question *q, ModelOptions o)
{
    const int64_t trained = o.most_tokens, more = q->work->evaluated;
    if (more <= trained)
        return 0;
    o.training = false;
    const double small = (double)model_bytes(q->arch, q->table, NULL, &o);
    o.most_tokens = more;
    o.most_sequences = o.most_sequences * more / trained;
    return (double)model_bytes(q->arch, q->table, NULL, &o) - small;
}

static void fill_memory(LayoutStage *to, const Question *q, const Stage *stage)
{
    ModelOptions o = q->work->model;
    o.threads = threads_of(q->machine);
    o.stage = stage->count > 1 ? stage : NULL;
    o.flights = 1;
    const double one = (double)model_bytes(q->arch, q->table, NULL, &o);
    o.flights = 2;
    const double each = (double)model_bytes(q->arch, q->table, NULL, &o) - one, lanes = (double)q->machine->lanes;
    const int flights = order_flights(stage->count, stage->index, q->m);
    const double slots = 4 * (double)stage->size, whole = 4 * (double)q->table->size;
    const double rows = 4 * (double)o.most_tokens * boundary(q);
    to->weights = weights_of(q, stage);
    to->kept = lanes * flights * (each + (stage_is_first(stage) ? 0 : rows));
    to->other = slots + lanes * (one - each + beyond(q, o) + (double)(tree_room(q->m) + q->work->copies) * slots +
                                 process_bare);
    if (stage->count > 1)
        to->other += lanes * 4 * rows + (stage_is_first(stage) ? 3 * whole : 0);
}

/* ---- the whole ---------------------------------------------------------------------------------------------- */

static bool fill_stages(RunLayout *layout, const Question *q, Err *err)
{
    layout->fits = true;
    for (int s = 0; s < layout->stages; s++) {
        LayoutStage *to = &layout->stage[s];
        Stage stage;
        if (!stage_init(&stage, q->arch, q->table, s, layout->stages, err))
            return false;
        *to = (LayoutStage){ .first = stage.first, .end = stage.end };
        fill_memory(to, q, &stage);
        to->up = seconds_of(q, &stage, false);
        to->back = seconds_of(q, &stage, true) + (q->work->model.checkpointing ? to->up : 0);
        layout->fits = layout->fits && to->weights + to->kept + to->other <= q->machine->memory;
        stage_release(&stage);
    }
    return true;
}

static void fill_time(RunLayout *layout, const Question *q)
{
    const int p = layout->stages;
    const double tokens = q->work->tokens / (double)q->work->micro_batches;
    const double up = 4 * tokens * boundary(q), down = 4 * tokens * (double)q->arch->C, m = (double)q->m;
    StageTimes *times = xcalloc((size_t)p, sizeof *times);
    double most = 0;
    for (int s = 0; s < p; s++) {
        times[s] = (StageTimes){ layout->stage[s].up, layout->stage[s].back };
        most = fmax(most, times[s].up + times[s].back);
    }
    layout->wire = 4 * (double)(q->table->size * layout->replicas);
    layout->server = 2 * layout->wire / q->machine->net;
    layout->compute = most * m;
    layout->mpi = p == 1 ? 0 : (double)q->machine->lanes * m * (p > 2 ? up + down : up);
    layout->seconds = simulate(times, p, q->m, p > 1 ? up / q->machine->net : 0) + layout->server;
    free(times);
}

LayoutWork layout_work(const Config *c, const ModelArch *arch, int64_t ranks)
{
    LayoutWork work = { .model = needs_options(c, arch, ranks), .T = (double)needs_longest(c, arch) };
    work.evaluated = needs_evaluated(c, arch);
    work.micro_batches = needs_micro_batches(c, arch, ranks);
    work.tokens = needs_examples(c) * (double)needs_longest(c, arch);
    work.copies = episode_copies(&c->meta);
    return work;
}

bool layout_of(RunLayout *layout, const LayoutMachine *machine, const LayoutWork *work, Precision precision,
               const ModelArch *arch, const SlotTable *table, int stages, Err *err)
{
    *layout = (RunLayout){ .stages = stages, .replicas = machine->nodes / stages };
    if (machine->nodes % stages != 0)
        return err_set(err, ERR_INPUT, "%d stages do not divide %lld nodes", stages, (long long)machine->nodes);
    const int64_t lanes = layout->replicas * machine->lanes;
    const Question q = { .machine = machine,
                         .work = work,
                         .arch = arch,
                         .table = table,
                         .precision = precision,
                         .m = (work->micro_batches + lanes - 1) / lanes };
    layout->tokens = (int64_t)work->tokens;
    layout->micro_batches = work->micro_batches;
    layout->stage = xcalloc((size_t)stages, sizeof *layout->stage);
    if (!fill_stages(layout, &q, err)) {
        layout_release(layout);
        return false;
    }
    fill_time(layout, &q);
    return true;
}

double layout_memory(const RunLayout *layout)
{
    double sum = 0;
    for (int s = 0; s < layout->stages; s++)
        sum += layout->stage[s].weights + layout->stage[s].kept + layout->stage[s].other;
    return sum;
}

void layout_release(RunLayout *layout)
{
    free(layout->stage);
    *layout = (RunLayout){ 0 };
}
