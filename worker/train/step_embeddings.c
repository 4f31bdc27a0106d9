#include "worker/train/step_embeddings.h"

#include "common/base/mem.h"
#include "common/metrics/embed_loss.h"

#include <stdlib.h>

int64_t step_embeddings_texts(const EmbedHead *head, int64_t batch_size, int64_t rows)
{
    return (batch_size < rows ? batch_size : rows) * head->columns;
}

static bool floats(float **at, int64_t count, Err *err)
{
    *at = mem_alloc((size_t)count * sizeof **at, err);
    return *at ? true : err_hint(err, "lower train.batch_size, or choose a loss that compares no rows");
}

bool step_embeddings_open(StepEmbeddings *s, const StepEmbeddingsOptions *o, Err *err)
{
    *s = (StepEmbeddings){ .plan = o->plan,
                           .data = o->data,
                           .flights = o->flights,
                           .node = o->node,
                           .head = o->head,
                           .C = o->C,
                           .M = o->micro_batches,
                           .most = o->texts,
                           .step = -1 };
    const int64_t rows = o->texts / o->head->columns;
    s->begin = xcalloc((size_t)s->M + 1, sizeof *s->begin);
    s->each = xcalloc((size_t)rows, sizeof *s->each);
    return floats(&s->score, s->most, err) && floats(&s->de, s->most * s->C, err) &&
           floats(&s->again, s->most * s->C, err) &&
           floats(&s->room, embed_loss_room(&s->head->how, rows, s->head->columns, s->C), err);
}

void step_embeddings_release(StepEmbeddings *s)
{
    free(s->begin);
    free(s->each);
    free(s->score);
    free(s->de);
    free(s->again);
    free(s->room);
    *s = (StepEmbeddings){ 0 };
}

void step_embeddings_forget(StepEmbeddings *s)
{
    s->step = -1;
}

/* Where the texts of each micro-batch stand, and their scores. */
static void lay_out(StepEmbeddings *s, int64_t step)
{
    s->begin[0] = 0;
    for (int64_t m = 0; m < s->M; m++) {
        const uint32_t *rows;
        const int64_t n = plan_micro_batch(s->plan, step, m, &rows);
        REQUIRE(s->begin[m] + n <= s->most);
        for (int64_t i = 0; i < n; i++)
            s->score[s->begin[m] + i] = s->data->goal[rows[i]];
        s->begin[m + 1] = s->begin[m] + n;
    }
}

/* False: it has no rows. */
static bool embed(StepEmbeddings *s, int64_t step, int64_t m)
{
    const uint32_t *rows;
    const int64_t longest = plan_longest(s->plan, step), n = plan_micro_batch(s->plan, step, m, &rows);
    Flight *flight = &s->flights->flights[0];
    if (n == 0)
        return false;
    flight->batch = batch_fill(&flight->room, s->data, rows, n, 0);
    flight->batch.longest = longest;
    model_forward(s->flights->model, 0, &flight->batch, step, s->node->embeddings + s->begin[m] * s->C);
    return true;
}

/* Micro-batch i of those that the node has not to compute. */
static int64_t other_of(Range range, int64_t i)
{
    return i < range.begin ? i : i + range.end - range.begin;
}

void step_embeddings_make(StepEmbeddings *s, int64_t step, Range range, Range mine, bool *ready)
{
    const int64_t others = s->M - (range.end - range.begin), size = s->node->size, rank = s->node->rank;
    *ready = false;
    if (s->step == step)
        return;
    lay_out(s, step);
    for (int64_t i = others * rank / size; i < others * (rank + 1) / size; i++)
        embed(s, step, other_of(range, i));
    for (int64_t m = mine.end - 1; m >= mine.begin; m--) /* the first comes last: its forward is kept */
        *ready = embed(s, step, m) || *ready;
    node_gate(s->node);
    const EmbedBatch batch = { s->node->embeddings, s->score, s->begin[s->M] / s->head->columns, s->head->columns,
                               s->C };
    model_embed_loss(s->each, s->de, &batch, &s->head->how, s->room);
    s->step = step;
}

const float *step_embeddings_gradient(const StepEmbeddings *s, int64_t m)
{
    return s->de + s->begin[m] * s->C;
}

BatchLoss step_embeddings_loss(const StepEmbeddings *s, int64_t m)
{
    const int64_t columns = s->head->columns, first = s->begin[m] / columns, end = s->begin[m + 1] / columns;
    BatchLoss loss = { .count = end - first, .weight = (double)(end - first) };
    for (int64_t b = first; b < end; b++)
        loss.sum += s->each[b];
    return loss;
}
