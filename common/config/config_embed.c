#include "common/config/config_embed.h"

#include "common/base/mem.h"
#include "common/config/config_table.h"

#include <string.h>

/* What the losses are of. */
static const struct {
    int least, most; /* texts of a row */
    bool scored;
    const char *texts;
    const char *figures[4];
} losses[] = {
    [EMBED_NEGATIVES] = { 2,
                          64,
                          false,
                          "an anchor and its positive, and any number of negatives behind them",
                          { "recall_at_1", "recall_at_5", "mrr_at_10", NULL } },
    [EMBED_COSENT] = { 2, 2, true, "the two texts that are compared", { "pearson_cosine", "spearman_cosine", NULL } },
    [EMBED_COSINE] = { 2, 2, true, "the two texts that are compared", { "pearson_cosine", "spearman_cosine", NULL } },
    [EMBED_TRIPLET] = { 3, 3, false, "an anchor, its positive and a negative", { "cosine_accuracy", NULL } },
};

const char *const *config_embed_metrics(const Config *c)
{
    return losses[c->train.embed.loss].figures;
}

/* Its keys, where something else is learnt. */
static bool check_off(const Config *c, Err *err)
{
    static const char *const keys[] = { "data.columns", "data.score",     "train.loss",    "train.loss_scale",
                                        "train.margin", "train.distance", "train.pooling", "train.normalize" };
    for (size_t i = 0; i < LENGTH(keys); i++) {
        const ConfigKey *row = config_find(keys[i]);
        Text value = { 0 };
        config_print_key(c, keys[i], &value);
        const bool set = row && strcmp(value.data, row->initial) != 0;
        text_release(&value);
        if (!set)
            continue;
        err_set(err, ERR_INPUT, "%s is a key of FEATURE_EXTRACTION, the task is %s", keys[i],
                config_task_name(c->task));
        err_hint(err, "set task_type: FEATURE_EXTRACTION, or remove the key");
        return config_at_keys(c, keys[i], "task_type", err);
    }
    return true;
}

static bool check_names(const Config *c, Err *err)
{
    const StringList *columns = &c->data.columns;
    for (int i = 0; i < columns->count; i++) {
        bool twice = c->data.score && strcmp(c->data.score, columns->items[i]) == 0;
        for (int k = 0; k < i; k++)
            twice = twice || strcmp(columns->items[k], columns->items[i]) == 0;
        if (!twice)
            continue;
        err_set(err, ERR_INPUT, "column '%s' is used twice", columns->items[i]);
        err_hint(err, "name the columns of your data");
        return config_at_keys(c, "data.columns", "data.score", err);
    }
    return true;
}

static bool check_rows(const Config *c, Err *err)
{
    const EmbedLossKind loss = c->train.embed.loss;
    const int count = c->data.columns.count;
    if (count < losses[loss].least || count > losses[loss].most) {
        err_set(err, ERR_INPUT,
                count == 0 ? "which columns hold the texts is not said" : "this loss is not of %d texts", count);
        err_hint(err, "data.columns: %s", losses[loss].texts);
        return config_at_keys(c, "data.columns", "train.loss", err);
    }
    if (losses[loss].scored != (c->data.score != NULL)) {
        err_set(err, ERR_INPUT,
                losses[loss].scored ? "which column says how alike the texts are is not said"
                                    : "this loss does not read a score");
        err_hint(err, losses[loss].scored ? "data.score: the column of the number"
                                          : "remove data.score, or set train.loss: cosent or cosine_mse");
        return config_at_keys(c, "data.score", "train.loss", err);
    }
    return check_names(c, err);
}

/* What a step of embeddings does not do. */
static bool check_others(const Config *c, Err *err)
{
    if (c->lora.mode == MODE_FULL) {
        err_set(err, ERR_INPUT, "embeddings are learnt by an adapter, not by every weight");
        err_hint(err, "train.mode: lora");
        return config_at_keys(c, "train.mode", "task_type", err);
    }
    if (c->parallel.pipeline > 1) {
        err_set(err, ERR_INPUT, "a model that embeds is not cut into stages");
        err_hint(err, "parallel.pipeline: 1");
        return config_at_keys(c, "parallel.pipeline", "task_type", err);
    }
    return true;
}

bool config_check_embed(const Config *c, Err *err)
{
    if (c->task != TASK_FEATURE_EXTRACTION)
        return check_off(c, err);
    return (c->data.train.count == 0 || check_rows(c, err)) && check_others(c, err);
}
