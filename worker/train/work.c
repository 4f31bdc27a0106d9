/* DESIGN: lease -> micro-batches -> sums -> push.
 *
 * Every rank of the node takes an equal part of a leased range, adds its micro-batches up in the
 * fixed tree (common/slots/tree.h) and lays the sums of the largest whole subtrees into its box.
 * Subtrees whose siblings lie in the node are then joined, in the same tree, and the leader pushes what
 * is left: one push for a range that is a subtree. So the bits do not depend on how many ranks
 * there are, or who computed what.
 *
 * Where a replica has stages (replica.h), each stage's team does the same with its part of the
 * gradients, and hands it to the leader. */
#include "worker/train/work.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/profile.h"

#include <stdio.h>

/* This rank's part of a range, into its box. */
static void compute_part(Job *job, int64_t step, Range range)
{
    Node *node = &job->node;
    const int64_t n = range.end - range.begin;
    const Range part = { range.begin + n * node->rank / node->size, range.begin + n * (node->rank + 1) / node->size };
    bool ready = false;
    if (job->step.embeddings.head) {
        model_bind(job->step.model, node->values);
        step_embeddings_make(&job->step.embeddings, step, range, part, &ready);
    }
    const double start = clock_now();
    part_compute(job, step, part, ready);
    node_box(node, node->rank)->seconds = clock_now() - start;
    team_measure(job);
}

/* ---- the leader joins and pushes ------------------------------------------------ */

/* Floats [begin, end) of the sums of all ranks of the team, joined as far as the tree goes: pieces[0, return value), of which
 * each lends all of its gradient. The same numbers whoever joins which floats. */
static int join_sums(const Node *node, int64_t begin, int64_t end, JoinPiece *pieces)
{
    int count = 0;
    for (int r = 0; r < node->size; r++) {
        const NodeBox *box = node_box(node, r);
        for (int i = 0; i < box->count; i++) {
            REQUIRE(count < 2 * NODE_SUMS);
            pieces[count++] = (JoinPiece){ box->sums[i], node_sum(node, r, i) + begin };
            count = join_siblings(pieces, count, node->shared->micro_batches, end - begin, node->dtype);
        }
    }
    for (int i = 0; i < count; i++)
        pieces[i].grad -= begin;
    return count;
}

/* Large sums are joined by all ranks, each a part of the floats; small ones by the first. */
static bool join_is_shared(const Node *node)
{
    enum { LARGE = 1 << 20 };
    return node->size > 1 && node->slot_size >= LARGE;
}

static void join_part(const Node *node)
{
    JoinPiece pieces[2 * NODE_SUMS];
    const int64_t part = node->slot_size / node->size, begin = part * node->rank;
    join_sums(node, begin, node->rank + 1 == node->size ? node->slot_size : begin + part, pieces);
}

/* The sums of all ranks of the team, as far joined as the tree goes: pieces[0, report->count), and what is to be
 * said of them. */
static void join_team(const Job *job, ReplicaReport *report, JoinPiece *pieces)
{
    const Node *node = &job->node;
    *report = (ReplicaReport){ .memory = team_memory(job) };
    if (team_failed(job, &report->failure))
        return;
    const int count = join_sums(node, 0, join_is_shared(node) ? 0 : node->slot_size, pieces);
    report->count = count;
    for (int i = 0; i < count; i++)
        report->sums[i] = pieces[i].sum;
}

static double slowest(const Node *node)
{
    double seconds = 0;
    for (int r = 0; r < node->size; r++)
        seconds = node_box(node, r)->seconds > seconds ? node_box(node, r)->seconds : seconds;
    return seconds;
}

/* Leader: a sum to the server. */
static bool push_sum(Job *job, int64_t step, const NodeSum *s, double seconds, const float *grad, Err *err)
{
    const Push push = {
        .step = step,
        .version = job->node.shared->lease.version,
        .range = s->range,
        .weight = s->weight,
        .tokens = s->tokens,
        .loss = s->loss,
        .seconds = seconds,
        .data = grad,
        .size = (size_t)job->base.adapted.table->size * sizeof(float),
        .in_place = job->node.in_place && grad == node_sum(&job->node, 0, 0),
    };
    return ps_client_push(job->run.client, &push, err);
}

/* Leader: what all stages have made, to the server. */
static bool push_sums(Job *job, int64_t step, ReplicaReport *report, const JoinPiece *pieces, Err *err)
{
    bool ok = true;
    replica_collect(&job->replica, report);
    ps_client_memory(job->run.client, report->memory);
    if (report->failure.kind != ERR_NONE) {
        *err = report->failure;
        return false;
    }
    for (int i = 0; i < report->count; i++) { /* all are taken, whatever becomes of a push */
        const float *grad = replica_join(&job->replica, pieces[i].grad);
        ok = ok && push_sum(job, step, &report->sums[i], slowest(&job->node) / report->count, grad, err);
    }
    return ok;
}

