#include "common/slots/adapted.h"

#include "common/base/digest.h"
#include "common/model/class_weights.h"
#include "common/model/sentence.h"
#include "common/slots/inits.h"

#include <stdlib.h>

EmbedHead adapted_embed(const Config *c)
{
    return (EmbedHead){ .how = c->train.embed,
                        .columns = c->data.columns.count > 0 ? c->data.columns.count : 1,
                        .scored = c->data.score != NULL,
                        .batch = c->train.batch_size };
}

/* What the run leaves open the folder says, or it is the mean, as it is. */
static bool set_embed(ModelArch *arch, const EmbedHead *given, Err *err)
{
    EmbedHead embed = *given;
    EmbedConfig *how = &embed.how;
    SentenceFolder folder;
    if (!arch->head.task->embeds)
        return true;
    if (how->pooling == POOLING_AUTO || how->normalize == NORMALIZE_AUTO) {
        if (!sentence_read(&folder, arch->folder, err))
            return false;
        if (how->pooling == POOLING_AUTO)
            how->pooling = folder.pooling == POOLING_AUTO ? POOLING_MEAN : folder.pooling;
        if (how->normalize == NORMALIZE_AUTO)
            how->normalize = folder.normalize == NORMALIZE_AUTO ? NORMALIZE_NO : folder.normalize;
    }
    arch_embed(arch, &embed);
    return true;
}

AdaptedOptions adapted_of(const Config *c)
{
    return (AdaptedOptions){ .model = c->model,
                             .model_config = c->model_config,
                             .task = c->task,
                             .labels = &c->labels,
                             .label_count = c->label_count,
                             .problem = c->problem_type,
                             .label_smoothing = c->train.label_smoothing,
                             .class_weights = c->train.class_weights,
                             .embed = adapted_embed(c),
                             .tasks = &c->tasks,
                             .precision = c->train.precision,
                             .lora = &c->lora };
}

/* What a task turns out to be is known once labels and the model's config.json are. Trainer fails there, too. */
static bool check_loss(const ModelArch *arch, const AdaptedOptions *o, Err *err)
{
    const ProblemType problem = arch->head.problem;
    if (!(o->label_smoothing > 0) || (problem != PROBLEM_REGRESSION && problem != PROBLEM_MULTI_LABEL))
        return true;
    err_set(err, ERR_INPUT, "train.label_smoothing_factor softens a class, and the goals are %s",
            problem == PROBLEM_REGRESSION ? "numbers (regression)" : "several labels a row");
    return err_hint(err, "remove train.label_smoothing_factor");
}

/* Of an adapter that was read: a run file was looked at already (common/config). */
static bool check_precision(const AdaptedOptions *o, Err *err)
{
    if (o->precision == PRECISION_FP32 || !o->lora || !(inits_shift(o->lora) || o->lora->use_dora))
        return true;
    err_set(err, ERR_INPUT, "this adapter (%s) is over a base of fp32 only",
            o->lora->use_dora ? "DoRA" : "it began with a part of its base's weights");
    err_hint(err, "--train.precision=fp32");
    return o->lora_from ? err_at(err, "%s", o->lora_from) : false;
}

bool adapted_open(Adapted *s, const AdaptedOptions *o, Err *err)
{
    *s = (Adapted){ 0 };
    if (!check_precision(o, err))
        return false;
    char *folder = model_find(o->model, err);
    if (folder)
        s->arch = arch_open(folder, o->model_config, o->task, o->labels, o->label_count, o->problem, err);
    free(folder);
    if (s->arch && o->tasks)
        arch_part_labels(s->arch, o->tasks);
    if (s->arch && !(set_embed(s->arch, &o->embed, err) && check_loss(s->arch, o, err) &&
                     class_weights_check(o->class_weights, s->arch, err))) {
        adapted_release(s);
        return false;
    }
    if (s->arch && o->lora && !(s->table = slots_open(s->arch, o->lora, err)) && o->lora_from)
        err_at(err, "%s", o->lora_from);
    if (s->arch && (s->table || !o->lora))
        return true;
    adapted_release(s);
    return false;
}

void adapted_release(Adapted *s)
{
    adapted_close_files(s);
    slots_close(s->table);
    arch_close(s->arch);
    *s = (Adapted){ 0 };
}

bool adapted_open_files(Adapted *s, Err *err)
{
    s->files = safetensors_open_model(s->arch->folder, err);
    return s->files != NULL;
}

void adapted_close_files(Adapted *s)
{
    safetensors_close(s->files);
    s->files = NULL;
}

uint64_t adapted_digest(const Adapted *s)
{
    return adapted_digest_with(s, safetensors_digest(s->files));
}

uint64_t adapted_digest_with(const Adapted *s, uint64_t files)
{
    return digest_fast_more(files, &(uint64_t){ arch_digest(s->arch) }, sizeof(uint64_t));
}
