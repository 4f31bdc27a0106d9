#include "launch/trials/contenders.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CHANGES = 4 };
static const double FULL_RATE = 0.1; /* of LoRA's learning rate */

struct Contender {
    const char *name;
    const char *changes[MOST_CHANGES]; /* of the run file, beside train.mode */
    bool full; /* every weight: no key of LoRA stays */
    bool own_ranks; /* AdaLoRA's instead of lora.r and its patterns */
    bool own_start; /* A and B begin by the way itself, not with lora.init_adapter */
    bool own_decay; /* LoRA+ has a weight decay of its own */
};

static const Contender contenders[] = {
    { .name = "lora" },
    { .name = "rslora", .changes = { "lora.use_rslora=true" } },
    { .name = "dora", .changes = { "lora.use_dora=true" } },
    { .name = "pissa", .changes = { "lora.init_lora_weights=pissa" }, .own_start = true },
    { .name = "olora", .changes = { "lora.init_lora_weights=olora" }, .own_start = true },
    { .name = "loraplus", .changes = { "train.loraplus_lr_ratio=16" }, .own_decay = true },
    { .name = "adalora", .changes = { "lora.method=adalora" }, .own_ranks = true },
    { .name = "full", .full = true },
};

const Contender *contender_find(const char *name, Err *err)
{
    const char *names[LENGTH(contenders)];
    for (size_t i = 0; i < LENGTH(contenders); i++) {
        names[i] = contenders[i].name;
        if (strcmp(names[i], name) == 0)
            return &contenders[i];
    }
    Text all = { 0 };
    const char *near = text_nearest(name, names, LENGTH(names));
    contender_names(&all);
    err_set(err, ERR_INPUT, "'%.80s' is no way of training", name);
    err_hint(err, "%s%s%s", near ? near : "", near ? ", or another of " : "", all.data);
    text_release(&all);
    err_at(err, "--methods");
    return NULL;
}

const char *contender_name(const Contender *contender)
{
    return contender->name;
}

void contender_names(Text *out)
{
    for (size_t i = 0; i < LENGTH(contenders); i++)
        text_addf(out, "%s%s", i ? ", " : "", contenders[i].name);
}

static bool is_one(const char *key, size_t n, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(keys[i]) == n && strncmp(keys[i], key, n) == 0)
            return true;
    return false;
}

/* What of an adapter does not depend on the way. */
static bool stays(const Contender *c, const char *key, size_t n)
{
    static const char *const shape[] = {
        "lora.lora_dropout",        "lora.target_modules", "lora.exclude_modules",         "lora.modules_to_save",
        "lora.layers_to_transform", "lora.bias",           "lora.trainable_token_indices",
    };
    static const char *const rank[] = { "lora.r", "lora.rank_pattern", "lora.alpha_pattern" };
    static const char *const begin[] = { "lora.init_adapter", "lora.ignore_mismatched_sizes" };
    static const char *const scale[] = { "lora.lora_alpha" };
    return !c->full && (is_one(key, n, shape, LENGTH(shape)) || is_one(key, n, scale, LENGTH(scale)) ||
                        (!c->own_ranks && is_one(key, n, rank, LENGTH(rank))) ||
                        (!c->own_start && !c->own_ranks && is_one(key, n, begin, LENGTH(begin))));
}

/* Takes the file's own way back. */
static void add_plain(const Contender *c, const Config *config, CommandWords *changes)
{
    Text plain = { 0 };
    config_plain_adapter(config, &plain);
    for (const char *line = plain.data; line && *line; line += strcspn(line, "\n") + 1)
        if (!stays(c, line, strcspn(line, "=")))
            command_words_add(changes, xstrndup(line, strcspn(line, "\n")));
    text_release(&plain);
}

void contender_changes(const Contender *c, const Config *config, CommandWords *changes)
{
    const TrainConfig *t = &config->train;
    if (c->full != (config->lora.mode == MODE_FULL))
        command_words_add(changes, xprintf("train.mode=%s", c->full ? "full" : "lora"));
    add_plain(c, config, changes);
    for (int i = 0; i < MOST_CHANGES && c->changes[i]; i++)
        command_words_add(changes, xstrdup(c->changes[i]));
    if (c->own_ranks) {
        const long long r = config->lora.r;
        command_words_add(changes, xprintf("lora.init_r=%lld", r + (r + 1) / 2));
        command_words_add(changes, xprintf("lora.target_r=%lld", r));
    }
    if (c->own_decay && t->weight_decay > 0) {
        command_words_add(changes, xprintf("train.loraplus_weight_decay=%.9g", t->weight_decay));
        command_words_add(changes, xstrdup("train.weight_decay=0"));
    }
    if (c->full && config->lora.mode != MODE_FULL)
        command_words_add(changes, xprintf("train.learning_rate=%.9g", FULL_RATE * t->learning_rate));
    if (c->full && t->precision != PRECISION_FP32)
        command_words_add(changes, xstrdup("train.precision=fp32"));
}
