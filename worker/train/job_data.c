#include "worker/train/job_data.h"

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/config_meta.h"
#include "common/plan/packing.h"
#include "common/plan/plan.h"
#include "worker/eval/measure.h"
#include "worker/train/rows.h"
#include "worker/train/settings.h"
#include "worker/train/task_rows.h"

#include <stdlib.h>

/* ---- files ------------------------------------------------------------------------------- */

static bool open_set(Dataset *data, const JobDataOptions *o, const StringList *files, Err *err)
{
    const DatasetOptions options = settings_data(o->config, files);
    return dataset_open(data, &options, o->arch, o->tokenizer, err);
}

static bool open_sets(JobData *data, const JobDataOptions *o, Err *err)
{
    const DataConfig *d = &o->config->data;
    return open_set(&data->train.data, o, &d->train, err) &&
           (d->validation.count == 0 || open_set(&data->eval.own, o, &d->validation, err));
}

/* Images: those that are trained on may be augmented, those that are evaluated are not. */
static bool open_pictures(JobData *data, const JobDataOptions *o, Err *err)
{
    const DataConfig *d = &o->config->data;
    const bool held = d->validation.count > 0;
    TrainSet *train = &data->train;
    EvalSet *eval = &data->eval;
    PicturesOptions p = { &d->train, d->random_crop, d->random_flip, o->config->train.seed, d->skip_bad_rows };
    if (!train->data.images)
        return true;
    if (!pictures_open(&train->pictures, &train->data, o->arch, &p, err))
        return false;
    p = (PicturesOptions){ held ? &d->validation : &d->train, false, false, 0, d->skip_bad_rows };
    return (!held && d->validation_split <= 0) ||
           pictures_open(&eval->pictures, held ? &eval->own : &train->data, o->arch, &p, err);
}

