#include "common/slots/methods.h"

#include "common/base/mem.h"
#include "common/slots/adalora.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

typedef struct Method {
    const char *key; /* of adapter_config.json; the run file has it under lora */
    size_t offset; /* of a bool in LoraConfig: is it on? */
    double (*scale)(double alpha, int64_t r); /* NULL: as plain LoRA */
    bool adds; /* common/slots/merged puts it into the weights */
    MethodSlot slot; /* end NULL: none */
    bool no_tables; /* embeddings cannot have it */
} Method;

/* What a method that is no switch makes of a module. */
typedef struct MethodRow {
    const char *peft_type;
    bool triplets; /* A, B and E, and settings of its own */
} MethodRow;

static const MethodRow types[] = {
    [METHOD_LORA] = { "LORA", false },
    [METHOD_ADALORA] = { "ADALORA", true },
};

/* Kalajdzievski 2023: with alpha / r the updates of high ranks die away. */
static double rank_stabilized(double alpha, int64_t r)
{
    return alpha / sqrt((double)r);
}

static const Method methods[] = {
    { .key = "use_rslora", .offset = offsetof(LoraConfig, use_rslora), .scale = rank_stabilized, .adds = true },
    { .key = "use_dora",
      .offset = offsetof(LoraConfig, use_dora),
      .slot = { SLOT_MAGNITUDE, ".lora_magnitude_vector" },
      .adds = true },
    { .key = "lora_bias",
      .offset = offsetof(LoraConfig, lora_bias),
      .slot = { SLOT_LORA_BIAS, ".lora_B.bias" },
      .no_tables = true,
      .adds = true },
};

enum { METHODS = sizeof methods / sizeof methods[0] };

static bool is_on(const LoraConfig *lora, const Method *method)
{
    return *(const bool *)(const void *)((const char *)lora + method->offset);
}

bool methods_has_triplets(const LoraConfig *lora)
{
    return types[lora->method].triplets;
}

int64_t methods_rank(const LoraConfig *lora, const char *path)
{
    return methods_has_triplets(lora) ? adalora_rank(lora, path) : lora->r;
}

double methods_scale(const LoraConfig *lora, double alpha, int64_t r)
{
    if (methods_has_triplets(lora)) /* PEFT's ranknum stays what it was at the start, and is a float */
        return alpha / (double)((float)lora->ada.init_r + 1e-5f);
    for (int i = 0; i < METHODS; i++)
        if (methods[i].scale && is_on(lora, &methods[i]))
            return methods[i].scale(alpha, r);
    return alpha / (double)r;
}

bool methods_is_whole(const LoraConfig *lora)
{
    return lora->mode == MODE_FULL;
}

int methods_extra(MethodSlot extra[METHODS_EXTRA], const LoraConfig *lora)
{
    int count = 0;
    for (int i = 0; i < METHODS; i++)
        if (methods[i].slot.end && is_on(lora, &methods[i]))
            extra[count++] = methods[i].slot;
    return count;
}

bool methods_fit(const LoraConfig *lora, const Module *module, Err *err)
{
    if (methods_has_triplets(lora) && module->kind == MODULE_EMBEDDING) {
        err_set(err, ERR_INPUT, "AdaLoRA does not know embeddings, and '%s' is one", module->path);
        return err_hint(err, "leave it out of lora.target_modules");
    }
    for (int i = 0; i < METHODS; i++)
        if (methods[i].no_tables && module->kind == MODULE_EMBEDDING && is_on(lora, &methods[i])) {
            err_set(err, ERR_INPUT, "lora.%s is not for embeddings, and '%s' is one", methods[i].key, module->path);
            return err_hint(err, "leave it out of lora.target_modules, or remove lora.%s", methods[i].key);
        }
    return true;
}

void methods_write(json_t *to, const SlotTable *table, const AdapterForm *form, const LoraConfig *lora)
{
    json_object_set_new(to, "peft_type", json_string(types[lora->method].peft_type));
    if (methods_has_triplets(lora))
        adalora_write(to, table, form, lora);
    for (int i = 0; i < METHODS; i++)
        json_object_set_new(to, methods[i].key, json_boolean(is_on(lora, &methods[i])));
}

static bool read_type(LoraConfig *lora, const json_t *config, Err *err)
{
    const char *type = json_string_value(json_object_get(config, "peft_type"));
    adalora_defaults(&lora->ada);
    for (size_t i = 0; type && i < LENGTH(types); i++)
        if (strcmp(types[i].peft_type, type) == 0) {
            lora->method = (MethodType)i;
            return !types[i].triplets || adalora_read(lora, config, err);
        }
    return err_set(err, ERR_INPUT, "peft_type '%s' is not supported, only LORA and ADALORA", type ? type : "");
}

bool methods_read(LoraConfig *lora, const json_t *config, Err *err)
{
    if (!read_type(lora, config, err))
        return false;
    for (int i = 0; i < METHODS; i++) {
        const json_t *value = json_object_get(config, methods[i].key);
        if (value && !json_is_null(value) && !json_is_boolean(value))
            return err_set(err, ERR_INPUT, "'%s' is not true or false", methods[i].key);
        *(bool *)(void *)((char *)lora + methods[i].offset) = json_is_true(value);
    }
    return true;
}

bool methods_merge(const LoraConfig *lora, Err *err)
{
    for (int i = 0; i < METHODS; i++)
        if (is_on(lora, &methods[i]) && !methods[i].adds)
            return err_set(err, ERR_INPUT, "an adapter with '%s' cannot be merged", methods[i].key);
    return true;
}
