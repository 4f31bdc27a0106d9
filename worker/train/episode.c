#include "worker/train/episode.h"

#include "common/base/mem.h"
#include "common/optim/adamw.h"
#include "common/optim/sgd.h"

#include <stdlib.h>
#include <string.h>

/* A batch on its way through the model. */
typedef struct OneBatch {
    const EpisodeRoom *room;
    const uint32_t *rows; /* [batch_size] */
    float *gradient; /* [slots] where it goes */
    BatchLoss loss;
    int64_t tokens;
} OneBatch;

int64_t episode_copies(const MetaConfig *meta)
{
    return meta->algorithm == META_NONE ? 0 : meta->inner_optim == OPTIM_ADAMW ? 4 : 2;
}

bool episode_open(EpisodeRoom *room, const EpisodeOptions *o, Err *err)
{
    *room = (EpisodeRoom){ .o = *o };
    float **parts[] = { &room->copy, &room->gradient, &room->m, &room->v };
    for (int64_t i = 0; i < episode_copies(o->meta); i++)
        if (!(*parts[i] = mem_alloc((size_t)o->slots * sizeof(float), err)))
            return false;
    return true;
}

void episode_release(EpisodeRoom *room)
{
    free(room->copy);
    free(room->gradient);
    free(room->m);
    free(room->v);
    *room = (EpisodeRoom){ 0 };
}

/* ---- one batch -------------------------------------------------------------------------------------- */

static void fill(void *self, int64_t i, Flight *flight)
{
    const OneBatch *one = self;
    const EpisodeOptions *o = &one->room->o;
    (void)i;
    flight->batch = batch_fill(&flight->room, o->data, one->rows, o->train->batch_size, 0);
    for (int64_t b = 0; b < flight->batch.B; b++) {
        const int64_t T = flight->batch.start[b + 1] - flight->batch.start[b];
        flight->batch.longest = T > flight->batch.longest ? T : flight->batch.longest;
    }
}

static void begin(void *self, int64_t i, Flight *flight)
{
    (void)self;
    (void)i;
    (void)flight; /* texts are there */
}

static float *place(void *self, int64_t i)
{
    const OneBatch *one = self;
    (void)i;
    return one->gradient;
}

static void end(void *self, int64_t i, const Flight *flight, const BatchLoss *loss)
{
    OneBatch *one = self;
    (void)i;
    one->loss = *loss;
    one->tokens = batch_tokens(&flight->batch);
}

/* gradient[slots] (written) = of the mean loss of the batch, at the copy. Returns the mean loss. */
static double mean_gradient(const EpisodeRoom *room, const uint32_t *rows, int64_t step, float *gradient,
                            int64_t *tokens)
{
    OneBatch one = { .room = room, .rows = rows, .gradient = gradient };
    const FlightsWork work = {
        .self = &one, .step = step, .count = 1, .fill = fill, .begin = begin, .room = place, .end = end
    };
    model_bind(room->o.model, room->copy);
    flights_train(room->o.flights, &work);
    adamw_mean(gradient, room->o.slots, one.loss.weight);
    *tokens += one.tokens;
    return one.loss.sum / one.loss.weight;
}

/* ---- an episode --------------------------------------------------------------------------------------- */

/* The t-th inner step, from 1. */
static void learn(const EpisodeRoom *room, int64_t t)
{
    const TrainConfig *train = room->o.train;
    const double rate = room->o.meta->inner_learning_rate;
    const AdamW adam = { rate, train->adam_beta1, train->adam_beta2, train->adam_epsilon, 0, t };
    if (room->m)
        adamw_update(room->copy, room->m, room->v, room->gradient, room->o.slots, &adam);
    else
        sgd_update(room->copy, room->gradient, room->o.slots, rate, 0);
}

static double weight_of(const EpisodeOptions *o, uint32_t row)
{
    const DataTask *task = o->tasks->items;
    while ((int64_t)o->data->goal[row] >= task->first + task->labels)
        task++;
    return task->weight;
}

/* out = weight * what the outer step learns from. Returns the loss. */
static double look_back(EpisodeRoom *room, const float *values, const uint32_t *rows, int64_t step, double loss,
                        double weight, float *out, int64_t *tokens)
{
    const int64_t n = room->o.slots;
    if (room->o.meta->algorithm == META_FOMAML)
        loss = mean_gradient(room, rows, step, out, tokens);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = values[i] - room->copy[i];
    for (int64_t i = 0; weight != 1 && i < n; i++)
        out[i] = (float)(weight * (double)out[i]);
    return loss;
}

bool episode_train(EpisodeRoom *room, const float *values, int64_t step, int64_t m, float *out, NodeSum *sum)
{
    const EpisodeOptions *o = &room->o;
    const uint32_t *rows;
    const int64_t n = episodes_rows(o->episodes, step, m, &rows), size = o->train->batch_size;
    const size_t bytes = (size_t)o->slots * sizeof(float);
    if (n == 0)
        return false;
    const double weight = weight_of(o, rows[0]);
    double loss = 0;
    int64_t tokens = 0, t = 0;
    memcpy(room->copy, values, bytes);
    if (room->m) {
        memset(room->m, 0, bytes);
        memset(room->v, 0, bytes);
    }
    for (; t < o->meta->inner_steps; t++) {
        loss = mean_gradient(room, rows + t * size, step * (n / size) + t, room->gradient, &tokens);
        learn(room, t + 1);
    }
    loss = look_back(room, values, rows + t * size, step * (n / size) + t, loss, weight, out, &tokens);
    *sum = (NodeSum){ .range = { m, m + 1 }, .tokens = tokens, .weight = weight, .loss = weight * loss };
    return true;
}
