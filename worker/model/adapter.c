/* DESIGN. The sequences of a call stand in order of their adapters. A run is what one pass of the base computes:
 * neighbours whose adapters mix, each a segment, or those of a single adapter that does not. Layers of the base are
 * bound to no values in a mixed run; what the segments' heads are is asked of their adapters' own layers. */
#include "worker/model/adapter.h"

#include "common/base/mem.h"
#include "worker/layers/pool.h"
#include "worker/model/adapter_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- life ---------------------------------------------------------------------------------- */

static bool of_head(const Module *module)
{
    return module->role == ROLE_HEAD || module->role == ROLE_POOLER;
}

/* Every slot is an A or a B of a linear, or the head's. Where scores have terms of distances, the table's rows are no
 * sequence's, and what an adapter makes of them is not to be shared. */
static bool all_mix(const ModelArch *arch, const SlotTable *table)
{
    int known = 0;
    if (arch_module(arch, -1, ROLE_DISTANCE))
        return false;
    for (int i = 0; i < arch->module_count; i++) {
        const Module *module = &arch->modules[i];
        const ModuleSlots *slots = &table->modules[i];
        const bool head = of_head(module);
        if (slots->a >= 0 && (module->kind == MODULE_LINEAR || module->kind == MODULE_CONV))
            known += 2;
        known += head && slots->bias >= 0;
        known += head && slots->weight >= 0;
    }
    return known == table->count;
}

static bool has_own_head(const ModelArch *arch, const SlotTable *table)
{
    for (int i = 0; i < arch->module_count; i++)
        if (of_head(&arch->modules[i]) && (table->modules[i].bias >= 0 || table->modules[i].weight >= 0))
            return true;
    return false;
}

/* Shapes of what the base computes for all. */
static bool check(const Model *base, const AdapterOptions *o, Err *err)
{
    const ModelArch *arch = base->arch;
    if (o->arch->head.task != arch->head.task || o->arch->module_count != arch->module_count)
        return err_set(err, ERR_INPUT, "the adapter is of another task than the first one");
    if (arch->head.task->embeds && o->arch->head.embed.how.pooling != arch->head.embed.how.pooling) {
        err_set(err, ERR_INPUT, "the adapter's embeddings are not pooled as those of the first one");
        return err_hint(err, "train.pooling of its run says how: serve it by itself");
    }
    for (int i = 0; i < arch->module_count; i++) {
        const Module *a = &arch->modules[i], *b = &o->arch->modules[i];
        if (strcmp(a->path, b->path) != 0 ||
            ((a->out != b->out || a->in != b->in) && o->table->modules[i].weight < 0)) {
            err_set(err, ERR_INPUT, "'%s' has other sizes in the base than for this adapter", b->path);
            return err_hint(err, "adapters that are served together have one base model");
        }
    }
    return true;
}

static bool has_room(const Model *base, const Model *beside, Err *err)
{
    const PassSizes *need = &beside->sizes, *have = &base->sizes;
    if (need->most_R > have->most_R)
        return err_set(err, ERR_INPUT, "the adapter's rank needs %lld columns, and there is room for %lld",
                       (long long)need->most_R, (long long)have->most_R);
    if (need->labels > have->labels)
        return err_set(err, ERR_INPUT, "the adapter has %lld labels, and there is room for %lld",
                       (long long)need->labels, (long long)have->labels);
    return true;
}

static int64_t turned_floats(const Adapter *adapter)
{
    const ModelArch *arch = adapter->options.arch;
    int64_t floats = 0;
    for (int i = 0; i < arch->module_count; i++)
        floats += adapter->modules[i].R * segments_turned(arch->modules[i].out);
    return floats;
}

static void turn(ModuleLora *lora, float *to, int64_t out)
{
    const int64_t whole = segments_turned(out);
    for (int64_t r = 0; r < lora->R; r++)
        for (int64_t o = 0; o < whole; o++)
            to[r * whole + o] = lora->scale * lora->b[o * lora->R + r];
    lora->turned = to;
}

