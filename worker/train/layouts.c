#include "worker/train/layouts.h"

static const double SAME = 1.02; /* a layout of fewer stages is taken when it is no slower than this */

static bool may_be_asked(const Config *c, int64_t nodes, int64_t stages, int64_t layers)
{
    return nodes % stages == 0 && stages <= layers && (c->parallel.pipeline < 1 || c->parallel.pipeline == stages);
}

static int choose(const RunLayout *layouts, int count)
{
    int best = -1, chosen = -1;
    for (int i = 0; i < count; i++)
        if (layouts[i].fits && (best < 0 || layouts[i].seconds < layouts[best].seconds))
            best = i;
    for (int i = count; i-- > 0;)
        if (layouts[i].fits && layouts[i].seconds <= layouts[best].seconds * SAME)
            chosen = i;
    return chosen;
}

bool layouts_of(Layouts *l, const Config *c, const LayoutMachine *machine, const ModelArch *arch,
                const SlotTable *table, Err *err)
{
    *l = (Layouts){ .chosen = -1 };
    for (int64_t stages = 1; stages <= machine->nodes && l->count < LAYOUTS_MOST; stages++) {
        if (!may_be_asked(c, machine->nodes, stages, arch->layers))
            continue;
        const LayoutWork work = layout_work(c, arch, machine->nodes / stages * machine->lanes);
        if (!layout_of(&l->layout[l->count], machine, &work, c->train.precision, arch, table, (int)stages, err))
            return false;
        l->count++;
    }
    l->chosen = choose(l->layout, l->count);
    if (l->count > 0)
        return true;
    err_set(err, ERR_INPUT, "%lld stages do not divide %lld nodes, or the model has not so many blocks",
            (long long)c->parallel.pipeline, (long long)machine->nodes);
    return err_at(err, "parallel.pipeline");
}

void layouts_release(Layouts *l)
{
    for (int i = 0; i < l->count; i++)
        layout_release(&l->layout[i]);
    l->count = 0;
}

/* Bytes of the node that has the most. */
static double most_of(const RunLayout *layout)
{
    double most = 0;
    for (int s = 0; s < layout->stages; s++) {
        const LayoutStage *stage = &layout->stage[s];
        const double all = stage->weights + stage->kept + stage->other;
        most = all > most ? all : most;
    }
    return most;
}

int layouts_auto(const Layouts *l, const LayoutMachine *machine, Err *err)
{
    if (l->layout[0].stages == 1 && l->layout[0].fits)
        return 1;
    if (l->chosen >= 0)
        return l->layout[l->chosen].stages;
    const RunLayout *least = &l->layout[0];
    for (int i = 1; i < l->count; i++)
        least = most_of(&l->layout[i]) < most_of(least) ? &l->layout[i] : least;
    err_set(err, ERR_INPUT,
            "the run has no room on %lld nodes: where %d hold%s the model%s, one takes %.3g GB, and there are %.3g",
            (long long)machine->nodes, least->stages, least->stages > 1 ? "" : "s",
            least->stages > 1 ? " together" : "", most_of(least) / 1e9, machine->memory / 1e9);
    err_at(err, "parallel.pipeline");
    err_hint(err, "take more nodes, fewer ranks on each, a smaller parallel.micro_batch_tokens, "
                  "train.gradient_checkpointing: true or train.precision: bf16");
    return 0;
}