/* First rank of a team. */
static bool give_sums(Job *job, int64_t step, Err *err)
{
    JoinPiece pieces[2 * NODE_SUMS];
    ReplicaReport report;
    join_team(job, &report, pieces);
    if (job->run.client)
        return push_sums(job, step, &report, pieces, err);
    replica_report(&job->replica, &report);
    for (int i = 0; i < report.count; i++)
        replica_give(&job->replica, &job->base.stage, pieces[i].grad);
    return true;
}

static bool train_range(Job *job, int64_t step, Range range, Err *err)
{
    profile_step(step);
    profile_phase(profile_computing);
    compute_part(job, step, range);
    profile_phase("waiting for the node's other ranks");
    node_gate(&job->node);
    profile_phase("joining and sending sums");
    if (join_is_shared(&job->node)) {
        join_part(&job->node);
        node_gate(&job->node);
    }
    const bool ok = job->node.rank != 0 || give_sums(job, step, err);
    node_gate(&job->node); /* boxes are free again */
    profile_phase("waiting for work and values");
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

/* Leader: the next lease, or a stop where nothing goes on; *version: of the values. */
static bool next_lease(Job *job, Lease *lease, int64_t *version, bool ok, Err *err)
{
    float *values = job->replica.values ? job->replica.values : job->node.own_values;
    ok = ok && ps_client_next(job->run.client, *version, lease, values, job->base.adapted.table->size, err) &&
         (lease->kind == LEASE_STOP || lease->kind == LEASE_WAIT || ranges_fit(job, lease, err));
    if (!ok)
        *lease = (Lease){ .kind = LEASE_STOP, .code = err_exit_code(err) };
    return ok;
}

/* First rank of a team: the lease to the node, with the values that it is for. */
static bool take_lease(Job *job, int64_t *version, bool ok, Err *err)
{
    Lease *lease = &job->node.shared->lease;
    if (job->run.client)
        ok = next_lease(job, lease, version, ok, err);
    if (lease->kind == LEASE_WAIT)
        return ok;
    replica_lease(&job->replica, &job->base.stage, lease, lease->kind != LEASE_STOP && lease->version != *version,
                  job->node.own_values);
    *version = lease->in_place ? -1 : lease->version;
    return ok;
}

/* Leader: memory that the server offers and this job has not looked at; each is looked at once. With stages no rank
 * has all of the values. */
static bool has_offer(Job *job, MemoryOffer *offer)
{
    *offer = (MemoryOffer){ 0 };
    if (!job->run.client || job->run.groups.pipeline.size > 1)
        return false;
    const MemoryOffer newest = ps_client_offer(job->run.client);
    if (newest.sums_key != job->offer_seen)
        *offer = newest;
    job->offer_seen = newest.sums_key;
    return offer->sums_key != 0;
}

/* All ranks of a team: work lies in the server's memory from now on, where that can be. */
static void take_offer(Job *job)
{
    const MemoryOffer offer = job->node.shared->offer;
    const bool taken = node_take_place(&job->node);
    if (job->node.rank != 0)
        return;
    if (taken)
        ps_client_takes(job->run.client, offer.sums_key);
    log_info("node",
             taken ? "works in the server's memory: %.1f MB of values and of gradients stay on this machine"
                   : "the server's memory cannot be shared here: %.1f MB of values and of gradients are sent",
             (double)job->node.slot_size * sizeof(float) / 1e6);
}

bool job_work(Job *job, int *code, Err *err)
{
    Node *node = &job->node;
    int64_t version = -1; /* first rank of a team: of node->values */
    bool ok = true;
    for (;;) {
        if (node->rank == 0 && !has_offer(job, &node->shared->offer))
            ok = take_lease(job, &version, ok, err);
        node_gate(node);
        if (node->shared->offer.sums_key != 0) {
            take_offer(job);
            continue;
        }
        const Lease lease = node->shared->lease;
        if (lease.kind == LEASE_WAIT) {
            node_gate(node); /* all have seen it */
            continue;
        }
        node_settle(node, lease.in_place);
        text_engine_move(&job->step.engine, node->values);
        step_embeddings_forget(&job->step.embeddings);
        if (lease.kind != LEASE_TRAIN)
            profile_phase(NULL);
        if (lease.kind == LEASE_STOP) {
            *code = lease.code;
            if (ok && lease.code != 0 && job->run.client)
                fprintf(stderr, "lora_worker: %s\n", lease.text);
            return ok;
        }
        for (int i = 0; i < lease.range_count; i++)
            ok = (lease.kind == LEASE_TRAIN ? train_range : evaluate)(job, lease.step, lease.range[i], err) && ok;
    }
}
