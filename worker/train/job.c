#include "worker/train/job.h"

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/plan/packing.h"
#include "common/plan/steps.h"
#include "common/slots/init_adapter.h"
#include "common/wire/facts.h"
#include "worker/eval/measure.h"
#include "worker/train/find_labels.h"
#include "worker/train/rows.h"
#include "worker/train/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A step of job_open on one rank; all ranks agree behind each. */
static bool agree(Job *job, bool ok)
{
    return comm_agree(job->comm, ok) && ok;
}

/* ---- the run file -------------------------------------------------------------------- */

/* The server's run file, owned; its run becomes ours. A client of its own a question: a late answer to the one
 * before is none to this. */
static char *ask(Job *job, const PsConfig *ps, const char *found, Err *err)
{
    const PsClientOptions o = { job->address, ps->heartbeat, ps->patience, 0 };
    PsClient *asking = ps_client_open(&o, err);
    char *text = NULL;
    const bool ok = asking && ps_client_ask(asking, found, &text, &job->run, err);
    ps_client_close(asking);
    return ok ? text : NULL;
}

/* Rank 0's first question. How patiently is said by the command line, as there is no run yet. */
static char *ask_first(Job *job, const ConfigSources *sources, Err *err)
{
    const ConfigSources own = { .overrides = sources->overrides, .override_count = sources->override_count };
    Config config = { 0 };
    char *text = config_load_keys(&config, &own, err) ? ask(job, &config.ps, NULL, err) : NULL;
    config_release(&config);
    return text;
}

/* Rank 0: the server's run as we read it, with the places of this machine. */
static bool load_run(Config *config, const char *text, const ConfigSources *own, Err *err)
{
    const ConfigSources all = { "the server's run", text, own->overrides, own->override_count };
    return config_load(config, &all, err);
}

/* Rank 0: where nobody named the labels yet, the server is told those that are in our data. It answers with
 * the run's, which another may have told before. *text: what it said, or NULL; replaced. */
static bool settle_labels(Job *job, Config *config, char **text, Err *err)
{
    bool found;
    if (!find_labels(config, &found, err) || !found)
        return err->kind == ERR_NONE;
    Text ours = { 0 };
    config_print(config, &ours);
    free(*text);
    *text = ask(job, &config->ps, ours.data, err);
    text_release(&ours);
    return *text != NULL;
}

/* Rank 0 asks the server; everybody reads the same text. */
static bool run_from_server(Job *job, const ConfigSources *sources, Err *err)
{
    char *text = NULL;
    bool ok = true;
    if (comm_rank(job->comm) == 0) {
        Config config = { 0 };
        ok = (text = ask_first(job, sources, err)) && load_run(&config, text, sources, err) &&
             settle_labels(job, &config, &text, err);
        config_release(&config);
    }
    if (!comm_agree(job->comm, ok)) {
        free(text);
        return false;
    }
    char *shared = comm_share_text(job->comm, text);
    job->run = comm_share_number(job->comm, job->run);
    free(text);
    ok = load_run(&job->config, shared, sources, err);
    free(shared);
    return ok;
}

/* A run file of our own, and the labels of the server's run where it names none. */
static bool run_from_file(Job *job, const ConfigSources *sources, Err *err)
{
    char *text = NULL;
    bool ok = config_load(&job->config, sources, err) && init_adapter_take(&job->config, NULL, err);
    if (comm_rank(job->comm) == 0) {
        Config config = { 0 };
        ok = ok && config_load(&config, sources, err) && init_adapter_take(&config, NULL, err) &&
             settle_labels(job, &config, &text, err);
        config_release(&config);
    }
    if (!comm_agree(job->comm, ok)) {
        free(text);
        return false;
    }
    char *shared = comm_share_text(job->comm, text);
    free(text);
    Config theirs = { 0 };
    ok = !shared ||
         (load_run(&theirs, shared, &(ConfigSources){ 0 }, err) && config_take_labels(&job->config, &theirs, err));
    config_release(&theirs);
    free(shared);
    job->run = 0; /* joins whatever run there is with this file */
    return ok;
}

