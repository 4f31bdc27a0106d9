#include "worker/train/class_balance.h"

#include "common/base/mem.h"
#include "common/model/class_weights.h"
#include "worker/train/rows.h"
#include "worker/train/settings.h"

#include <stdlib.h>

static void count_row(int64_t *counts, const Dataset *data, int64_t row)
{
    if (!data->token_goal) {
        counts[(int64_t)data->goal[row * data->goal_width]]++;
        return;
    }
    for (int64_t t = data->start[row]; t < data->start[row + 1]; t++)
        if (data->token_goal[t] >= 0)
            counts[data->token_goal[t]]++;
}

static bool balance(double *weights, const ModelArch *arch, const Dataset *data, const uint32_t *rows, int64_t count,
                    Err *err)
{
    int64_t *counts = xcalloc((size_t)arch->head.labels, sizeof *counts);
    for (int64_t i = 0; i < count; i++)
        count_row(counts, data, rows[i]);
    const bool ok = class_weights_balance(weights, counts, arch, err);
    free(counts);
    return ok;
}

/* What several tasks count, as weights of their classes; NULL: all alike. */
static double *weigh_tasks(const DataTasks *tasks, const ModelArch *arch)
{
    bool alike = true;
    for (int t = 0; t < tasks->count; t++)
        alike = alike && tasks->items[t].weight == 1;
    if (alike)
        return NULL;
    double *weights = xcalloc((size_t)arch->head.labels, sizeof *weights);
    for (int t = 0; t < tasks->count; t++)
        for (int64_t l = 0; l < tasks->items[t].labels; l++)
            weights[tasks->items[t].first + l] = tasks->items[t].weight;
    return weights;
}

bool class_balance(double **weights, const Config *config, const ModelArch *arch, const Dataset *data,
                   const uint32_t *rows, int64_t count, Err *err)
{
    const json_t *given = config->train.class_weights;
    *weights = weigh_tasks(&config->tasks, arch);
    if (*weights || !class_weights_are_given(given))
        return true;
    *weights = xcalloc((size_t)arch->head.labels, sizeof **weights);
    if (!class_weights_are_balanced(given))
        class_weights_read(*weights, given, arch);
    else if (!balance(*weights, arch, data, rows, count, err))
        return false;
    return true;
}

/* Without a file of images that can be read a row is no example: they are looked at as the run has. */
static bool open_training(Dataset *data, Pictures *pictures, const Config *c, const ModelArch *arch,
                          const Tokenizer *tokenizer, Err *err)
{
    const DatasetOptions o = settings_data(c, &c->data.train);
    const PicturesOptions images = { .files = o.files, .skip_bad_rows = o.skip_bad_rows };
    if (c->data.train.count == 0)
        return err_set(err, ERR_INPUT, "no training data is named");
    return dataset_open(data, &o, arch, tokenizer, err) &&
           (!data->images || pictures_open(pictures, data, arch, &images, err));
}

bool class_balance_alone(double **weights, const Config *config, const ModelArch *arch, const Tokenizer *tokenizer,
                         Err *err)
{
    Dataset data = { 0 };
    Pictures pictures = { 0 };
    if (!class_weights_are_balanced(config->train.class_weights))
        return class_balance(weights, config, arch, NULL, NULL, 0, err);
    *weights = NULL;
    bool ok = open_training(&data, &pictures, config, arch, tokenizer, err);
    if (ok) {
        int64_t count;
        uint32_t *rows = rows_usable(&data, &pictures, &count);
        const bool split = config->data.validation.count == 0 && config->data.validation_split > 0;
        if (split)
            count = rows_split(rows, count, &data, config->data.validation_split, config->train.seed);
        ok = class_balance(weights, config, arch, &data, rows, count, err);
        free(rows);
    } else {
        err_hint(err, "train.class_weights is balanced, which is counted in data.train: name its files, or "
                      "--train.class_weights=[NUMBERS]");
    }
    pictures_close(&pictures);
    dataset_release(&data);
    return ok;
}