void adapter_refresh(Adapter *adapter)
{
    const ModelArch *arch = adapter->options.arch;
    float *to = adapter->turned;
    model_bind(adapter->model, adapter->options.values);
    for (int i = 0; adapter->modules && i < arch->module_count; i++) {
        ModuleLora *lora = &adapter->modules[i];
        turn(lora, to, arch->modules[i].out);
        to += lora->R * segments_turned(arch->modules[i].out);
    }
}

/* The values hold the slots of all modules, or those of a stage. */
static bool has_slots(const Adapter *adapter, int module)
{
    const Stage *stage = adapter->model->options.stage;
    const int a = adapter->options.table->modules[module].a;
    return a >= 0 && (!stage || stage->at[a] >= 0);
}

void adapter_move(Adapter *adapter, const float *values)
{
    adapter->options.values = values;
    for (int i = 0; adapter->modules && i < adapter->options.arch->module_count; i++) {
        const ModuleSlots *slots = &adapter->options.table->modules[i];
        if (!has_slots(adapter, i))
            continue;
        adapter->modules[i].a = values + model_slot_offset(adapter->model, slots->a);
        adapter->modules[i].b = values + model_slot_offset(adapter->model, slots->b);
    }
}

static bool open_modules(Adapter *adapter, Err *err)
{
    const ModelArch *arch = adapter->options.arch;
    const SlotTable *table = adapter->options.table;
    adapter->modules = xcalloc((size_t)arch->module_count, sizeof *adapter->modules);
    for (int i = 0; i < arch->module_count; i++)
        if (has_slots(adapter, i))
            adapter->modules[i] = (ModuleLora){ .R = table->modules[i].r, .scale = table->modules[i].scale };
    adapter_move(adapter, adapter->options.values);
    const int64_t floats = turned_floats(adapter);
    adapter->turned = mem_alloc((size_t)(floats > 0 ? floats : 1) * sizeof(float), err);
    return adapter->turned != NULL;
}

Adapter *adapter_open(Model *base, const AdapterOptions *given, Err *err)
{
    const AdapterOptions own = { base->arch, base->table, given->values }, *o = given->table ? given : &own;
    REQUIRE(!base->options.stage || !given->table);
    if (!check(base, o, err))
        return NULL;
    Adapter *adapter = xcalloc(1, sizeof *adapter);
    *adapter = (Adapter){ .options = *o, .mixes = !o->values || all_mix(o->arch, o->table) };
    adapter->own_head = o->values && has_own_head(o->arch, o->table);
    adapter->model = model_beside(base, o->arch, o->table, err);
    if (!adapter->model || !has_room(base, adapter->model, err) ||
        (o->values && adapter->mixes && !open_modules(adapter, err))) {
        adapter_close(adapter);
        return NULL;
    }
    adapter_refresh(adapter);
    return adapter;
}

void adapter_close(Adapter *adapter)
{
    if (!adapter)
        return;
    model_close(adapter->model);
    free(adapter->modules);
    free(adapter->turned);
    free(adapter);
}

bool adapter_mixes(const Adapter *adapter)
{
    return adapter->mixes;
}

const ModelArch *adapter_arch(const Adapter *adapter)
{
    return adapter->options.arch;
}

/* ---- runs ---------------------------------------------------------------------------------- */

AdapterRun adapter_run(Adapter *const *adapter, int64_t first, int64_t B, RowSegment *segments, int64_t *count)
{
    AdapterRun run = { first, first, adapter[first]->mixes };
    for (*count = 0; run.end < B && adapter[run.end]->mixes == run.mixed;) {
        const Adapter *next = adapter[run.end];
        if (!run.mixed && next != adapter[first])
            break;
        if (run.end == first || next != adapter[run.end - 1])
            segments[(*count)++] = (RowSegment){ .first = run.end - first, .modules = next->modules };
        segments[*count - 1].end = ++run.end - first;
    }
    *count = run.mixed ? *count : 0; /* it brings its own layers */
    return run;
}

Model *adapter_layers(Model *base, Adapter *adapter, const AdapterRun *run)
{
    if (!run->mixed)
        return adapter->model;
    model_bind(base, NULL);
    return base;
}

/* ---- heads --------------------------------------------------------------------------------- */