static bool open_run(Job *job, const ConfigSources *sources, Err *err)
{
    return agree(job, sources->file ? run_from_file(job, sources, err) : run_from_server(job, sources, err));
}

/* ---- model and data ------------------------------------------------------------------- */

static bool open_model(Job *job, Err *err)
{
    const Config *c = &job->config;
    char *folder = model_find(c->model, err);
    if (folder)
        job->arch = arch_open(folder, c->model_config, c->task, &c->labels, c->label_count, c->problem_type, err);
    const bool ok = job->arch && (job->table = slots_open(job->arch, &c->lora, err)) &&
                    (job->arch->image_size > 0 || (job->tokenizer = tokenizer_open(folder, err))) &&
                    (job->files = safetensors_open_model(folder, err)) &&
                    weights_plan(&job->weights, job->arch, job->files, err);
    free(folder);
    if (!agree(job, ok))
        return false;
    job->weights.data = comm_node_memory(job->comm, (size_t)job->weights.size * sizeof(float), err);
    const bool loaded = job->weights.data && weights_load(&job->weights, job->files, comm_node_rank(job->comm),
                                                          comm_node_size(job->comm), err);
    if (loaded && comm_node_rank(job->comm) == 0)
        job->base_digest =
            digest_fast_more(safetensors_digest(job->files), &(uint64_t){ arch_digest(job->arch) }, sizeof(uint64_t));
    safetensors_close(job->files);
    job->files = NULL;
    return agree(job, loaded); /* also the barrier behind which all may read all */
}

static bool open_set(Job *job, Dataset *data, const StringList *files, Err *err)
{
    const DatasetOptions o = settings_data(&job->config, files);
    return dataset_open(data, &o, job->arch, job->tokenizer, err);
}

static bool open_sets(Job *job, Err *err)
{
    const DataConfig *d = &job->config.data;
    return open_set(job, &job->train, &d->train, err) &&
           (d->validation.count == 0 || open_set(job, &job->validation, &d->validation, err));
}

/* Images: those that are trained on may be augmented, those that are evaluated are not. */
static bool open_pictures(Job *job, Err *err)
{
    const DataConfig *d = &job->config.data;
    const bool held = d->validation.count > 0;
    PicturesOptions o = { &d->train, d->random_crop, d->random_flip, job->config.train.seed, d->skip_bad_rows };
    if (!job->train.images)
        return true;
    if (!pictures_open(&job->train_pictures, &job->train, job->arch, &o, err))
        return false;
    o = (PicturesOptions){ held ? &d->validation : &d->train, false, false, 0, d->skip_bad_rows };
    return (!held && d->validation_split <= 0) ||
           pictures_open(&job->eval_pictures, held ? &job->validation : &job->train, job->arch, &o, err);
}

static void warn(const Job *job)
{
    const Pictures *train = &job->train_pictures, *held = &job->eval_pictures;
    const int64_t images =
        train->count - train->good_count + (job->config.data.validation.count > 0 ? held->count - held->good_count : 0);
    const int64_t skipped = job->train.skipped + job->validation.skipped + images;
    const char *odd = measure_odd_tag(job->arch);
    if (skipped > 0)
        log_warn("data", "skipped_rows=%lld", (long long)skipped);
    const int64_t shared = job->train.shared + job->validation.shared;
    if (shared > 0)
        log_warn(
            "data",
            "rows=%lld prompt and completion share a token, which is not learnt; a space or new line between them would part it",
            (long long)shared);
    if (odd)
        log_warn("eval", "f1, precision and recall are of entities, as seqeval counts them; not an entity's tag: '%s'",
                 odd);
}

