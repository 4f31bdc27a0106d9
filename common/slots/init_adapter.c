#include "common/slots/init_adapter.h"

#include "common/base/mem.h"
#include "common/config/run_folder.h"
#include "common/model/task.h"
#include "common/slots/inits.h"
#include "common/slots/slots.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Of a setting that the run file says otherwise than the adapter. */
typedef enum {
    FREE, /* the run's own */
    LIST, /* of modules: written in many ways, the tensors tell */
    BINDS /* the values would mean something else */
} Binding;

typedef struct Setting {
    const char *key;
    Binding binding;
} Setting;

static const Setting settings[] = {
    { "lora.method", BINDS },
    { "lora.init_r", BINDS },
    { "lora.target_r", FREE },
    { "lora.tinit", FREE },
    { "lora.tfinal", FREE },
    { "lora.deltaT", FREE },
    { "lora.beta1", FREE },
    { "lora.beta2", FREE },
    { "lora.orth_reg_weight", FREE },
    { "lora.r", BINDS },
    { "lora.lora_alpha", BINDS },
    { "lora.use_rslora", BINDS },
    { "lora.use_dora", BINDS },
    { "lora.lora_bias", BINDS },
    { "lora.trainable_token_indices", BINDS },
    { "lora.lora_dropout", FREE },
    { "lora.target_modules", LIST },
    { "lora.exclude_modules", LIST },
    { "lora.modules_to_save", LIST },
    { "lora.layers_to_transform", LIST },
    { "lora.rank_pattern", BINDS },
    { "lora.alpha_pattern", BINDS },
    { "lora.bias", BINDS },
};

/* PEFT writes down the heads that it adds itself, under all names that they have. */
static void drop_heads(StringList *names, const Task *task)
{
    int kept = 0;
    for (int i = 0; i < names->count; i++) {
        if (task_saves(task, names->items[i]))
            free(names->items[i]);
        else
            names->items[kept++] = names->items[i];
    }
    names->count = kept;
}

static void add_difference(Text *out, const char *key, const char *ours, const char *theirs)
{
    text_addf(out, "%s%s (%s here, %s there)", out->size ? "; " : "", key, ours, theirs);
}

/* Takes what the run file does not say; `differ` lists what it says otherwise. */
static bool take(Config *config, const Config *theirs, Text *taken, Text *differ, Err *err)
{
    const char *set[LENGTH(settings)];
    int count = 0;
    for (size_t i = 0; i < LENGTH(settings); i++) {
        const char *key = settings[i].key;
        Text ours = { 0 }, other = { 0 };
        config_print_key(config, key, &ours);
        config_print_key(theirs, key, &other);
        if (strcmp(ours.data, other.data) == 0) {
            ;
        } else if (!config_is_given(config, key)) {
            set[count++] = xprintf("%s=%s", key, other.data);
            if (taken)
                text_addf(taken, "%s%s %s", taken->size ? ", " : "", key, other.data);
        } else if (settings[i].binding == BINDS) {
            add_difference(differ, key, ours.data, other.data);
        }
        text_release(&ours);
        text_release(&other);
    }
    const bool ok = count == 0 || config_set_all(config, set, count, err);
    while (count > 0)
        free((char *)(uintptr_t)set[--count]);
    return ok;
}

/* The adapter's settings, as a run would write them. */
static bool read_theirs(Config *theirs, const Config *config, Err *err)
{
    if (!lora_config_read(&theirs->lora, config->lora.init_adapter, err))
        return false;
    drop_heads(&theirs->lora.modules_to_save, task_get(config->task));
    return true;
}

/* PEFT takes the start off the base again when it loads such an adapter; here a run goes on from one that says it
 * itself. */
static bool keeps_base(const LoraConfig *lora, Err *err)
{
    if (!inits_shift(lora))
        return true;
    err_set(err, ERR_INPUT, "its init_lora_weights changed the base, so it is no beginning for the base as it is");
    return err_hint(err, "PEFT makes a plain LoRA of it: save_pretrained(..., "
                         "path_initial_model_for_weight_conversion=FOLDER of its start)");
}

static bool take_settings(Config *config, Text *taken, Err *err)
{
    const char *folder = config->lora.init_adapter;
    char room[512];
    Config theirs = { 0 };
    Text differ = { 0 };
    bool ok = read_theirs(&theirs, config, err) &&
              (keeps_base(&theirs.lora, err) || err_at(err, "%s/adapter_config.json", folder));
    ok = ok && (take(config, &theirs, taken, &differ, err) || err_at(err, "%s/adapter_config.json", folder));
    if (ok && differ.size > 0) {
        ok = err_set(err, ERR_INPUT, "the adapter to begin with has other settings: %s", differ.data);
        err_hint(err, "leave out of the run file what the adapter says itself; without lora.init_adapter a run begins "
                      "with fresh values");
        err_at(err, "%s", config_where(config, "lora.init_adapter", room, sizeof room));
    }
    lora_config_release(&theirs.lora);
    text_release(&differ);
    return ok;
}

bool init_adapter_take(Config *config, Text *taken, Err *err)
{
    char room[512];
    if (!config->lora.init_adapter)
        return true;
    char *folder = xstrdup(config->lora.init_adapter); /* config_set renews the config's texts */
    const bool ok = run_folder_check(folder, err)
                        ? take_settings(config, taken, err) && run_folder_labels(config, folder, err)
                        : err_at(err, "%s", config_where(config, "lora.init_adapter", room, sizeof room));
    free(folder);
    return ok;
}

void init_adapter_hint(const Config *config, Err *err)
{
    Err none = { 0 };
    Config theirs = { 0 };
    Text differ = { 0 };
    if (!config->lora.init_adapter || !read_theirs(&theirs, config, &none))
        return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        Text ours = { 0 }, other = { 0 };
        config_print_key(config, settings[i].key, &ours);
        config_print_key(&theirs, settings[i].key, &other);
        if (settings[i].binding != FREE && config_is_given(config, settings[i].key) &&
            strcmp(ours.data, other.data) != 0)
            add_difference(&differ, settings[i].key, ours.data, other.data);
        text_release(&ours);
        text_release(&other);
    }
    if (differ.size > 0)
        err_hint(err, "what the run file leaves out is the adapter's; other than its own are %s", differ.data);
    text_release(&differ);
    lora_config_release(&theirs.lora);
}
