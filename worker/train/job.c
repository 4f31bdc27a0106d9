#include "worker/train/job.h"

#include "common/base/log.h"
#include "common/base/machine.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/slots/inits.h"
#include "worker/train/fit.h"
#include "worker/train/foresee.h"
#include "worker/train/stages.h"

#include <unistd.h>

/* The digest of the base, to which every rank of a replica gives its share, and what was read for it and for the
 * weights. */
static void name_base(Job *job)
{
    const Groups *g = &job->run.groups;
    const uint64_t mine = opened_digest(&job->base, g->team.rank, g->team.size);
    const uint64_t files = group_sum(&g->pipeline, group_sum(&g->team, mine));
    const uint64_t held = (uint64_t)job->base.weights.bytes,
                   read = group_sum(&g->team, (uint64_t)job->base.weights.read);
    job->base_digest = adapted_digest_with(&job->base.adapted, files);
    for (int s = 0; s < g->pipeline.size && g->pipeline.size > 1; s++) {
        const bool it = s == g->place.stage;
        const uint64_t numbers[] = { (uint64_t)job->base.stage.first, (uint64_t)job->base.stage.end, held, read };
        uint64_t all[4];
        for (int k = 0; k < 4; k++)
            all[k] = group_sum(&g->pipeline, it ? numbers[k] : 0);
        log_info("stage", "%d of %d: blocks %llu..%llu, holds %.1f MB, read %.1f MB", s + 1, g->pipeline.size,
                 (unsigned long long)all[0], (unsigned long long)all[1] - 1, (double)all[2] / 1e6,
                 (double)all[3] / 1e6);
    }
}

/* The ranks of a node load a part each, and all read the whole; where other jobs do, too, they may have it already. */
static bool load_base(Job *job, const Group *team, Err *err)
{
    Opened *base = &job->base;
    const bool none = base->weights.bytes == 0; /* every weight is trained */
    const bool own = inits_shift(&job->run.config.lora) || job->run.groups.pipeline.size > 1;
    if (!shared_base_open(&job->shared, base, own, team, err))
        return false;
    if (job->shared.map)
        return true;
    void *data = none ? NULL : group_memory(team, (size_t)base->weights.bytes, err);
    return (none || data) && opened_load(base, data, team->rank, team->size, err);
}

static bool open_base(Job *job, Err *err)
{
    const Group *all = &job->run.groups.job, *team = &job->run.groups.team;
    const AdaptedOptions o = adapted_of(&job->run.config);
    const Group *lane = &job->run.groups.pipeline;
    if (!group_agree(all, opened_open_stage(&job->base, &o, lane->rank, lane->size, err)))
        return false;
    if (!group_agree(all, load_base(job, team, err))) { /* also the barrier behind which all may read all */
        adapted_close_files(&job->base.adapted);
        return false;
    }
    name_base(job);
    adapted_close_files(&job->base.adapted);
    const Config *c = &job->run.config;
    return group_agree(all, opened_shift(&job->base, &c->lora, c->train.seed, team->rank, team->size, err));
}

static bool open_data(Job *job, Err *err)
{
    const JobDataOptions o = { &job->run.config, job->base.adapted.arch, job->base.tokenizer, &job->run.groups };
    return job_data_open(&job->data, &o, err);
}

/* Of all replicas: ranks that work side by side, each with a whole model or with the stages of one. */
static int lanes_of(const Job *job)
{
    return job->run.groups.job.size / job->run.groups.pipeline.size;
}

static HelloFacts facts(const Job *job)
{
    const TrainSet *train = &job->data.train;
    const EvalSet *eval = &job->data.eval;
    HelloFacts facts = {
        .base_digest = job->base_digest,
        .slot_hash = job->base.adapted.table->hash,
        .data_digest = job_data_train_digest(&job->data),
        .eval_digest = job_data_eval_digest(&job->data),
        .slot_size = job->base.adapted.table->size,
        .examples = train->examples,
        .longest = train->longest,
        .eval_chunks = eval->chunks,
        .eval_examples = eval->examples,
        .eval_width = eval->width,
        .ranks = job->run.groups.team.size,
        .job_ranks = lanes_of(job),
    };
    machine_host(facts.host, sizeof facts.host);
    return facts;
}

static bool say_hello(Job *job, Err *err)
{
    HelloFacts mine = facts(job);
    return job_run_hello(&job->run, &mine, err);
}

