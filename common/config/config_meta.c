#include "common/config/config_meta.h"

#include "common/base/mem.h"

void config_meta_settle(Config *c)
{
    if (c->meta.algorithm != META_NONE && c->parallel.micro_batches < 0)
        c->parallel.micro_batches = c->meta.episodes;
}

int64_t config_episode_batches(const Config *c)
{
    return c->meta.algorithm == META_NONE ? 1 : c->meta.inner_steps + (c->meta.algorithm == META_FOMAML);
}

int64_t config_step_size(const Config *c)
{
    return c->meta.algorithm == META_NONE ? c->train.batch_size : c->meta.episodes;
}

bool config_meta_check(const Config *c, Err *err)
{
    static const char lonely[] = "it is of episodes, and there are none without meta.algorithm: reptile, or fomaml";
    const MetaConfig *m = &c->meta;
    const bool meta = m->algorithm != META_NONE;
    const struct {
        bool wrong;
        const char *key, *what, *hint;
    } rows[] = {
        { !meta && m->episodes != 4, "meta.episodes", lonely, NULL },
        { !meta && m->inner_steps != 5, "meta.inner_steps", lonely, NULL },
        { !meta && m->inner_learning_rate != 1e-2, "meta.inner_learning_rate", lonely, NULL },
        { !meta && m->inner_optim != OPTIM_SGD, "meta.inner_optim", lonely, NULL },
        { c->data.shots > 0 && c->task != TASK_SEQ_CLS && c->task != TASK_IMAGE_CLS, "data.shots",
          "rows are counted by their class, and have none in this task", NULL },
        { c->data.shots > 0 && json_is_string(c->train.class_weights), "train.class_weights",
          "with data.shots there are as many rows of each class", NULL },
        { c->lora.other_head && !c->lora.init_adapter, "lora.ignore_mismatched_sizes",
          "it belongs to lora.init_adapter, and the run has none", NULL },
        { c->lora.other_head && c->labels.count == 0, "lora.ignore_mismatched_sizes",
          "the adapter's labels may be others than this run's, which are not given", "labels: [negative, positive]" },
        { meta && c->tasks.count == 0, "meta.algorithm", "episodes are of several tasks, and there are none",
          "write them into tasks: (configs/meta.yaml)" },
        { meta && c->parallel.micro_batches != m->episodes, "parallel.micro_batches",
          "the micro-batches of a step are its episodes", "leave it out: meta.episodes says how many" },
        { meta && c->parallel.pipeline > 1, "parallel.pipeline",
          "the inner steps of an episode are made by one rank, which has the whole model",
          "parallel.pipeline: 1; not supported yet with meta.algorithm" },
        { meta && c->ps.mode != PS_SYNC, "ps.mode",
          "what an episode says is of the version that it began with, and the outer step is of the newest",
          "ps.mode: sync; others are not supported yet with meta.algorithm" },
        { meta && c->lora.method == METHOD_ADALORA, "lora.method",
          "AdaLoRA shares its triplets out by gradients, and episodes give none of the adapter that is trained",
          "lora.method: lora" },
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char room[256];
        if (!rows[i].wrong)
            continue;
        err_set(err, ERR_INPUT, "%s", rows[i].what);
        if (rows[i].hint)
            err_hint(err, "%s", rows[i].hint);
        return err_at(err, "%s", config_where(c, rows[i].key, room, sizeof room));
    }
    return true;
}
