#include "worker/train/needs.h"

#include "common/config/config_meta.h"
#include "common/plan/steps.h"
#include "common/slots/adapted.h"
#include "common/slots/tree.h"
#include "worker/model/model.h"
#include "worker/train/episode.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t needs_longest(const Config *c, const ModelArch *arch)
{
    if (arch->image_size > 0)
        return arch->positions;
    if (arch->source_layers > 0)
        return least(c->data.max_length, arch->positions) + least(c->data.max_target_length, arch->positions);
    return least(c->data.block_size > 0 ? c->data.block_size : c->data.max_length, arch->positions);
}

int64_t needs_micro_batches(const Config *c, const ModelArch *arch, int64_t ranks)
{
    const ParallelConfig *p = &c->parallel;
    return p->micro_batches > 0
               ? p->micro_batches
               : steps_micro_batches(c->train.batch_size, needs_longest(c, arch), config_piece_tokens(c), ranks);
}

int64_t needs_evaluated(const Config *c, const ModelArch *arch)
{
    return c->train.eval_strategy == WHEN_NO ? 0 : most(config_piece_tokens(c), needs_longest(c, arch));
}

/* Examples of a step that are dealt to its micro-batches; of episodes one batch each at a time. */
static int64_t dealt(const Config *c)
{
    return c->meta.algorithm == META_NONE ? c->train.batch_size : c->train.batch_size * c->meta.episodes;
}

double needs_examples(const Config *c)
{
    return (double)dealt(c) * (double)config_episode_batches(c);
}

ModelOptions needs_options(const Config *c, const ModelArch *arch, int64_t ranks)
{
    const int64_t T = needs_longest(c, arch), batch = dealt(c);
    const int64_t M = needs_micro_batches(c, arch, ranks);
    return (ModelOptions){ .most_tokens = (batch + M - 1) / M * T,
                           .most_sequences = (batch + M - 1) / M,
                           .longest = T,
                           .training = true,
                           .checkpointing = c->train.checkpointing,
                           .threads = 1,
                           .lora_dropout = c->lora.dropout };
}

static void add_up(Needs *needs, const Config *c, const ModelArch *arch, const SlotTable *table, const Weights *weights,
                   int64_t ranks)
{
    ModelOptions o = needs_options(c, arch, ranks);
    o.most_tokens = most(o.most_tokens, needs_evaluated(c, arch));
    o.most_sequences = c->train.batch_size;
    const int64_t copies = episode_copies(&c->meta);
    const int64_t slots = table->size * (int64_t)sizeof(float), M = needs_micro_batches(c, arch, ranks);
    const int64_t sums = tree_room((M + ranks - 1) / ranks); /* gradients that lie in a tree, a rank */
    needs->shared = weights->bytes + (1 + ranks * sums) * slots;
    needs->rank = model_bytes(arch, table, weights, &o) + (sums + copies) * slots;
    needs->server = (3 + tree_room(M)) * slots + 20 * 1000 * 1000;
    const int64_t log_steps =
        16; /* of a large adapter (ps.log_steps); behind the state, and that once more beside it */
    needs->disk = (3 * 3 + log_steps + 2 * 3) * slots; /* checkpoints: values and two moments */
}

bool needs_of(Needs *needs, const Config *c, int64_t ranks, Err *err)
{
    const AdaptedOptions o = adapted_of(c);
    Adapted adapted;
    Weights weights = { 0 };
    const bool open = adapted_open(&adapted, &o, err);
    const bool ok = open && adapted_open_files(&adapted, err) &&
                    weights_plan_beside(&weights, adapted.table, NULL, adapted.files, o.precision, err);
    if (ok)
        add_up(needs, c, adapted.arch, adapted.table, &weights, ranks);
    weights_release(&weights);
    adapted_release(&adapted);
    return ok;
}