static int threads_of(const Job *job)
{
    if (job->run.config.parallel.threads > 0)
        return (int)job->run.config.parallel.threads;
    const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN), each = cores / job->run.groups.node.size;
    return each > 1 ? (int)each : 1;
}

/* taken: what the ranks of the node have already. */
static bool has_room(const Job *job, const Foreseen *foreseen, int64_t taken, Err *err)
{
    const Groups *g = &job->run.groups;
    const int64_t need = foreseen->memory / (g->team.size * g->pipeline.size) * g->node.size,
                  room = fit_room(&job->run.config, taken);
    if (need <= room)
        return true;
    err_set(err, ERR_INPUT, "the run takes %.2f GB of memory with %d ranks on this machine, and %s %.2f",
            (double)need / 1e9, g->node.size, job->run.config.parallel.memory ? "may take" : "there are",
            (double)room / 1e9);
    err_at(err, "parallel.memory");
    return err_hint(err, "start fewer ranks here; the micro-batches are the run's (parallel.micro_batches)");
}

/* The leader: before any of it is taken. */
static bool say_plan(Job *job, const JobStepOptions *o, int64_t taken, Err *err)
{
    Foreseen foreseen;
    if (!job->run.client)
        return true;
    if (!foresee(&foreseen, &job->step, o, job->run.groups.team.size, err))
        return false;
    log_info("plan", "step_seconds=%.3g memory_mb=%.0f wire_mb=%.3g", foreseen.seconds, (double)foreseen.memory / 1e6,
             (double)foreseen.bytes / 1e6);
    ps_client_foresee(job->run.client, &foreseen);
    return has_room(job, &foreseen, taken, err);
}

static bool open_step(Job *job, Err *err)
{
    const Groups *g = &job->run.groups;
    const JobStepOptions o = { &job->run.config, &job->base, &job->data, threads_of(job), &g->pipeline, lanes_of(job) };
    const ModelArch *arch = job->base.adapted.arch;
    const Config *c = &job->run.config;
    const NodeOptions node = { job->base.stage.size, job->data.eval.width, c->parallel.micro_batches, c->ps.wire_dtype,
                               arch->head.task->embeds
                                   ? arch->C * step_embeddings_texts(&arch->head.embed, c->train.batch_size,
                                                                     job->data.train.examples)
                                   : 0 };
    const int64_t taken = (int64_t)group_sum(&g->node, (uint64_t)process_memory());
    const bool planned = job_step_plan(&job->step, &o, err) && say_plan(job, &o, taken, err);
    arithmetic_threads(o.threads);
    return group_agree(&job->run.groups.job, planned) &&
           group_agree(&job->run.groups.job, job_step_open(&job->step, &o, err)) &&
           group_agree(&job->run.groups.job, node_open(&job->node, &job->run.groups.team, &node, err)) &&
           group_agree(&job->run.groups.job, job_step_open_embeddings(&job->step, &o, &job->node, err)) &&
           group_agree(&job->run.groups.job, job_step_open_texts(&job->step, &o, job->node.values, err)) &&
           group_agree(&g->job, g->team.rank != 0 || replica_open(&job->replica, &g->pipeline, job->base.adapted.arch,
                                                                  job->base.adapted.table, err));
}

bool job_open(Job *job, const Groups *groups, const ConfigSources *sources, const char *address, const char *keys,
              Err *err)
{
    *job = (Job){ .run = { .groups = *groups, .address = xstrdup(address), .keys = keys ? xstrdup(keys) : NULL } };
    JobRun *run = &job->run;
    return job_run_ask(run, sources, err) &&
           group_agree(&groups->job,
                       arithmetic_start(&run->arithmetic, run->config.parallel.arithmetic,
                                        run->config.train.precision != PRECISION_FP32, groups->node.rank != 0, err)) &&
           group_agree(&groups->job, config_check_training(&run->config, err)) &&
           stages_settle(&run->config, &run->groups, err) && open_base(job, err) && open_data(job, err) &&
           say_hello(job, err) && open_step(job, err);
}

void job_close(Job *job)
{
    node_close(&job->node);
    replica_release(&job->replica);
    job_step_release(&job->step);
    job_data_release(&job->data);
    opened_release(&job->base);
    shared_base_close(&job->shared);
    job_run_release(&job->run);
    *job = (Job){ 0 };
}
