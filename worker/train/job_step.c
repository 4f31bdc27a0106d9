#include "worker/train/job_step.h"

#include "common/base/mem.h"
#include "common/plan/steps.h"
#include "worker/eval/measure.h"
#include "worker/train/class_balance.h"
#include "worker/train/settings.h"

#include <stdlib.h>

enum { JOB_TEXTS = 8 }; /* written at a time */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Tokens of any sequence to come. */
static int64_t longest_of(const JobStepOptions *o)
{
    const DataConfig *d = &o->config->data;
    const int64_t most = job_data_longest(o->data) + (d->generate ? d->max_new_tokens : 0);
    const int64_t positions = o->base->adapted.arch->positions;
    return most < positions || o->base->adapted.arch->source_layers > 0 ? most : positions;
}

static bool open_plan(JobStep *step, const JobStepOptions *o, Err *err)
{
    const TrainSet *train = &o->data->train;
    const Config *c = o->config;
    const PlanOptions plan = {
        .start = train->data.start,
        .rows = train->rows,
        .ends = train->pack_ends,
        .count = train->examples,
        .batch_size = c->train.batch_size,
        .micro_batches = c->parallel.micro_batches,
        .width = o->base->adapted.arch->C,
        .seed = c->train.seed,
        .shuffle = c->data.shuffle,
        .padded = train->data.notes != NULL,
    };
    return (step->plan = plan_open(&plan, err)) != NULL;
}

/* The largest micro-batch of the run, or batch of an episode. */
static void measure_steps(JobStep *step, const JobStepOptions *o)
{
    const TrainConfig *t = &o->config->train;
    const TrainSet *train = &o->data->train;
    if (!step->plan) {
        step->trained_tokens = episodes_most_tokens(train->episodes, train->data.start);
        step->trained_rows = t->batch_size;
        return;
    }
    const int64_t steps = steps_total(plan_steps_per_epoch(step->plan), t->num_train_epochs, t->max_steps);
    plan_limits(step->plan, steps, &step->trained_tokens, &step->trained_rows);
}

/* Of these and a chunk of an evaluation. */
static void take_limits(JobStep *step, const JobStepOptions *o, int64_t *tokens, int64_t *rows)
{
    measure_steps(step, o);
    *tokens = larger(larger(step->trained_tokens, o->data->eval.most_tokens), longest_of(o));
    *rows = larger(step->trained_rows, o->data->eval.most_rows);
}

/* Between forward and backward at a time: as many as are this rank's of a whole step, and no more than the stages ask
 * for. */
static int flights_of(const JobStepOptions *o)
{
    const int64_t M = o->config->parallel.micro_batches, mine = (M + o->lanes - 1) / o->lanes;
    return order_flights(o->lane->size, o->lane->rank, mine);
}

static ModelOptions options_of(const JobStepOptions *o, int64_t tokens, int64_t rows)
{
    const Config *c = o->config;
    return (ModelOptions){ .most_tokens = tokens,
                           .most_sequences = rows,
                           .longest = longest_of(o),
                           .training = true,
                           .checkpointing = c->train.checkpointing,
                           .untyped =
                               !task_passes_types(o->base->adapted.arch->head.task, o->base->adapted.table->whole),
                           .threads = o->threads,
                           .lora_dropout = c->lora.dropout,
                           .seed = c->train.seed,
                           .loss = settings_loss(c),
                           .noise = c->train.neftune_alpha };
}

static bool open_model(JobStep *step, const JobStepOptions *o, Err *err)
{
    ModelOptions model = step->options;
    model.stage = o->lane->size > 1 ? &o->base->stage : NULL;
    model.flights = flights_of(o);
    step->model = model_open(o->base->adapted.arch, o->base->adapted.table, &o->base->weights, &model, err);
    return step->model != NULL;
}

/* meta.algorithm: what a rank takes for the inner steps. */
static bool open_episodes(JobStep *step, const JobStepOptions *o, Err *err)
{
    const Config *c = o->config;
    const EpisodeOptions episode = { .meta = &c->meta,
                                     .train = &c->train,
                                     .episodes = o->data->train.episodes,
                                     .data = &o->data->train.data,
                                     .tasks = &c->tasks,
                                     .model = step->model,
                                     .flights = &step->flights,
                                     .slots = o->base->stage.size };
    return step->plan || episode_open(&step->episode, &episode, err);
}

