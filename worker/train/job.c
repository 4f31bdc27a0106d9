#include "worker/train/job.h"

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A step of job_open on one rank; all ranks agree behind each. */
static bool agree(Job *job, bool ok)
{
    return comm_agree(job->comm, ok) && ok;
}

/* ---- the run file -------------------------------------------------------------------- */

/* Rank 0 asks the server; everybody reads the same text. */
static bool run_from_server(Job *job, const ConfigSources *sources, Err *err)
{
    char *text = NULL;
    bool ok = true;
    if (comm_rank(job->comm) == 0) {
        const PsClientOptions o = { job->address, 1.0, 60.0 };
        PsClient *asking = ps_client_open(&o, err);
        ok = asking && ps_client_ask(asking, &text, err);
        ps_client_close(asking);
    }
    if (!comm_agree(job->comm, ok)) {
        free(text);
        return false;
    }
    char *shared = comm_share_text(job->comm, text);
    free(text);
    const ConfigSources all = { "the server's run", shared, sources->overrides, sources->override_count };
    ok = config_load(&job->config, &all, err);
    free(shared);
    return ok;
}

static bool open_run(Job *job, const ConfigSources *sources, Err *err)
{
    const bool ok = sources->file ? config_load(&job->config, sources, err) : run_from_server(job, sources, err);
    return agree(job, ok);
}

/* ---- model and data ------------------------------------------------------------------- */

static bool open_model(Job *job, Err *err)
{
    const Config *c = &job->config;
    char *folder = model_find(c->model, err);
    if (folder)
        job->arch = arch_open(folder, c->model_config, c->task, &c->labels, c->label_count, c->problem_type, err);
    const bool ok = job->arch && (job->table = slots_open(job->arch, &c->lora, err)) &&
                    (job->tokenizer = tokenizer_open(folder, err)) &&
                    (job->files = safetensors_open_model(folder, err)) &&
                    weights_plan(&job->weights, job->arch, job->files, err);
    free(folder);
    if (!agree(job, ok))
        return false;
    job->weights.data = comm_node_memory(job->comm, (size_t)job->weights.size * sizeof(float), err);
    const bool loaded = job->weights.data && weights_load(&job->weights, job->files, comm_node_rank(job->comm),
                                                          comm_node_size(job->comm), err);
    if (loaded && comm_node_rank(job->comm) == 0)
        job->base_digest = safetensors_digest(job->files);
    safetensors_close(job->files);
    job->files = NULL;
    return agree(job, loaded); /* also the barrier behind which all may read all */
}

static bool open_set(Job *job, Dataset *data, const StringList *files, Err *err)
{
    const DataConfig *d = &job->config.data;
    const DatasetOptions o = { files, d->text, d->text_pair, d->label, d->max_length, d->limit, d->skip_bad_rows, true };
    if (job->config.data.max_length > job->arch->positions)
        return err_set(err, ERR_INPUT, "data.max_length is %lld, the model has %lld positions",
                       (long long)d->max_length, (long long)job->arch->positions);
    return dataset_open(data, &o, job->arch, job->tokenizer, err);
}

/* The first rank of a node encodes into the cache, the others map what it wrote. */
static bool open_data(Job *job, Err *err)
{
    const DataConfig *d = &job->config.data;
    const bool first = comm_node_rank(job->comm) == 0;
    bool ok = true;
    for (int turn = 0; turn < 2; turn++) {
        if (first == (turn == 0))
            ok = open_set(job, &job->train, &d->train, err) &&
                 (d->validation.count == 0 || open_set(job, &job->validation, &d->validation, err));
        if (!agree(job, ok))
            return false;
    }
    if (first && job->train.skipped + job->validation.skipped > 0)
        log_warn("data", "skipped_rows=%lld", (long long)(job->train.skipped + job->validation.skipped));
    return true;
}

static void split_data(Job *job)
{
    const Dataset *held = job->config.data.validation.count > 0 ? &job->validation : NULL;
    job->train_count = job->train.count;
    job->longest = job->train.longest > job->validation.longest ? job->train.longest : job->validation.longest;
    if (held) {
        job->eval_data = held;
        job->eval_count = held->count;
        job->all_rows = xmalloc((size_t)held->count * sizeof *job->all_rows);
        for (int64_t i = 0; i < held->count; i++)
            job->all_rows[i] = (uint32_t)i;
        job->eval_rows = job->all_rows;
    } else if (job->config.data.validation_split > 0) {
        job->rows = xmalloc((size_t)job->train.count * sizeof *job->rows);
        job->train_count = dataset_split(&job->train, job->config.data.validation_split, job->config.train.seed, job->rows);
        job->eval_data = &job->train;
        job->eval_count = job->train.count - job->train_count;
        job->eval_rows = job->rows + job->train_count;
    }
    if (job->eval_data)
        job->chunks = plan_chunks(job->eval_data->start, job->eval_rows, job->eval_count,
                                  job->config.parallel.micro_batch_tokens, &job->chunk_ends);
    const ModelArch *arch = job->arch;
    metrics_init(&job->metrics, &(MetricsSpec){ arch->task, arch->problem, arch->labels,
                                                (const char *const *)arch->label_names });
    for (int64_t i = 0, begin = 0; i < job->chunks; begin = job->chunk_ends[i++]) {
        const int64_t width = metrics_width(&job->metrics.spec, job->chunk_ends[i] - begin);
        job->eval_width = width > job->eval_width ? width : job->eval_width;
    }
}

/* ---- HELLO ------------------------------------------------------------------------------- */

