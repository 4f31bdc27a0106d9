#include "ps/card.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/version.h"
#include "common/base/visible.h"
#include "common/plot/picture.h"
#include "ps/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MADE_BY "made by lora " /* version; no other README.md says so */

enum { MOST_NAMED = 20 }; /* labels in the card; labels.json has all */

/* ---- labels ---------------------------------------------------------------------------------- */

static bool has_labels(const Run *run)
{
    return run->adapted.arch->head.label_names != NULL;
}

/* The names, in the order of the head's outputs. */
static bool write_labels(const Run *run, const char *folder, Err *err)
{
    if (!has_labels(run))
        return true;
    json_t *names = json_array();
    for (int64_t i = 0; i < run->adapted.arch->head.labels; i++)
        json_array_append_new(names, json_string(run->adapted.arch->head.label_names[i]));
    char *path = path_join(folder, "labels.json");
    const bool ok = json_write(path, names, err);
    free(path);
    json_decref(names);
    return ok;
}

static void add_labels(const Run *run, Text *card)
{
    if (!has_labels(run))
        return;
    text_adds(card, "- labels: ");
    for (int64_t i = 0; i < run->adapted.arch->head.labels && i < MOST_NAMED; i++) {
        text_adds(card, i ? ", " : "");
        visible_add(card, run->adapted.arch->head.label_names[i]);
    }
    if (run->adapted.arch->head.labels > MOST_NAMED)
        text_addf(card, " and %lld more", (long long)run->adapted.arch->head.labels - MOST_NAMED);
    text_adds(card, " (`labels.json`)\n");
}

/* ---- parts ------------------------------------------------------------------------------------ */

/* Such a text is Python's, too. Owned. */
static char *quoted(const char *bare)
{
    json_t *text = json_string(bare);
    char *out = json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    json_decref(text);
    return out;
}

/* A whole model says itself what it is. */
static void add_model_code(const Run *run, const char *folder, Text *card)
{
    const ModelArch *arch = run->adapted.arch;
    char *place = quoted(folder);
    text_addf(card,
              "\n## Use\n\n```python\nimport transformers\nmodel = transformers.AutoModelFor%s.from_pretrained(%s)\n",
              arch->head.task->auto_class, place);
    text_addf(card, "%s = transformers.Auto%s.from_pretrained(%s)\n```\n", arch->image_size ? "processor" : "tokenizer",
              arch->image_size ? "ImageProcessor" : "Tokenizer", place);
    free(place);
}

/* What Transformers has to be told of the base's files: where a task's class gives the body another prefix than they
 * have, it finds none of them, and begins anew without a word. */
static char *mapping(const ModelArch *arch)
{
    const char *files = arch->family->prefix;
    if (!*arch->prefix || strcmp(arch->prefix, files) == 0)
        return xstrdup("");
    return xprintf(", key_mapping={r\"^%.*s\\.\": \"%s\"}", (int)strlen(files) - 1, files, arch->prefix);
}

static void add_code(const Run *run, const char *folder, Text *card)
{
    const Task *task = run->adapted.arch->head.task;
    if (run->adapted.table->whole) {
        add_model_code(run, folder, card);
        return;
    }
    char *place = quoted(folder), *model = quoted(run->config.model), *names = mapping(run->adapted.arch);
    text_addf(card, "\n## Use\n\n```python\nimport %speft, transformers\n", has_labels(run) ? "json, " : "");
    char head[160] = "";
    if (has_labels(run)) {
        text_addf(card, "labels = json.load(open(%s + \"/labels.json\"))\n", place);
        snprintf(head, sizeof head, "%s",
                 ", ignore_mismatched_sizes=True, id2label=dict(enumerate(labels)), "
                 "label2id={name: i for i, name in enumerate(labels)}");
    } else if (!task->speaks && !task->embeds) {
        snprintf(head, sizeof head, ", ignore_mismatched_sizes=True, num_labels=%lld",
                 (long long)run->adapted.arch->head.labels);
    }
    if (!task->peft_name)
        text_addf(card,
                  "base = transformers.AutoModelFor%s.from_pretrained(%s%s)\n"
                  "model = peft.PeftModel.from_pretrained(base, %s)\n",
                  task->auto_class, model, head, place);
    else
        text_addf(card,
                  "model = peft.AutoPeftModelFor%s.from_pretrained(%s%s%s)\n"
                  "tokenizer = transformers.AutoTokenizer.from_pretrained(%s)\n",
                  task->auto_class, place, head, names, place);
    text_adds(card, "```\n");
    free(names);
    free(place);
    free(model);
}

