/* DESIGN: lease -> micro-batches -> sums -> push.
 *
 * Every rank of the node takes an equal part of a leased range, adds its micro-batches up in the
 * fixed tree (common/slots/tree.h) and lays the sums of the largest whole subtrees into its box.
 * The leader then joins subtrees whose siblings lie in the node, in the same tree, and pushes what
 * is left: one push for a range that is a subtree. So the bits do not depend on how many ranks
 * there are, or who computed what. */
#include "worker/train/job.h"

#include "common/base/clock.h"
#include "common/base/process.h"
#include "common/slots/tree.h"
#include "worker/eval/measure.h"
#include "worker/train/join.h"

#include <string.h>

/* Leader: what the ranks have measured, to the server with the next push. */
static void tell_memory(Job *job)
{
    int64_t memory = 0;
    for (int r = 0; r < job->node.size; r++)
        memory += node_box(&job->node, r)->memory;
    ps_client_memory(job->run.client, memory);
}

/* The rank's memory, into its box; looked at seldom, as the kernel walks all its pages. */
static void measure_memory(Job *job)
{
    const double now = clock_now(), pause = 5;
    NodeBox *box = node_box(&job->node, job->node.rank);
    if (box->memory > 0 && now < job->measured + pause)
        return;
    box->memory = process_memory();
    job->measured = now;
}

/* False: an image cannot be read any more; said in this rank's box. */
static bool add_pixels(Job *job, Pictures *pictures, Batch *batch, int64_t epoch)
{
    NodeBox *box = node_box(&job->node, job->node.rank);
    return batch->ids || pictures_fill(pictures, &job->step.room, batch, epoch, &box->failure);
}

/* Leader: what any rank of the node could not do. */
static bool any_failure(const Job *job, Err *err)
{
    for (int r = 0; r < job->node.size; r++) {
        if (node_box(&job->node, r)->failure.kind == ERR_NONE)
            continue;
        *err = node_box(&job->node, r)->failure;
        return true;
    }
    return false;
}

/* Images behind a micro-batch: those of the next one of this rank's part, or of its first one in the next step,
 * where leases are likely to be the same. */
static void expect_pixels(Job *job, int64_t step, int64_t m)
{
    const uint32_t *rows;
    const bool last = m + 1 == job->part.end;
    if (!job->data.train.data.images)
        return;
    const int64_t next = last ? step + 1 : step;
    const int64_t n = plan_micro_batch(job->step.plan, next, last ? job->part.begin : m + 1, &rows);
    pictures_expect(&job->data.train.pictures, rows, n, next / plan_steps_per_epoch(job->step.plan));
}

static void one_micro_batch(Job *job, int64_t step, int64_t m, JoinPiece *out)
{
    const uint32_t *rows;
    const int64_t n = plan_micro_batch(job->step.plan, step, m, &rows);
    out->sum = (NodeSum){ .range = { m, m + 1 } };
    if (n == 0) { /* a short last batch can leave a micro-batch empty */
        memset(out->grad, 0, (size_t)job->base.adapted.table->size * sizeof *out->grad);
        return;
    }
    Batch batch = batch_fill(&job->step.room, &job->data.train.data, rows, n);
    if (!add_pixels(job, &job->data.train.pictures, &batch, step / plan_steps_per_epoch(job->step.plan))) {
        memset(out->grad, 0, (size_t)job->base.adapted.table->size * sizeof *out->grad); /* not pushed */
        return;
    }
    expect_pixels(job, step, m);
    const BatchLoss loss = model_train(job->step.model, &batch, job->node.values, out->grad, step);
    out->sum.loss = loss.sum;
    out->sum.count = loss.count;
    out->sum.tokens = batch.N;
}

/* out = sum over the subtree [begin, end), left + right at every node. */
static void subtree(Job *job, int64_t step, int64_t begin, int64_t end, float *scratch, JoinPiece *out)
{
    if (end - begin == 1) {
        one_micro_batch(job, step, begin, out);
        return;
    }
    int64_t half = 1;
    while (2 * half < end - begin)
        half *= 2;
    JoinPiece right = { .grad = scratch };
    subtree(job, step, begin, begin + half, scratch, out);
    subtree(job, step, begin + half, end, scratch + job->base.adapted.table->size, &right);
    join_add(out, &right, job->base.adapted.table->size);
}

/* This rank's part of a range, into its box. */
static void compute_part(Job *job, int64_t step, Range range)
{
    Node *node = &job->node;
    NodeBox *box = node_box(node, node->rank);
    const int64_t n = range.end - range.begin;
    const Range part = { range.begin + n * node->rank / node->size, range.begin + n * (node->rank + 1) / node->size };
    const double start = clock_now();
    job->part = part;
    box->count = 0;
    for (int64_t at = part.begin; at < part.end;) {
        const int64_t stop = tree_node_end(at, part.end, node->shared->micro_batches);
        REQUIRE(box->count < node->sums_room);
        JoinPiece piece = { .grad = node_sum(node, node->rank, box->count) };
        subtree(job, step, at, stop, job->step.scratch, &piece);
        box->sums[box->count++] = piece.sum;
        at = stop;
    }
    box->seconds = clock_now() - start;
    measure_memory(job);
}

/* ---- the leader joins and pushes ------------------------------------------------ */