/* The first rank of a node encodes into the cache, the others map what it wrote. */
static bool open_data(Job *job, Err *err)
{
    const bool first = comm_node_rank(job->comm) == 0;
    bool ok = true;
    for (int turn = 0; turn < 2; turn++) {
        if (first == (turn == 0))
            ok = open_sets(job, err) && open_pictures(job, err);
        if (!agree(job, ok))
            return false;
    }
    if (comm_rank(job->comm) == 0)
        warn(job);
    return true;
}

/* What is trained on and what is evaluated. */
static void split_data(Job *job)
{
    const DataConfig *d = &job->config.data;
    job->rows = rows_usable(&job->train, &job->train_pictures, &job->train_count);
    if (d->validation.count > 0) {
        job->eval_data = &job->validation;
        job->held_rows = rows_usable(&job->validation, &job->eval_pictures, &job->eval_count);
        job->eval_rows = job->held_rows;
    } else if (d->validation_split > 0) {
        const int64_t count = job->train_count;
        job->train_count = rows_split(job->rows, count, d->validation_split, job->config.train.seed);
        job->eval_data = &job->train;
        job->eval_count = count - job->train_count;
        job->eval_rows = job->rows + job->train_count;
    }
}

/* data.packing: an example is a pack of rows. */
static void pack(Job *job)
{
    job->example_count = job->train_count;
    job->longest_example = job->train.longest;
    if (!job->config.data.packing)
        return;
    job->example_count =
        packing_group(job->rows, job->train_count, job->train.start, job->config.data.block_size, &job->pack_ends);
    job->longest_example = 0;
    for (int64_t p = 0, k = 0; p < job->example_count; p++) {
        int64_t tokens = 0;
        for (; k < job->pack_ends[p]; k++)
            tokens += job->train.start[job->rows[k] + 1] - job->train.start[job->rows[k]];
        job->longest_example = tokens > job->longest_example ? tokens : job->longest_example;
    }
}

static void cut_chunks(Job *job)
{
    const MetricsSpec spec = measure_spec(job->arch);
    metrics_init(&job->metrics, &spec);
    job->longest = job->train.longest > job->validation.longest ? job->train.longest : job->validation.longest;
    if (job->eval_data)
        job->chunks = plan_chunks(job->eval_data->start, job->eval_rows, job->eval_count,
                                  job->config.parallel.micro_batch_tokens, &job->chunk_ends);
    for (int64_t i = 0, begin = 0; i < job->chunks; begin = job->chunk_ends[i++]) {
        const int64_t width = metrics_width(&job->metrics.spec, job->chunk_ends[i] - begin);
        job->eval_width = width > job->eval_width ? width : job->eval_width;
    }
}

/* ---- HELLO ------------------------------------------------------------------------------- */

static uint64_t set_digest(const Dataset *data, const Pictures *pictures)
{
    const uint64_t pixels = pictures->pixels ? pixels_digest(pictures->pixels) : 0;
    return pixels ? digest_fast_more(data->digest, &pixels, sizeof pixels) : data->digest;
}

/* Of what is evaluated, and how it is cut; 0: nothing is. */
static uint64_t eval_digest(const Job *job)
{
    return job->eval_data ? digest_fast_more(set_digest(job->eval_data, &job->eval_pictures), job->chunk_ends,
                                             (size_t)job->chunks * sizeof *job->chunk_ends)
                          : 0;
}

/* This machine's name as it may travel: visible ASCII. */
static void set_host(char host[WIRE_NAME])
{
    if (gethostname(host, WIRE_NAME - 1) != 0)
        host[0] = '\0';
    host[WIRE_NAME - 1] = '\0';
    for (char *at = host; *at; at++)
        if (*at <= ' ' || *at > '~')
            *at = '?';
}

static void set_arithmetic(HelloFacts *facts, const Arithmetic *arithmetic)
{
    snprintf(facts->arithmetic, sizeof facts->arithmetic, "%s", arithmetic->name);
    facts->fingerprint = arithmetic->fingerprint;
}

