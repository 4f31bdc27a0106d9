/* DESIGN. The ranks of a team take a chunk each, and again, until the range is done; figures go to the server as they come.
 * Where a replica has stages, chunks go up a lane one behind the other; the last stage measures them, and when the range
 * is done its first rank gives the leader the figures of all. Texts are written by all stages together, token by token
 * (worker/eval/engine.h). */
#include "worker/train/work.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/eval/measure.h"

#include <stdlib.h>
#include <string.h>

/* What is said of a chunk besides its sums, as doubles: how many they are, the seconds that it took. */
enum { CHUNK_SIZE, CHUNK_SECONDS, CHUNK_SUMS };

/* What cannot be done is said in this rank's box. */
static void write_texts(Job *job, const Batch *batch)
{
    NodeBox *box = node_box(&job->node, job->node.rank);
    const GenerateEngine engine = text_engine(&job->step.engine);
    const MeasureTexts how = { &job->step.generate, &engine, job->base.tokenizer, &job->step.references };
    const bool ok = measure_texts(&job->step.metrics, &how, batch, &box->failure);
    text_engine_done(&job->step.engine);
    REQUIRE(ok || box->failure.kind != ERR_NONE);
}

/* The figures of a chunk into this rank's box, on the last stage. */
static void measure(Job *job, const Batch *batch, bool readable)
{
    NodeBox *box = node_box(&job->node, job->node.rank);
    if (readable)
        measure_batch(&job->step.metrics, job->step.model, &job->step.answers, batch, job->node.values,
                      job->step.logits);
    if (job->run.config.data.generate)
        write_texts(job, batch);
    REQUIRE(job->step.metrics.size <= job->data.eval.width);
    memcpy(node_eval(&job->node, job->node.rank), job->step.metrics.sums,
           (size_t)job->step.metrics.size * sizeof(double));
    box->eval_size = job->step.metrics.size;
}

/* Rows [begin, end) of a chunk. */
static void evaluate_piece(Job *job, int64_t begin, int64_t end)
{
    Flights *flights = &job->step.flights;
    BatchRoom *room = &flights->flights[0].room;
    Batch batch = batch_fill(room, job->data.eval.data, job->data.eval.rows + begin, end - begin, 0);
    flights_take(flights, &batch);
    const bool readable = team_pixels(job, &job->data.eval.pictures, room, &batch, 0);
    if (stage_is_last(&job->base.stage)) {
        measure(job, &batch, readable);
        return;
    }
    flights_pass(flights, &batch, job->node.values);
    if (job->run.config.data.generate)
        text_engine_follow(&job->step.engine);
}

static void evaluate_chunk(Job *job, int64_t chunk)
{
    NodeBox *box = node_box(&job->node, job->node.rank);
    const EvalSet *eval = &job->data.eval;
    const int64_t end = eval->chunk_ends[chunk];
    const double start = clock_now();
    metrics_clear(&job->step.metrics);
    for (int64_t at = chunk == 0 ? 0 : eval->chunk_ends[chunk - 1], next; at < end; at = next) {
        next = job_data_piece(eval, at, end);
        evaluate_piece(job, at, next);
    }
    box->seconds = clock_now() - start;
    team_measure(job);
}

/* The figures of a chunk, by where it stands in the range. */
static double *figures_of(const Job *job, double *all, int64_t i)
{
    return all + i * (CHUNK_SUMS + job->data.eval.width);
}

/* First rank of the last stage: what the team has measured, chunks from `at` on. */
static void take_figures(const Job *job, Range range, int64_t at, double *all)
{
    for (int r = 0; r < job->node.size && at + r < range.end; r++) {
        const NodeBox *box = node_box(&job->node, r);
        double *to = figures_of(job, all, at + r - range.begin);
        to[CHUNK_SIZE] = (double)box->eval_size;
        to[CHUNK_SECONDS] = box->seconds;
        memcpy(to + CHUNK_SUMS, node_eval(&job->node, r), (size_t)box->eval_size * sizeof(double));
    }
}

/* The leader: chunks of the range whose figures `all` begins with. */
static bool push_figures(Job *job, int64_t step, Range chunks, double *all, Err *err)
{
    if (team_failed(job, err))
        return false;
    ps_client_memory(job->run.client, team_memory(job));
    for (int64_t chunk = chunks.begin; chunk < chunks.end; chunk++) {
        const double *figures = figures_of(job, all, chunk - chunks.begin);
        const Push push = {
            .eval = true,
            .step = step,
            .range = { chunk, chunk + 1 },
            .seconds = figures[CHUNK_SECONDS],
            .data = figures + CHUNK_SUMS,
            .size = (size_t)figures[CHUNK_SIZE] * sizeof(double),
        };
        if (!ps_client_push(job->run.client, &push, err))
            return false;
    }
    return true;
}

/* First rank of a team, behind the range: from the last stage to the leader, to the server. */
static bool give_figures(Job *job, int64_t step, Range range, double *all, Err *err)
{
    const size_t bytes = (size_t)((range.end - range.begin) * (CHUNK_SUMS + job->data.eval.width)) * sizeof *all;
    if (stage_is_last(&job->base.stage))
        replica_give_chunks(&job->replica, all, bytes);
    else if (job->run.client)
        replica_take_chunks(&job->replica, all, bytes);
    return !job->run.client || push_figures(job, step, range, all, err);
}

bool evaluate(Job *job, int64_t step, Range range, Err *err)
{
    const bool last = stage_is_last(&job->base.stage), first = job->node.rank == 0;
    double *all = xcalloc((size_t)((range.end - range.begin) * (CHUNK_SUMS + job->data.eval.width)), sizeof *all);
    bool ok = true;
    for (int64_t at = range.begin; at < range.end; at += job->node.size) {
        const Range round = { at, at + job->node.size < range.end ? at + job->node.size : range.end };
        if (at + job->node.rank < range.end)
            evaluate_chunk(job, at + job->node.rank);
        node_gate(&job->node);
        if (first && last)
            take_figures(job, range, at, all);
        if (first && last && job->run.client)
            ok = ok && push_figures(job, step, round, figures_of(job, all, at - range.begin), err);
        node_gate(&job->node);
    }
    flights_settle(&job->step.flights);
    if (first && !(last && job->run.client))
        ok = give_figures(job, step, range, all, err);
    free(all);
    return ok;
}