/* Logits of the read rows of sequences [first, end), by the adapter's head: pass->x holds all of them. */
static float *one_head(Model *layers, Adapter *adapter, int64_t first, int64_t end, float *logits)
{
    Pass *pass = layers->pass;
    const Rows reads = pass->reads;
    float *x = pass->x, *y = pass->y;
    const Model *own = adapter->own_head ? adapter->model : layers;
    const int64_t C = own->arch->C, labels = own->head.classifier.out;
    const int64_t n = reads.start[first], N = reads.start[end] - n;
    const int64_t B = own->head.mean ? end - first : 1; /* else they are as one sequence's */
    int64_t *alone = xcalloc((size_t)B + 1, sizeof *alone);
    const RowSegment segment = { 0, B, adapter->modules };
    const RowSegment *segments = pass->segments;
    const int64_t segment_count = pass->segment_count;
    for (int64_t b = 0; b < B; b++)
        alone[b + 1] = own->head.mean ? reads.start[first + b + 1] - n : N;
    pass->x += n * C;
    pass->reads = (Rows){ .B = B, .N = N, .longest = N, .start = alone };
    pass->segments = &segment;
    pass->segment_count = own == layers && segment_count > 0 ? 1 : 0; /* a head of its own has its LoRA with it */
    head_forward(&own->head, NULL, pass);
    const int64_t count = head_count(&own->head, pass) * labels;
    memcpy(logits, pass->logits, (size_t)count * sizeof *logits);
    free(alone);
    pass->x = x;
    pass->y = y;
    pass->reads = reads;
    pass->segments = segments;
    pass->segment_count = segment_count;
    return logits + count;
}

/* Those of a run. Returns what is behind the logits. */
static float *all_heads(Model *layers, Adapter *const *adapter, const AdapterRun *run, float *logits)
{
    for (int64_t first = run->first, end; first < run->end; first = end) {
        for (end = first + 1; end < run->end && adapter[end] == adapter[first];)
            end++;
        logits = one_head(layers, adapter[first], first - run->first, end - run->first, logits);
    }
    return logits;
}

/* The embeddings of a run's sequences. */
static float *pool_all(const Model *layers, float *embeddings)
{
    const int64_t C = layers->arch->C;
    pool_forward(embeddings, C, layers->pass);
    return embeddings + layers->pass->rows.B * C;
}

/* The sequences of a run as a batch; start[B+1] receives where they lie. */
static Batch batch_of(const Batch *all, const AdapterRun *run, int64_t *start, int64_t floats)
{
    const int64_t at = all->start[run->first];
    for (int64_t b = run->first; b <= run->end; b++)
        start[b - run->first] = all->start[b] - at;
    return (Batch){
        .B = run->end - run->first,
        .N = all->start[run->end] - at,
        .start = start,
        .ids = all->ids ? all->ids + at : NULL,
        .types = all->types ? all->types + at : NULL,
        .example = all->example + run->first,
        .pixels = all->pixels ? all->pixels + run->first * floats : NULL,
    };
}

void adapter_predict(Model *base, const Batch *batch, Adapter *const *adapter, float *logits)
{
    Pass *pass = base->pass;
    const ModelArch *arch = base->arch;
    RowSegment *segments = xmalloc((size_t)batch->B * sizeof *segments);
    int64_t *start = xmalloc((size_t)(batch->B + 1) * sizeof *start);
    REQUIRE(!base->speaks);
    pass->apart = true;
    for (AdapterRun run = { 0 }; run.end < batch->B;) {
        run = adapter_run(adapter, run.end, batch->B, segments, &pass->segment_count);
        const Batch part = batch_of(batch, &run, start, arch->channels * arch->image_size * arch->image_size);
        Model *layers = adapter_layers(base, adapter[run.first], &run);
        model_begin(layers, &part, run.mixed ? NULL : adapter[run.first]->options.values, true);
        pass->drop = false;
        pass->segments = segments;
        const int32_t *types = base->options.untyped ? NULL : part.types;
        model_up(layers, NULL, &(ModelInput){ .embedding = { part.ids, types, part.pixels } });
        logits = base->embeds ? pool_all(layers, logits) : all_heads(layers, adapter, &run, logits);
    }
    pass->segments = NULL;
    pass->segment_count = 0;
    pass->apart = false;
    free(start);
    free(segments);
}