static HelloFacts facts(const Job *job, uint64_t job_number)
{
    HelloFacts facts = {
        .base_digest = job->base_digest,
        .slot_hash = job->table->hash,
        .data_digest = set_digest(&job->train, &job->train_pictures),
        .eval_digest = eval_digest(job),
        .slot_size = job->table->size,
        .examples = job->example_count,
        .longest = job->longest_example,
        .eval_chunks = job->chunks,
        .eval_examples = job->eval_count,
        .eval_width = job->eval_width,
        .ranks = comm_node_size(job->comm),
        .job_ranks = comm_size(job->comm),
        .job = job_number,
    };
    set_host(facts.host);
    set_arithmetic(&facts, &job->arithmetic);
    return facts;
}

/* Leader: HELLO with what we have; *fixed: the run file with every key fixed, owned by the caller. Where
 * the run computes otherwise than we would, we follow if we can. */
static bool greet(Job *job, HelloFacts *mine, char **fixed, Err *err)
{
    const PsClientOptions o = { job->address, job->config.ps.heartbeat, job->config.ps.patience, job->run };
    Text text = { 0 };
    config_print(&job->config, &text);
    job->client = ps_client_open(&o, err);
    bool ok = job->client != NULL;
    while (ok && !*fixed) {
        char *follow;
        ok = ps_client_hello(job->client, mine, text.data, fixed, &follow, err);
        if (ok && follow && strcmp(follow, mine->arithmetic) != 0) { /* else an answer to an earlier one */
            ok = arithmetic_follow(&job->arithmetic, follow, err);
            set_arithmetic(mine, &job->arithmetic);
        }
        free(follow);
    }
    text_release(&text);
    return ok;
}

/* All ranks: the run's arithmetic, which the leader follows already. */
static bool follow_run(Job *job, Err *err)
{
    const ParallelConfig *p = &job->config.parallel;
    if (!p->fingerprint)
        return err_set(err, ERR_PEER, "the server did not fix parallel.fingerprint");
    if (strcmp(p->arithmetic, job->arithmetic.name) != 0 && !arithmetic_follow(&job->arithmetic, p->arithmetic, err))
        return false;
    Text products = { 0 };
    arithmetic_products(&products);
    log_info("arithmetic", "%s: %s", job->arithmetic.name, products.data);
    text_release(&products);
    return arithmetic_check(&job->arithmetic, p->arithmetic, p->fingerprint, err);
}

/* Leaders say hello; the run file that comes back replaces ours. */
static bool say_hello(Job *job, Err *err)
{
    HelloFacts mine = facts(job, comm_share_number(job->comm, rng_entropy()));
    char *fixed = NULL;
    const bool greeted = comm_node_rank(job->comm) != 0 || greet(job, &mine, &fixed, err);
    if (!comm_agree(job->comm, greeted)) {
        free(fixed);
        return false;
    }
    char *shared = comm_share_text(job->comm, fixed);
    free(fixed);
    config_release(&job->config);
    const ConfigSources sources = { "the server's run", shared, NULL, 0 };
    bool ok = config_load(&job->config, &sources, err);
    if (ok && job->config.parallel.micro_batches < 1)
        ok = err_set(err, ERR_PEER, "the server did not fix parallel.micro_batches");
    ok = ok && follow_run(job, err);
    if (ok && job->client)
        ps_client_plan(job->client,
                       facts_plan(&mine, config_digest(&job->config, true), job->config.parallel.micro_batches));
    free(shared);
    return agree(job, ok);
}

/* ---- memory of the step -------------------------------------------------------------------- */

static int64_t steps_of(const Job *job)
{
    const TrainConfig *t = &job->config.train;
    return steps_total(plan_steps_per_epoch(job->plan), t->num_train_epochs, t->max_steps);
}

static int threads_of(const Job *job)
{
    if (job->config.parallel.threads > 0)
        return (int)job->config.parallel.threads;
    const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN), each = cores / comm_node_size(job->comm);
    return each > 1 ? (int)each : 1;
}

/* Tokens of any sequence to come. */
static int64_t longest_of(const Job *job)
{
    const DataConfig *d = &job->config.data;
    const int64_t most = job->longest + (d->generate ? d->max_new_tokens : 0);
    return most < job->arch->positions ? most : job->arch->positions;
}