static bool push_sums(Job *job, int64_t step, Err *err)
{
    Node *node = &job->node;
    JoinPiece pieces[2 * NODE_SUMS];
    int count = 0;
    double seconds = 0;
    if (any_failure(job, err))
        return false;
    for (int r = 0; r < node->size; r++) {
        const NodeBox *box = node_box(node, r);
        seconds = box->seconds > seconds ? box->seconds : seconds;
        for (int i = 0; i < box->count; i++) {
            REQUIRE(count < 2 * NODE_SUMS);
            pieces[count++] = (JoinPiece){ box->sums[i], node_sum(node, r, i) };
            count = join_siblings(pieces, count, node->shared->micro_batches, node->slot_size);
        }
    }
    tell_memory(job);
    for (int i = 0; i < count; i++) {
        const NodeSum *s = &pieces[i].sum;
        const Push push = {
            .step = step,
            .range = s->range,
            .count = s->count,
            .tokens = s->tokens,
            .loss = s->loss,
            .seconds = seconds / count,
            .data = pieces[i].grad,
            .size = (size_t)node->slot_size * sizeof(float),
        };
        if (!ps_client_push(job->run.client, &push, err))
            return false;
    }
    return true;
}

static bool train_range(Job *job, int64_t step, Range range, Err *err)
{
    compute_part(job, step, range);
    node_gate(&job->node);
    const bool ok = job->node.rank != 0 || push_sums(job, step, err);
    node_gate(&job->node); /* boxes are free again */
    return ok;
}

/* ---- evaluation ------------------------------------------------------------------- */

/* What cannot be done is said in this rank's box. */
static void write_texts(Job *job, const Batch *batch)
{
    NodeBox *box = node_box(&job->node, job->node.rank);
    const GenerateEngine engine = text_engine(&job->step.engine);
    const MeasureTexts how = { &job->step.generate, &engine, job->base.tokenizer, &job->step.references };
    const bool ok = measure_texts(&job->step.metrics, &how, batch, &box->failure);
    REQUIRE(ok || box->failure.kind != ERR_NONE);
}

static void evaluate_chunk(Job *job, int64_t chunk)
{
    NodeBox *box = node_box(&job->node, job->node.rank);
    const int64_t begin = chunk == 0 ? 0 : job->data.eval.chunk_ends[chunk - 1],
                  n = job->data.eval.chunk_ends[chunk] - begin;
    const double start = clock_now();
    Batch batch = batch_fill(&job->step.room, job->data.eval.data, job->data.eval.rows + begin, n);
    metrics_clear(&job->step.metrics);
    if (add_pixels(job, &job->data.eval.pictures, &batch, 0))
        measure_batch(&job->step.metrics, job->step.model, &batch, job->node.values, job->step.logits);
    if (job->run.config.data.generate)
        write_texts(job, &batch);
    REQUIRE(job->step.metrics.size <= job->data.eval.width);
    memcpy(node_eval(&job->node, job->node.rank), job->step.metrics.sums,
           (size_t)job->step.metrics.size * sizeof(double));
    box->eval_size = job->step.metrics.size;
    box->eval_chunk = chunk;
    box->seconds = clock_now() - start;
    measure_memory(job);
}

static bool push_chunks(Job *job, int64_t step, Err *err)
{
    if (any_failure(job, err))
        return false;
    tell_memory(job);
    for (int r = 0; r < job->node.size; r++) {
        const NodeBox *box = node_box(&job->node, r);
        const Push push = {
            .eval = true,
            .step = step,
            .range = { box->eval_chunk, box->eval_chunk + 1 },
            .seconds = box->seconds,
            .data = node_eval(&job->node, r),
            .size = (size_t)box->eval_size * sizeof(double),
        };
        if (box->eval_chunk >= 0 && !ps_client_push(job->run.client, &push, err))
            return false;
    }
    return true;
}

static bool evaluate_range(Job *job, int64_t step, Range range, Err *err)
{
    bool ok = true;
    for (int64_t at = range.begin; at < range.end; at += job->node.size) {
        const int64_t chunk = at + job->node.rank;
        if (chunk < range.end)
            evaluate_chunk(job, chunk);
        else
            node_box(&job->node, job->node.rank)->eval_chunk = -1;
        node_gate(&job->node);
        ok = ok && (job->node.rank != 0 || push_chunks(job, step, err));
        node_gate(&job->node);
    }
    return ok;
}

/* ---- the loop ----------------------------------------------------------------------- */

static bool ranges_fit(const Job *job, const Lease *lease, Err *err)
{
    const int64_t most = lease->kind == LEASE_TRAIN ? job->node.shared->micro_batches : job->data.eval.chunks;
    for (int i = 0; i < lease->range_count; i++)
        if (lease->range[i].begin < 0 || lease->range[i].end > most || lease->range[i].begin >= lease->range[i].end)
            return err_set(err, ERR_PEER, "the server leases %lld..%lld of %lld pieces",
                           (long long)lease->range[i].begin, (long long)lease->range[i].end, (long long)most);
    return true;
}

bool job_work(Job *job, int *code, Err *err)
{
    Node *node = &job->node;
    int64_t version = -1; /* leader: of node->values */
    bool ok = true;
    for (;;) {
        if (node->rank == 0) {
            Lease *lease = &node->shared->lease;
            ok = ok && ps_client_next(job->run.client, version, lease, node->values, node->slot_size, err) &&
                 (lease->kind == LEASE_STOP || ranges_fit(job, lease, err));
            if (!ok)
                *lease = (Lease){ .kind = LEASE_STOP, .code = err_exit_code(err) };
            version = lease->step;
        }
        node_gate(node);
        const Lease lease = node->shared->lease;
        if (lease.kind == LEASE_STOP) {
            *code = lease.code;
            if (ok && lease.code != 0 && node->rank == 0)
                fprintf(stderr, "lora_worker: %s\n", lease.text);
            return ok;
        }
        for (int i = 0; i < lease.range_count; i++)
            ok = (lease.kind == LEASE_TRAIN ? train_range : evaluate_range)(job, lease.step, lease.range[i], err) && ok;
    }
}