static void add_metrics(const Run *run, Text *card)
{
    const json_t *entry = history_last_with(run, "eval_loss");
    if (!entry)
        return;
    text_adds(card, "\n## Evaluation\n\n| metric | value |\n|---|---|\n");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)entry, key, value)
    {
        if (text_starts(key, "eval_") && !text_ends(key, "_runtime") && !text_ends(key, "_per_second"))
            text_addf(card, "| %s | %.6g |\n", key + strlen("eval_"), json_number_value(value));
    }
}

static void add_training(const Run *run, Text *card)
{
    const TrainConfig *t = &run->config.train;
    const LoraConfig *l = &run->config.lora;
    text_adds(card, "\n## Training\n\n");
    for (int i = 0; i < run->config.data.train.count; i++)
        text_addf(card, "- data: %s\n", path_name(run->config.data.train.items[i]));
    add_labels(run, card);
    text_addf(card,
              "- steps: %lld of %lld examples, epoch %.3g\n- learning rate: %g, weight decay %g, "
              "clipped at %g\n",
              (long long)run->state.version, (long long)t->batch_size, history_epoch(run), t->learning_rate,
              t->weight_decay, t->max_grad_norm);
    if (!run->adapted.table->whole)
        text_addf(card, "- rank %lld, alpha %g, dropout %g\n", (long long)l->r, l->alpha, l->dropout);
    text_addf(card, "- seed: %llu\n- " MADE_BY "%s", (unsigned long long)t->seed, LORA_VERSION);
    if (run->config.parallel.arithmetic)
        text_addf(card, ", arithmetic %s", run->config.parallel.arithmetic);
    text_adds(card, "\n");
}

bool card_is_own(const char *folder)
{
    char *path = path_join(folder, "README.md");
    Err none = { 0 };
    char *text = file_exists(path) ? file_read(path, NULL, &none) : NULL;
    const bool own = !file_exists(path) || (text && strstr(text, MADE_BY));
    free(text);
    free(path);
    return own;
}

static void add_head(const Run *run, Text *card)
{
    const char *base = run->config.model, *task = config_task_name(run->config.task);
    const long long trained = run->adapted.table->trainable, all = arch_parameters(run->adapted.arch);
    if (run->adapted.table->whole)
        text_addf(card,
                  "---\nbase_model: %s\nlibrary_name: transformers\n---\n\n# %s, trained whole\n\n"
                  "A %s model: all of its %lld parameters were trained.\n",
                  base, path_name(base), task, all);
    else
        text_addf(card,
                  "---\nbase_model: %s\nlibrary_name: peft\ntags:\n- lora\n---\n\n# LoRA adapter of %s\n\n"
                  "A %s adapter: %lld trainable parameters of %lld.\n",
                  base, path_name(base), task, trained, all);
}

bool card_write(const Run *run, const char *folder, Err *err)
{
    Text card = { 0 }, picture = { 0 };
    const bool drawn = picture_loss(&picture, run->state.history);
    add_head(run, &card);
    add_code(run, folder, &card);
    add_training(run, &card);
    if (drawn)
        text_adds(&card, "\n![loss by step](loss.svg)\n");
    add_metrics(run, &card);
    char *path = path_join(folder, "README.md"), *svg = path_join(folder, "loss.svg");
    const bool own = card_is_own(folder);
    const bool ok = write_labels(run, folder, err) && (!drawn || file_write(svg, picture.data, picture.size, err)) &&
                    (!own || file_write(path, card.data, card.size, err));
    if (ok && !own)
        log_warn("save", "there is a README.md that is no card of ours, and stays path=%s", path);
    free(path);
    free(svg);
    text_release(&card);
    text_release(&picture);
    return ok;
}
