/* DESIGN. Sums wait in the rank's box, from left to right, no two siblings among them (join.h): a gradient is made behind
 * the last, and joined with what is its sibling. Micro-batches without examples are leaves of zeros. */
#include "worker/train/work.h"

#include "common/base/mem.h"
#include "worker/train/absurd_tell.h"
#include "worker/train/join.h"

#include <stdlib.h>
#include <string.h>

/* A part of a range as it is computed. */
typedef struct MyPart {
    Job *job;
    int64_t step;
    Range range;
    int64_t *full; /* [count] micro-batches that have examples */
    int64_t next; /* first micro-batch that is no leaf yet */
    JoinPiece pieces[NODE_SUMS];
    int count;
} MyPart;

/* Where the next leaf's gradient goes. */
static float *leaf_room(MyPart *part)
{
    const Node *node = &part->job->node;
    return node_sum(node, node->rank, part->count);
}

static void add_leaf(MyPart *part, const NodeSum *sum)
{
    const Node *node = &part->job->node;
    sums_leaf(node->dtype, leaf_room(part), node->slot_size);
    part->pieces[part->count] = (JoinPiece){ *sum, leaf_room(part) };
    part->count =
        join_siblings(part->pieces, part->count + 1, node->shared->micro_batches, node->slot_size, node->dtype);
    part->next = sum->range.end;
}

/* The leaves before micro-batch m that have no examples. */
static void add_empty(MyPart *part, int64_t m)
{
    while (part->next < m) {
        memset(leaf_room(part), 0, (size_t)part->job->node.slot_size * sizeof(float));
        add_leaf(part, &(NodeSum){ .range = { part->next, part->next + 1 } });
    }
}

/* Images behind a micro-batch: those of the next one of this rank's part, or of its first one in the next step,
 * where leases are likely to be the same. */
static void expect_pixels(const MyPart *part, int64_t m)
{
    Job *job = part->job;
    const uint32_t *rows;
    const bool last = m + 1 == part->range.end;
    if (!job->data.train.data.images || !stage_is_first(&job->base.stage))
        return;
    const int64_t next = last ? part->step + 1 : part->step;
    const int64_t n = plan_micro_batch(job->step.plan, next, last ? part->range.begin : m + 1, &rows);
    pictures_expect(&job->data.train.pictures, rows, n, next / plan_steps_per_epoch(job->step.plan));
}

static void fill(void *self, int64_t i, Flight *flight)
{
    const MyPart *part = self;
    Plan *plan = part->job->step.plan;
    const uint32_t *rows;
    const int64_t longest = plan_longest(plan, part->step);
    const int64_t n = plan_micro_batch(plan, part->step, part->full[i], &rows);
    flight->batch = batch_fill(&flight->room, &part->job->data.train.data, rows, n, longest);
    flight->batch.longest = longest;
}

static void begin(void *self, int64_t i, Flight *flight)
{
    const MyPart *part = self;
    Job *job = part->job;
    flight->failed = !team_pixels(job, &job->data.train.pictures, &flight->room, &flight->batch,
                                  part->step / plan_steps_per_epoch(job->step.plan));
    if (!flight->failed)
        expect_pixels(part, part->full[i]);
}

static float *room(void *self, int64_t i)
{
    MyPart *part = self;
    add_empty(part, part->full[i]);
    return leaf_room(part);
}

/* The leaf is laid where the next one goes, and the slots of a stage are all that this rank has. */
static void look_at_leaf(MyPart *part, int64_t m, double loss, double weight)
{
    Job *job = part->job;
    const SlotTable *table = job->base.adapted.table;
    const uint32_t *rows;
    const int64_t n = job->step.plan ? plan_micro_batch(job->step.plan, part->step, m, &rows)
                                     : episodes_rows(job->data.train.episodes, part->step, m, &rows);
    const MicroBatchSum sum = { part->step, m, rows, n, leaf_room(part), loss, weight };
    if (table->size == job->node.slot_size)
        absurd_tell(table, &sum, &job->told_absurd);
}

/* Of a model that embeds: the gradient at the embeddings, which the loss of the whole step has made. */
static const float *pull(void *self, int64_t i)
{
    const MyPart *part = self;
    return step_embeddings_gradient(&part->job->step.embeddings, part->full[i]);
}

/* That are counted: of a source and its target the source's, as Trainer does (num_input_tokens_seen). */
static int64_t tokens_of_batch(const Job *job, const Batch *batch)
{
    int64_t count = batch_tokens(batch);
    for (int64_t n = 0; job->base.adapted.arch->source_layers > 0 && n < batch->N; n++)
        count -= batch->types[n] != 0;
    return count;
}

static void end(void *self, int64_t i, const Flight *flight, const BatchLoss *loss)
{
    MyPart *part = self;
    const int64_t m = part->full[i];
    const StepEmbeddings *embeddings = &part->job->step.embeddings;
    const BatchLoss of = embeddings->head ? step_embeddings_loss(embeddings, m) : *loss;
    if (!flight->failed)
        look_at_leaf(part, m, of.sum, of.weight);
    const NodeSum sum = {
        { m, m + 1 }, flight->failed ? 0 : tokens_of_batch(part->job, &flight->batch), of.weight, of.sum
    };
    add_leaf(part, &sum);
}

static void put_into_box(const MyPart *part)
{
    NodeBox *box = node_box(&part->job->node, part->job->node.rank);
    box->count = part->count;
    for (int i = 0; i < part->count; i++)
        box->sums[i] = part->pieces[i].sum;
}

/* Micro-batches that are episodes. */
static void compute_episodes(Job *job, int64_t step, Range range)
{
    MyPart part = { .job = job, .step = step, .range = range, .next = range.begin };
    NodeSum sum;
    for (int64_t m = range.begin; m < range.end; m++) {
        if (!episode_train(&job->step.episode, job->node.values, step, m, leaf_room(&part), &sum))
            break; /* there are none behind it either */
        look_at_leaf(&part, m, sum.loss, sum.weight);
        add_leaf(&part, &sum);
    }
    add_empty(&part, range.end);
    put_into_box(&part);
}

void part_compute(Job *job, int64_t step, Range range, bool ready)
{
    if (!job->step.plan) {
        compute_episodes(job, step, range);
        return;
    }
    const bool embeds = job->step.embeddings.head != NULL;
    MyPart part = { .job = job, .step = step, .range = range, .next = range.begin };
    FlightsWork work = { .self = &part, .step = step, .fill = fill, .begin = begin, .room = room, .end = end };
    if (embeds) {
        work.pull = pull;
        work.out = job->step.embeddings.again;
        work.ready = ready;
    }
    part.full = xcalloc((size_t)(range.end - range.begin) + 1, sizeof *part.full);
    for (int64_t m = range.begin; m < range.end; m++) {
        const uint32_t *rows;
        if (plan_micro_batch(job->step.plan, step, m, &rows) > 0)
            part.full[work.count++] = m;
    }
    model_bind(job->step.model, job->node.values);
    flights_train(&job->step.flights, &work);
    add_empty(&part, range.end);
    put_into_box(&part);
    free(part.full);
}