/* data.generate: evaluations write behind the prompts. */
static bool open_generation(Job *job, Err *err)
{
    const Config *c = &job->config;
    const int64_t longest = longest_of(job);
    const TextEngineOptions engine = { .arch = job->arch,
                                       .table = job->table,
                                       .weights = &job->weights,
                                       .values = job->node.values,
                                       .longest = longest,
                                       .lanes = 1,
                                       .threads = threads_of(job) };
    return !c->data.generate || !job->eval_data ||
           (generate_options(&job->generate, &c->data, c->train.seed, job->arch->folder, longest, job->tokenizer,
                             err) &&
            text_engine_open(&job->engine, &engine, err) &&
            references_open(&job->references, job->eval_data, job->eval_rows, job->eval_count, err));
}

static bool open_step(Job *job, Err *err)
{
    const Config *c = &job->config;
    const PlanOptions plan = {
        .start = job->train.start,
        .rows = job->rows,
        .ends = job->pack_ends,
        .count = job->example_count,
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
    if (job->train.images && !pictures_start(&job->train_pictures, examples, threads_of(job), err))
        return false;
    for (int64_t i = 0, begin = 0; i < job->chunks; begin = job->chunk_ends[i++]) {
        int64_t sum = 0;
        for (int64_t k = begin; k < job->chunk_ends[i]; k++)
            sum += job->eval_data->start[job->eval_rows[k] + 1] - job->eval_data->start[job->eval_rows[k]];
        tokens = sum > tokens ? sum : tokens;
        chunk = job->chunk_ends[i] - begin > chunk ? job->chunk_ends[i] - begin : chunk;
    }
    examples = chunk > examples ? chunk : examples;
    tokens = longest_of(job) > tokens ? longest_of(job) : tokens;
    const ModelOptions o = { tokens,          examples,        longest_of(job), true,
                             threads_of(job), c->lora.dropout, c->train.seed,   false };
    const BatchSize size = { tokens, examples, job->train.goal_width, pictures_floats(job->arch) };
    int depth = 1;
    for (int64_t width = 1; width < plan.micro_batches; width *= 2)
        depth++;
    job->scratch = mem_alloc((size_t)depth * (size_t)job->table->size * sizeof(float), err);
    job->logits = mem_alloc((size_t)measure_logits(job->arch, tokens, examples) * sizeof(float), err);
    return job->scratch && job->logits && batch_room(&job->room, &size, err) &&
           (job->model = model_open(job->arch, job->table, &job->weights, &o, err));
}

bool job_open(Job *job, Comm *comm, const ConfigSources *sources, const char *address, Err *err)
{
    *job = (Job){ .comm = comm, .address = xstrdup(address) };
    if (!open_run(job, sources, err) ||
        !agree(job,
               arithmetic_start(&job->arithmetic, job->config.parallel.arithmetic, comm_node_rank(comm) != 0, err)) ||
        !agree(job, config_check_training(&job->config, err)) || !open_model(job, err) || !open_data(job, err))
        return false;
    split_data(job);
    pack(job);
    cut_chunks(job);
    return say_hello(job, err) && agree(job, open_step(job, err)) &&
           agree(job, node_open(&job->node, comm, job->table->size, job->eval_width, job->config.parallel.micro_batches,
                                err)) &&
           agree(job, open_generation(job, err));
}

void job_close(Job *job)
{
    ps_client_close(job->client);
    text_engine_close(&job->engine);
    references_release(&job->references);
    model_close(job->model);
    plan_close(job->plan);
    batch_release(&job->room);
    pictures_close(&job->train_pictures);
    pictures_close(&job->eval_pictures);
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
    free(job->pack_ends);
    free(job->held_rows);
    free(job->chunk_ends);
    free(job->scratch);
    free(job->logits);
    free(job->address);
    *job = (Job){ 0 };
}