static bool take_memory(JobStep *step, const JobStepOptions *o, Err *err)
{
    const ModelArch *arch = o->base->adapted.arch;
    const int64_t tokens = step->options.most_tokens, rows = step->options.most_sequences;
    const int64_t pixels = o->lane->rank == 0 ? pictures_floats(arch) : 0;
    if (!open_model(step, o, err))
        return false;
    const FlightsOptions flights = { .lane = o->lane,
                                     .model = step->model,
                                     .C = arch->C,
                                     .most_tokens = tokens,
                                     .count = flights_of(o),
                                     .size = { tokens, rows, o->data->train.data.goal_width, pixels } };
    step->logits = mem_alloc((size_t)measure_logits(arch, tokens, rows) * sizeof(float), err);
    return step->logits && flights_open(&step->flights, &flights, err) && open_episodes(step, o, err);
}

static bool weigh_classes(JobStep *step, const JobStepOptions *o, Err *err)
{
    const TrainSet *train = &o->data->train;
    const ModelArch *arch = o->base->adapted.arch;
    if (!class_balance(&step->class_weights, o->config, arch, &train->data, train->rows, train->count, err))
        return false;
    model_weigh_classes(step->model, step->class_weights);
    return true;
}

bool job_step_plan(JobStep *step, const JobStepOptions *o, Err *err)
{
    int64_t tokens, rows;
    if (!o->data->train.episodes && !open_plan(step, o, err))
        return false;
    take_limits(step, o, &tokens, &rows);
    step->options = options_of(o, tokens, rows);
    return true;
}

bool job_step_open(JobStep *step, const JobStepOptions *o, Err *err)
{
    const MetricsSpec spec = measure_spec(o->base->adapted.arch);
    const SpansOptions spans = settings_spans(o->config);
    metrics_init(&step->metrics, &spec);
    measure_answers_open(&step->answers, o->data->eval.data, &spans);
    const bool looks = o->data->train.data.images && o->lane->rank == 0;
    return (!looks || pictures_start(&o->data->train.pictures, step->trained_rows, o->threads, err)) &&
           take_memory(step, o, err) && weigh_classes(step, o, err);
}

bool job_step_open_texts(JobStep *step, const JobStepOptions *o, const float *values, Err *err)
{
    const Adapted *adapted = &o->base->adapted;
    const Config *c = o->config;
    const EvalSet *eval = &o->data->eval;
    const int64_t longest = longest_of(o);
    const TextEngineOptions engine = {
        .arch = adapted->arch,
        .model = step->model,
        .values = values,
        .longest = longest,
        .lanes = JOB_TEXTS,
        .stages = o->lane,
    };
    return !c->data.generate || !eval->data ||
           (generate_options(&step->generate, &c->data, c->train.seed, adapted->arch, longest, o->base->tokenizer,
                             err) &&
            text_engine_open(&step->engine, &engine, err) &&
            references_open(&step->references, eval->data, eval->rows, eval->count, err));
}

bool job_step_open_embeddings(JobStep *step, const JobStepOptions *o, Node *node, Err *err)
{
    const ModelArch *arch = o->base->adapted.arch;
    const TrainSet *train = &o->data->train;
    const StepEmbeddingsOptions options = {
        .plan = step->plan,
        .data = &train->data,
        .flights = &step->flights,
        .node = node,
        .head = &arch->head.embed,
        .C = arch->C,
        .micro_batches = o->config->parallel.micro_batches,
        .texts = step_embeddings_texts(&arch->head.embed, o->config->train.batch_size, train->examples),
    };
    return !arch->head.task->embeds || step_embeddings_open(&step->embeddings, &options, err);
}

void job_step_release(JobStep *step)
{
    step_embeddings_release(&step->embeddings);
    episode_release(&step->episode);
    text_engine_close(&step->engine);
    references_release(&step->references);
    flights_release(&step->flights);
    model_close(step->model);
    plan_close(step->plan);
    metrics_release(&step->metrics);
    measure_answers_release(&step->answers);
    free(step->logits);
    free(step->class_weights);
    *step = (JobStep){ 0 };
}
