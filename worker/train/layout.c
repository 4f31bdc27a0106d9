#include "worker/train/layout.h"

#include "common/base/mem.h"
#include "worker/model/stage.h"
#include "worker/model/weights.h"
#include "worker/train/needs.h"
#include "worker/train/order.h"
#include "worker/train/simulate.h"

#include <math.h>
#include <stdlib.h>

/* What is asked. */
typedef struct Question {
    const LayoutMachine *machine;
    const ModelArch *arch;
    const SlotTable *table;
    ModelOptions model; /* of a node that holds it whole */
    Precision precision;
    int64_t T, m; /* tokens of a sequence; micro-batches of a lane */
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
    const bool all_rows = m->layer >= 0 || m->kind == MODULE_CONV || q->arch->head.rows == READ_LABELLED;
    if (!is_product(m) || !all_rows)
        return 0;
    const double lora = slots->a >= 0 ? (double)(slots->r * (m->in + m->out)) : 0;
    const double own = slots->weight >= 0 && back ? 4 : 2; /* trained whole: the weight's gradient, too */
    return own * (double)m->out * (double)m->in + (back ? 4 : 2) * lora;
}

static double seconds_of(const Question *q, const Stage *stage, bool back)
{
    const ModelArch *arch = q->arch;
    const double each = (back ? 10 : 4) * (double)(q->T * arch->H * arch->D) * (arch->causal ? 0.5 : 1);
    double sum = each * (double)(stage->end - stage->first);
    for (int i = 0; i < arch->module_count; i++)
        sum += stage_holds(stage, &arch->modules[i]) ? operations(q, i, back) : 0;
    return sum * (double)q->model.most_tokens / (q->machine->flops * (double)q->machine->cores);
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

/* Floats that a token takes over a boundary: those of the stream, and with norms behind their blocks again, at most. */
static double boundary(const Question *q)
{
    return (double)(q->arch->pre_norm ? q->arch->C : 2 * q->arch->C);
}

static void fill_memory(LayoutStage *to, const Question *q, const Stage *stage)
{
    ModelOptions o = q->model;
    o.stage = stage->count > 1 ? stage : NULL;
    o.flights = 1;
    const double one = (double)model_bytes(q->arch, q->table, NULL, &o);
    o.flights = 2;
    const double each = (double)model_bytes(q->arch, q->table, NULL, &o) - one;
    const int flights = order_flights(stage->count, stage->index, q->m);
    const double slots = 4 * (double)stage->size, whole = 4 * (double)q->table->size;
    const double sums = 3 + 2 * ceil(log2((double)q->m + 1)); /* values, and gradients that wait in the tree */
    const double rows = 4 * (double)q->model.most_tokens * boundary(q);
    to->weights = weights_of(q, stage);
    to->kept = flights * (each + (stage_is_first(stage) ? 0 : rows));
    to->other = one - each + sums * slots + (stage_is_first(stage) ? 3 * whole : 0);
    if (stage->count > 1)
        to->other += 4 * rows;
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
        to->back = seconds_of(q, &stage, true);
        layout->fits = layout->fits && to->weights + to->kept + to->other <= q->machine->memory;
        stage_release(&stage);
    }
    return true;
}

static void fill_time(RunLayout *layout, const Question *q)
{
    const int p = layout->stages;
    const double up = 4 * (double)q->model.most_tokens * boundary(q),
                 down = 4 * (double)(q->model.most_tokens * q->arch->C);
    StageTimes *times = xcalloc((size_t)p, sizeof *times);
    double most = 0;
    for (int s = 0; s < p; s++) {
        times[s] = (StageTimes){ layout->stage[s].up, layout->stage[s].back };
        most = fmax(most, times[s].up + times[s].back);
    }
    layout->wire = 4 * (double)(q->table->size * layout->replicas);
    layout->server = 2 * layout->wire / q->machine->net;
    layout->compute = most * (double)q->m;
    layout->mpi = p == 1 ? 0 : (double)q->m * (p > 2 ? up + down : up);
    layout->seconds = simulate(times, p, q->m, p > 1 ? up / q->machine->net : 0) + layout->server;
    free(times);
}

bool layout_of(RunLayout *layout, const LayoutMachine *machine, const Config *c, const ModelArch *arch,
               const SlotTable *table, int stages, Err *err)
{
    *layout = (RunLayout){ .stages = stages, .replicas = machine->nodes / stages };
    if (machine->nodes % stages != 0)
        return err_set(err, ERR_INPUT, "%d stages do not divide %lld nodes", stages, (long long)machine->nodes);
    Question q = {
        .machine = machine, .arch = arch, .table = table, .precision = c->train.precision, .T = needs_longest(c, arch)
    };
    q.model = needs_options(c, arch, layout->replicas);
    q.model.threads = (int)machine->cores;
    const int64_t tokens = c->train.batch_size * q.T;
    q.model.most_tokens = c->parallel.micro_batches > 0
                              ? (tokens + c->parallel.micro_batches - 1) / c->parallel.micro_batches
                              : q.model.most_tokens;
    layout->tokens = tokens;
    layout->micro_batches = (tokens + q.model.most_tokens - 1) / q.model.most_tokens;
    q.m = (layout->micro_batches + layout->replicas - 1) / layout->replicas;
    layout->stage = xcalloc((size_t)stages, sizeof *layout->stage);
    if (!fill_stages(layout, &q, err)) {
        layout_release(layout);
        return false;
    }
    fill_time(layout, &q);
    return true;
}

void layout_release(RunLayout *layout)
{
    free(layout->stage);
    *layout = (RunLayout){ 0 };
}
