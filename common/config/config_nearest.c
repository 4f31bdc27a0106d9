/* What a key that does not exist was probably meant to be: a name of elsewhere, the right name in
 * another section, a slip of the pen in the last part, or a name cut short. Nothing else: a wrong
 * guess misleads more than none. */
#include "common/config/config_names.h"
#include "common/config/config_table.h"

#include <stdlib.h>
#include <string.h>

/* What other programs call it. */
static const char *const foreign[][2] = {
    { "rank", "lora.r" },
    { "lora_r", "lora.r" },
    { "lora_rank", "lora.r" },
    { "alpha", "lora.lora_alpha" },
    { "dropout", "lora.lora_dropout" },
    { "lora_target", "lora.target_modules" },
    { "lr", "train.learning_rate" },
    { "epochs", "train.num_train_epochs" },
    { "num_epochs", "train.num_train_epochs" },
    { "steps", "train.max_steps" },
    { "scheduler", "train.lr_scheduler_type" },
    { "lr_scheduler", "train.lr_scheduler_type" },
    { "optimizer", "train.optim" },
    { "inner_lr", "meta.inner_learning_rate" },
    { "adaptation_steps", "meta.inner_steps" },
    { "meta_batch_size", "meta.episodes" },
    { "micro_batch_size", "train.per_device_train_batch_size" },
    { "train_file", "data.train" },
    { "train_data", "data.train" },
    { "validation_file", "data.validation" },
    { "eval", "data.validation" },
    { "dev", "data.validation" },
    { "val", "data.validation" },
    { "valid", "data.validation" },
    { "eval_file", "data.validation" },
    { "val_set_size", "data.validation_split" },
    { "test_size", "data.validation_split" },
    { "test_file", "data.test" },
    { "max_seq_length", "data.max_length" },
    { "max_len", "data.max_length" },
    { "cutoff_len", "data.max_length" },
    { "text_column", "data.text" },
    { "label_column", "data.label" },
    { "completion_column", "data.completion" },
    { "max_source_length", "data.max_length" },
    { "source", "data.prompt" },
    { "source_column", "data.prompt" },
    { "target_column", "data.completion" },
    { "summary_column", "data.completion" },
    { "ner_tags", "data.tags" },
    { "words", "data.tokens" },
    { "question_column", "data.question" },
    { "context_column", "data.context" },
    { "answer_column", "data.answers" },
    { "squad_v2", "data.version_2_with_negative" },
    { "stride", "data.doc_stride" },
    { "target", "lora.target_modules" },
    { "horizontal_flip", "data.random_flip" },
    { "num_labels", "labels" },
    { "model_name_or_path", "model" },
    { "model_name", "model" },
    { "base_model", "model" },
};
enum { FOREIGN = sizeof foreign / sizeof foreign[0] };

static const char *const foreign_sections[][2] = {
    { "peft", "lora" },
    { "lora_config", "lora" },
    { "peft_config", "lora" },
    { "training", "train" },
    { "trainer", "train" },
    { "training_args", "train" },
    { "training_arguments", "train" },
    { "dataset", "data" },
    { "datasets", "data" },
    { "server", "ps" },
    { "maml", "meta" },
    { "reptile", "meta" },
};

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* "train.fp16" and "train.bf16": the same section; "seed" and "model": none. */
static bool same_section(const char *a, const char *b)
{
    const size_t n = (size_t)(last_part(a) - a);
    return n == (size_t)(last_part(b) - b) && strncmp(a, b, n) == 0;
}

/* A name that would be accepted, with some value. */
static bool is_useful(const PeerName *row)
{
    return row->kind != NAME_ONLY && row->kind != NAME_LATER;
}

static const char *right_elsewhere(const char *name)
{
    const char *part = last_part(name);
    int keys, names;
    const ConfigKey *key = config_keys(&keys);
    const PeerName *row = config_names(&names);
    for (int i = 0; i < keys; i++)
        if (strcmp(last_part(key[i].name), part) == 0)
            return key[i].name;
    for (int i = 0; i < FOREIGN; i++)
        if (strcmp(foreign[i][0], part) == 0)
            return foreign[i][1];
    for (int i = 0; i < names; i++)
        if (is_useful(&row[i]) && strcmp(last_part(row[i].name), part) == 0)
            return row[i].name;
    return NULL;
}

typedef struct Best {
    const char *name;
    int distance;
} Best;

static void consider(Best *best, const char *part, const char *spelling, const char *name)
{
    const int d = text_distance(part, spelling);
    if (d <= text_slips(part) && (!best->name || d < best->distance))
        *best = (Best){ name, d };
}

static const char *misspelt(const char *name, bool anywhere)
{
    const char *part = last_part(name);
    int keys, names;
    const ConfigKey *key = config_keys(&keys);
    const PeerName *row = config_names(&names);
    Best best = { 0 };
    for (int i = 0; i < keys; i++)
        if (anywhere || same_section(key[i].name, name))
            consider(&best, part, last_part(key[i].name), key[i].name);
    for (int i = 0; i < names; i++)
        if (anywhere ? is_useful(&row[i]) : same_section(row[i].name, name))
            consider(&best, part, last_part(row[i].name), row[i].name);
    for (int i = 0; i < FOREIGN; i++)
        if (anywhere || same_section(foreign[i][1], name))
            consider(&best, part, foreign[i][0], foreign[i][1]);
    return best.name;
}

/* "target" for target_modules, "total_limit" for save_total_limit; only where one key alone is meant. */
static const char *cut_short(const char *name)
{
    const char *part = last_part(name), *found = NULL;
    const size_t n = strlen(part);
    int count;
    const ConfigKey *keys = config_keys(&count);
    for (int i = 0; i < count; i++) {
        const char *whole = last_part(keys[i].name);
        const size_t size = strlen(whole);
        const bool begins = size > n && whole[n] == '_' && strncmp(whole, part, n) == 0;
        const bool ends = size > n && whole[size - n - 1] == '_' && text_ends(whole, part);
        if (!same_section(keys[i].name, name) || n < 3 || (!begins && !ends))
            continue;
        if (found)
            return NULL;
        found = keys[i].name;
    }
    return found;
}

static const char *section(const char *name)
{
    Best best = { 0 };
    const char *const *sections = config_sections();
    for (; *sections; sections++)
        consider(&best, name, *sections, *sections);
    for (size_t i = 0; i < sizeof foreign_sections / sizeof *foreign_sections; i++)
        consider(&best, name, foreign_sections[i][0], foreign_sections[i][1]);
    return best.name;
}

const char *config_nearest(const char *name)
{
    const char *near = right_elsewhere(name);
    if (!near)
        near = misspelt(name, false);
    if (!near && !strchr(name, '.'))
        near = section(name);
    if (!near)
        near = cut_short(name);
    return near ? near : misspelt(name, true);
}

bool config_unknown(const char *name, Err *err)
{
    const char *near = config_nearest(name);
    err_set(err, ERR_INPUT, "unknown key '%.80s'", name);
    if (near)
        return err_hint(err, "did you mean '%s'?", near);
    return err_hint(err, "--help=keys lists the keys");
}