static HelloFacts facts(const Job *job, uint64_t job_number)
{
    return (HelloFacts){
        .base_digest = job->base_digest,
        .slot_hash = job->table->hash,
        .data_digest = digest_fast_more(job->train.digest, &job->validation.digest, sizeof job->validation.digest),
        .slot_size = job->table->size,
        .examples = job->train_count,
        .longest = job->train.longest,
        .eval_chunks = job->chunks,
        .eval_examples = job->eval_count,
        .eval_width = job->eval_width,
        .ranks = comm_node_size(job->comm),
        .job_ranks = comm_size(job->comm),
        .job = job_number,
    };
}

/* Leaders say hello; the run file that comes back, with every key fixed, replaces ours. */
static bool say_hello(Job *job, bool own_file, Err *err)
{
    const uint64_t number = comm_share_number(job->comm, rng_entropy());
    char *fixed = NULL;
    bool ok = true;
    if (comm_node_rank(job->comm) == 0) {
        const PsClientOptions o = { job->address, job->config.ps.heartbeat, job->config.ps.patience };
        const HelloFacts f = facts(job, number);
        Text text = { 0 };
        if (own_file)
            config_print(&job->config, &text);
        job->client = ps_client_open(&o, err);
        ok = job->client && ps_client_hello(job->client, &f, text.data ? text.data : "", &fixed, err);
        text_release(&text);
    }
    if (!comm_agree(job->comm, ok)) {
        free(fixed);
        return false;
    }
    char *shared = comm_share_text(job->comm, fixed);
    free(fixed);
    config_release(&job->config);
    const ConfigSources sources = { "the server's run", shared, NULL, 0 };
    ok = config_load(&job->config, &sources, err);
    if (ok && job->config.parallel.micro_batches < 1)
        ok = err_set(err, ERR_PEER, "the server did not fix parallel.micro_batches");
    free(shared);
    return agree(job, ok);
}

/* ---- memory of the step -------------------------------------------------------------------- */

static int64_t steps_of(const Job *job)
{
    const TrainConfig *t = &job->config.train;
    const double epochs = ceil(t->num_train_epochs * (double)plan_steps_per_epoch(job->plan));
    return t->max_steps > 0 ? t->max_steps : (int64_t)epochs;
}

static int threads_of(const Job *job)
{
    if (job->config.parallel.threads > 0)
        return (int)job->config.parallel.threads;
    const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN), each = cores / comm_node_size(job->comm);
    return each > 1 ? (int)each : 1;
}

static bool open_step(Job *job, Err *err)
{
    const Config *c = &job->config;
    const PlanOptions plan = {
        .start = job->train.start,
        .rows = job->rows,
        .count = job->train_count,
        .batch_size = c->train.batch_size,
        .micro_batches = c->parallel.micro_batches,
        .width = job->arch->C,
        .seed = c->train.seed,
        .shuffle = c->data.shuffle,
    };
    if (!(job->plan = plan_open(&plan, err)))
        return false;
    int64_t tokens, examples, chunk = 1;
    plan_limits(job->plan, steps_of(job), &tokens, &examples);
    for (int64_t i = 0, begin = 0; i < job->chunks; begin = job->chunk_ends[i++]) {
        int64_t sum = 0;
        for (int64_t k = begin; k < job->chunk_ends[i]; k++)
            sum += job->eval_data->start[job->eval_rows[k] + 1] - job->eval_data->start[job->eval_rows[k]];
        tokens = sum > tokens ? sum : tokens;
        chunk = job->chunk_ends[i] - begin > chunk ? job->chunk_ends[i] - begin : chunk;
    }
    examples = chunk > examples ? chunk : examples;
    const ModelOptions o = { tokens, examples, job->longest, true, threads_of(job), c->lora.dropout, c->train.seed };
    int depth = 1;
    for (int64_t width = 1; width < plan.micro_batches; width *= 2)
        depth++;
    job->scratch = mem_alloc((size_t)depth * (size_t)job->table->size * sizeof(float), err);
    job->logits = mem_alloc((size_t)(examples * job->arch->labels) * sizeof(float), err);
    return job->scratch && job->logits && batch_room(&job->room, tokens, examples, job->train.goal_width, err) &&
           (job->model = model_open(job->arch, job->table, &job->weights, &o, err));
}

bool job_open(Job *job, Comm *comm, const ConfigSources *sources, const char *address, Err *err)
{
    *job = (Job){ .comm = comm, .address = xstrdup(address) };
    if (!open_run(job, sources, err) || !agree(job, config_check_training(&job->config, err)) ||
        !open_model(job, err) || !open_data(job, err))
        return false;
    split_data(job);
    return say_hello(job, sources->file != NULL, err) && agree(job, open_step(job, err)) &&
           agree(job, node_open(&job->node, comm, job->table->size, job->eval_width, job->config.parallel.micro_batches, err));
}

void job_close(Job *job)
{
    ps_client_close(job->client);
    model_close(job->model);
    plan_close(job->plan);
    batch_release(&job->room);
    metrics_release(&job->metrics);
    dataset_release(&job->train);
    dataset_release(&job->validation);
    tokenizer_close(job->tokenizer);
    weights_release(&job->weights);
    safetensors_close(job->files);
    slots_close(job->table);
    arch_close(job->arch);
    config_release(&job->config);
    free(job->rows);
    free(job->all_rows);
    free(job->chunk_ends);
    free(job->scratch);
    free(job->logits);
    free(job->address);
    *job = (Job){ 0 };
}
