/* Source of AdaLoRA's rules: peft/tuners/adalora/config.py, layer.py (RankAllocator). What PEFT passes over in silence
 * (r, patterns, rsLoRA) is refused. */
#include "common/config/config_method.h"

#include "common/base/mem.h"
#include "common/config/config_table.h"

#include <string.h>

/* The key has another value than its default. */
static bool is_set(const Config *config, const char *key)
{
    const ConfigKey *row = config_find(key);
    Text value = { 0 };
    if (row)
        config_print_key(config, key, &value);
    const bool set = row && strcmp(value.data, row->initial) != 0;
    text_release(&value);
    return set;
}

static const char method[] = "lora.method";

/* AdaLoRA's keys, where it is off. */
static bool check_off(const Config *c, Err *err)
{
    static const char *const keys[] = { "lora.init_r", "lora.target_r",        "lora.tinit",
                                        "lora.tfinal", "lora.deltaT",          "lora.beta1",
                                        "lora.beta2",  "lora.orth_reg_weight", "lora.total_step" };
    for (size_t i = 0; i < LENGTH(keys); i++)
        if (is_set(c, keys[i])) {
            err_set(err, ERR_INPUT, "it belongs to AdaLoRA, which is off");
            err_hint(err, "set lora.method: adalora, or remove it");
            return config_at_keys(c, keys[i], method, err);
        }
    return true;
}

/* What AdaLoRA does not know. */
static bool check_others(const Config *c, Err *err)
{
    static const struct {
        const char *key, *hint;
    } others[] = {
        { "lora.r", "its rank is lora.init_r, and at the end lora.target_r" },
        { "lora.rank_pattern", "it finds the ranks of modules itself" },
        { "lora.alpha_pattern", "it has one lora_alpha" },
        { "lora.use_rslora", "its scale is lora_alpha / init_r" },
        { "lora.use_dora", "it has no magnitudes" },
        { "lora.lora_bias", "its B has no bias" },
        { "lora.init_lora_weights", "A and B begin as N(0, 0.02^2), E as 0" },
    };
    for (size_t i = 0; i < LENGTH(others); i++)
        if (is_set(c, others[i].key)) {
            err_set(err, ERR_INPUT, "AdaLoRA does not know this key");
            err_hint(err, "remove it: %s", others[i].hint);
            return config_at_keys(c, others[i].key, method, err);
        }
    if (c->lora.target_modules.count > 0 || c->lora.target_regex || c->lora.all_linear)
        return true;
    err_set(err, ERR_INPUT, "AdaLoRA has no default for target_modules");
    err_hint(err, "name the modules, or write lora.target_modules: all-linear");
    return config_at_keys(c, method, "lora.target_modules", err);
}

static bool check_course(const Config *c, Err *err)
{
    const AdaLora *a = &c->lora.ada;
    const int64_t total = a->total_step > 0 ? a->total_step : c->train.max_steps;
    if (a->target_r >= a->init_r) {
        err_set(err, ERR_INPUT, "from %lld triplets a module none are left out for %lld", (long long)a->init_r,
                (long long)a->target_r);
        err_hint(err, "make lora.init_r larger than lora.target_r, as 12 and 8");
        return config_at_keys(c, "lora.target_r", "lora.init_r", err);
    }
    if (total > 0 && a->tinit + a->tfinal >= total) {
        err_set(err, ERR_INPUT, "lora.tinit and lora.tfinal leave none of %lld steps in which triplets are masked",
                (long long)total);
        err_hint(err, "make them smaller, or the run longer");
        return config_at_keys(c, a->total_step > 0 ? "lora.total_step" : "train.max_steps", "lora.tinit", err);
    }
    return true;
}

bool config_key_of_adapter(const char *key)
{
    return text_starts(key, "lora.") || text_starts(key, "train.loraplus_");
}

void config_plain_adapter(const Config *config, Text *out)
{
    int count;
    const ConfigKey *keys = config_keys(&count);
    for (int i = 0; i < count; i++)
        if (config_key_of_adapter(keys[i].name) && keys[i].type != KEY_FIXED && is_set(config, keys[i].name))
            text_addf(out, "%s=%s\n", keys[i].name, keys[i].initial);
}

bool config_check_method(const Config *c, Err *err)
{
    return c->lora.method == METHOD_ADALORA ? check_others(c, err) && check_course(c, err) : check_off(c, err);
}