static void warn(const JobData *data, const JobDataOptions *o)
{
    const Dataset *train = &data->train.data, *own = &data->eval.own;
    const Pictures *shown = &data->train.pictures, *held = &data->eval.pictures;
    const int64_t images =
        shown->count - shown->good_count + (o->config->data.validation.count > 0 ? held->count - held->good_count : 0);
    const int64_t skipped = train->skipped + own->skipped + images, shared = train->shared + own->shared;
    const char *odd = measure_odd_tag(o->arch);
    if (skipped > 0)
        log_warn("data", "skipped_rows=%lld", (long long)skipped);
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
static bool open_files(JobData *data, const JobDataOptions *o, Err *err)
{
    const bool first = o->groups->node.rank == 0;
    bool ok = true;
    for (int turn = 0; turn < 2; turn++) {
        if (first == (turn == 0))
            ok = open_sets(data, o, err) && open_pictures(data, o, err);
        if (!group_agree(&o->groups->job, ok))
            return false;
    }
    if (o->groups->job.rank == 0)
        warn(data, o);
    return true;
}

/* ---- which rows, and how they are cut ------------------------------------------------------ */

/* data.shots: of what is trained on a few rows of each class. */
static bool draw_shots(TrainSet *train, const JobDataOptions *o, Err *err)
{
    const HeadArch *head = &o->arch->head;
    const DataConfig *d = &o->config->data;
    if (d->shots < 0)
        return true;
    if (head->problem != PROBLEM_SINGLE_LABEL) {
        err_set(err, ERR_INPUT, "rows are counted by their class, and have several, or a number");
        return err_at(err, "data.shots");
    }
    const int64_t n =
        rows_of_classes(train->rows, train->count, &train->data, head, d->shots, o->config->train.seed, err);
    train->count = n < 0 ? train->count : n;
    return n >= 0;
}

/* What is trained on and what is evaluated. */
static bool split(JobData *data, const JobDataOptions *o, Err *err)
{
    const Config *c = o->config;
    TrainSet *train = &data->train;
    EvalSet *eval = &data->eval;
    train->rows = rows_usable(&train->data, &train->pictures, &train->count);
    if (c->data.validation.count > 0) {
        eval->data = &eval->own;
        eval->own_rows = rows_usable(&eval->own, &eval->pictures, &eval->count);
        eval->rows = eval->own_rows;
    } else if (c->data.validation_split > 0) {
        const int64_t count = train->count;
        train->count = rows_split(train->rows, count, &train->data, c->data.validation_split, c->train.seed);
        eval->data = &train->data;
        eval->count = count - train->count;
        eval->rows = train->rows + train->count;
    }
    eval->examples = eval->data ? eval->count / eval->data->columns : 0;
    if (!draw_shots(train, o, err))
        return false;
    if (c->tasks.count > 0)
        train->rows = task_rows(&train->data, c, train->rows, &train->count);
    return true;
}

/* An example of several texts is the pack of them. */
static int64_t pack_columns(TrainSet *train)
{
    const int64_t columns = train->data.columns, examples = train->count / columns;
    train->pack_ends = xmalloc((size_t)examples * sizeof *train->pack_ends);
    for (int64_t i = 0; i < examples; i++)
        train->pack_ends[i] = (i + 1) * columns;
    return examples;
}

/* data.packing: an example is a pack of rows. */
static void pack(TrainSet *train, const DataConfig *d)
{
    const int64_t *start = train->data.start;
    train->examples = train->count;
    train->longest = train->data.longest;
    if (!d->packing && train->data.columns == 1)
        return;
    train->examples = d->packing ? packing_group(train->rows, train->count, start, d->block_size, &train->pack_ends)
                                 : pack_columns(train);
    train->longest = 0;
    for (int64_t p = 0, k = 0; p < train->examples; p++) {
        int64_t tokens = 0;
        for (; k < train->pack_ends[p]; k++)
            tokens += start[train->rows[k] + 1] - start[train->rows[k]];
        train->longest = tokens > train->longest ? tokens : train->longest;
    }
}

/* meta.algorithm: an example of a step is an episode. */
static bool cut_episodes(TrainSet *train, const Config *c, Err *err)
{
    const int tasks = c->tasks.count;
    if (c->meta.algorithm == META_NONE)
        return true;
    int64_t *ends = xcalloc((size_t)tasks, sizeof *ends);
    const char **names = xcalloc((size_t)tasks, sizeof *names);
    task_ends(ends, &train->data, c, train->rows, train->count);
    for (int t = 0; t < tasks; t++)
        names[t] = c->tasks.items[t].name;
    const EpisodesOptions o = { .rows = train->rows,
                                .ends = ends,
                                .names = names,
                                .tasks = tasks,
                                .batch_size = c->train.batch_size,
                                .batches = config_episode_batches(c),
                                .per_step = c->meta.episodes,
                                .seed = c->train.seed,
                                .shuffle = c->data.shuffle };
    train->episodes = episodes_open(&o, err);
    if (train->episodes)
        train->examples = episodes_count(train->episodes);
    free(names);
    free(ends);
    return train->episodes != NULL;
}

static int64_t tokens_of(const EvalSet *eval, int64_t begin, int64_t end)
{
    int64_t sum = 0;
    for (int64_t k = begin; k < end; k++)
        sum += eval->data->start[eval->rows[k] + 1] - eval->data->start[eval->rows[k]];
    return sum;
}

static void cut_chunks(EvalSet *eval, const JobDataOptions *o)
{
    const MetricsSpec spec = measure_spec(o->arch);
    eval->most_tokens = eval->most_rows = 1;
    if (eval->data)
        eval->chunks = plan_chunks(eval->data->start, eval->rows, eval->count, eval->data->columns,
                                   config_piece_tokens(o->config), &eval->chunk_ends);
    for (int64_t i = 0, begin = 0; i < eval->chunks; begin = eval->chunk_ends[i++]) {
        const int64_t rows = eval->chunk_ends[i] - begin, tokens = tokens_of(eval, begin, eval->chunk_ends[i]);
        const int64_t width = metrics_width(&spec, rows / eval->data->columns);
        eval->most_rows = rows > eval->most_rows ? rows : eval->most_rows;
        eval->most_tokens = tokens > eval->most_tokens ? tokens : eval->most_tokens;
        eval->width = width > eval->width ? width : eval->width;
    }
}

int64_t job_data_piece(const EvalSet *eval, int64_t begin, int64_t end)
{
    int64_t at = begin + 1;
    if (!eval->data->notes)
        return end;
    while (at < end && tokens_of(eval, begin, at + 1) <= eval->most_tokens)
        at++;
    return at;
}

/* Chunks anew, of whole questions. What is computed at a time is no more than before. */
static void cut_questions(EvalSet *eval)
{
    free(eval->chunk_ends);
    eval->chunks = plan_chunks_of_groups(eval->data->start, dataset_groups(eval->data), eval->rows, eval->count,
                                         eval->most_tokens, &eval->chunk_ends);
    eval->most_rows = 1;
    for (int64_t i = 0, begin = 0, end; i < eval->chunks; i++)
        for (; begin < eval->chunk_ends[i]; begin = end) {
            end = job_data_piece(eval, begin, eval->chunk_ends[i]);
            eval->most_rows = end - begin > eval->most_rows ? end - begin : eval->most_rows;
        }
}

/* ---- the whole ----------------------------------------------------------------------------- */

bool job_data_open(JobData *data, const JobDataOptions *o, Err *err)
{
    if (!open_files(data, o, err))
        return false;
    if (!group_agree(&o->groups->job, split(data, o, err)))
        return false;
    pack(&data->train, &o->config->data);
    if (!group_agree(&o->groups->job, cut_episodes(&data->train, o->config, err)))
        return false;
    cut_chunks(&data->eval, o);
    if (data->eval.data && data->eval.data->notes)
        cut_questions(&data->eval);
    return true;
}

void job_data_release(JobData *data)
{
    pictures_close(&data->train.pictures);
    pictures_close(&data->eval.pictures);
    dataset_release(&data->train.data);
    dataset_release(&data->eval.own);
    free(data->train.rows);
    free(data->train.pack_ends);
    episodes_close(data->train.episodes);
    free(data->eval.own_rows);
    free(data->eval.chunk_ends);
    *data = (JobData){ 0 };
}

int64_t job_data_longest(const JobData *data)
{
    const int64_t train = data->train.data.longest, own = data->eval.own.longest;
    return train > own ? train : own;
}

static uint64_t digest_of(const Dataset *data, const Pictures *pictures)
{
    const uint64_t pixels = pictures->pixels ? pixels_digest(pictures->pixels) : 0;
    return pixels ? digest_fast_more(data->digest, &pixels, sizeof pixels) : data->digest;
}

uint64_t job_data_train_digest(const JobData *data)
{
    return digest_of(&data->train.data, &data->train.pictures);
}

uint64_t job_data_eval_digest(const JobData *data)
{
    const EvalSet *eval = &data->eval;
    return eval->data ? digest_fast_more(digest_of(eval->data, &eval->pictures), eval->chunk_ends,
                                         (size_t)eval->chunks * sizeof *eval->chunk_ends)
                      : 0;
}
