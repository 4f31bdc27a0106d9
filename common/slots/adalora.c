#include "common/slots/adalora.h"

#include "common/base/json.h"
#include "common/base/mem.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings --------------------------------------------------------------------------- */

typedef struct AdaSetting {
    const char *key;
    size_t offset; /* of an int64_t in AdaLora, or a double */
    bool whole;
    double initial, least;
} AdaSetting;

#define WHOLE(field, initial, least)                                                                                   \
    {                                                                                                                  \
#field, offsetof(AdaLora, field), true, initial, least                                                         \
    }
#define REAL(field, initial)                                                                                           \
    {                                                                                                                  \
#field, offsetof(AdaLora, field), false, initial, 0                                                            \
    }

static const AdaSetting settings[] = {
    WHOLE(target_r, 8, 1), WHOLE(init_r, 12, 1),      WHOLE(tinit, 0, 0),
    WHOLE(tfinal, 0, 0),   WHOLE(deltaT, 1, 1),       REAL(beta1, 0.85),
    REAL(beta2, 0.85),     WHOLE(total_step, -1, -1), REAL(orth_reg_weight, 0.5),
};

static void *field_of(AdaLora *ada, const AdaSetting *setting)
{
    return (char *)ada + setting->offset;
}

static double value_of(const AdaLora *ada, const AdaSetting *setting)
{
    const char *field = (const char *)ada + setting->offset;
    return setting->whole ? (double)*(const int64_t *)(const void *)field : *(const double *)(const void *)field;
}

static void set_value(AdaLora *ada, const AdaSetting *setting, double value)
{
    if (setting->whole)
        *(int64_t *)field_of(ada, setting) = (int64_t)value;
    else
        *(double *)field_of(ada, setting) = value;
}

void adalora_defaults(AdaLora *ada)
{
    for (size_t i = 0; i < LENGTH(settings); i++)
        set_value(ada, &settings[i], settings[i].initial);
}

/* ---- rank_pattern ------------------------------------------------------------------------ */

static const json_t *mask_of(const json_t *masks, const char *path)
{
    char *key = xprintf("%s.lora_E", path);
    const json_t *mask = json_object_get(masks, key);
    free(key);
    return mask;
}

static bool keeps(const json_t *mask, int64_t i)
{
    return !mask || json_is_true(json_array_get(mask, (size_t)i));
}

int64_t adalora_rank(const LoraConfig *lora, const char *path)
{
    const json_t *mask = mask_of(lora->rank_masks, path);
    int64_t count = 0;
    for (int64_t i = 0; i < lora->ada.init_r; i++)
        count += keeps(mask, i);
    return count;
}

static json_t *masks_json(const SlotTable *table, const bool *kept)
{
    json_t *masks = json_object();
    for (int m = 0; m < table->arch->module_count; m++) {
        const ModuleSlots *of = &table->modules[m];
        if (of->e < 0)
            continue;
        json_t *mask = json_array();
        for (int64_t i = 0; i < of->r; i++)
            json_array_append_new(mask, json_boolean(kept[of->triplet + i]));
        char *key = xprintf("%s.lora_E", table->arch->modules[m].path);
        json_object_set_new(masks, key, mask);
        free(key);
    }
    return masks;
}

void adalora_write(json_t *to, const SlotTable *table, const AdapterForm *form, const LoraConfig *lora)
{
    AdaLora ada = lora->ada;
    if (ada.total_step < 1)
        ada.total_step = form->total_step > 0 ? form->total_step : 1; /* PEFT takes no other */
    for (size_t i = 0; i < LENGTH(settings); i++) {
        const double value = value_of(&ada, &settings[i]);
        json_object_set_new(to, settings[i].key,
                            settings[i].whole ? json_integer((json_int_t)value) : json_real(value));
    }
    json_t *masks = form->kept         ? masks_json(table, form->kept)
                    : lora->rank_masks ? json_deep_copy(lora->rank_masks)
                                       : json_null();
    json_object_set_new(to, "rank_pattern", masks);
}

static bool read_masks(LoraConfig *lora, const json_t *config, Err *err)
{
    json_t *masks = json_object_get(config, "rank_pattern"), *mask;
    const char *key;
    if (!masks || json_is_null(masks) || (json_is_object(masks) && json_object_size(masks) == 0))
        return true;
    if (!json_is_object(masks))
        return err_set(err, ERR_INPUT, "'rank_pattern' is not an object");
    json_object_foreach(masks, key, mask)
    {
        bool ok = json_array_size(mask) == (size_t)lora->ada.init_r;
        for (size_t i = 0; ok && i < json_array_size(mask); i++)
            ok = json_is_boolean(json_array_get(mask, i));
        if (!ok)
            return err_set(err, ERR_INPUT, "'%s' in 'rank_pattern' is not a list of %lld truth values", key,
                           (long long)lora->ada.init_r);
    }
    lora->rank_masks = json_deep_copy(masks);
    return true;
}

bool adalora_read(LoraConfig *lora, const json_t *config, Err *err)
{
    for (size_t i = 0; i < LENGTH(settings); i++) {
        const AdaSetting *s = &settings[i];
        const json_t *value = json_object_get(config, s->key);
        if (!value || json_is_null(value))
            continue;
        const double x = json_number_value(value);
        if (!json_is_number(value) || !(x >= s->least) || x > 1e12 || (s->whole && x != floor(x)))
            return err_set(err, ERR_INPUT, "'%s' is out of range", s->key);
        set_value(&lora->ada, s, x);
    }
    if (lora->ada.init_r > 4096)
        return err_set(err, ERR_INPUT, "'init_r' is out of range");
    return read_masks(lora, config, err);
}

/* ---- cropped tensors ----------------------------------------------------------------------- */

/* A and E have a row a triplet, B a column. */
static bool is_by_columns(const Slot *slot)
{
    return slot->kind == SLOT_LORA_B;
}

static bool is_triplet(const Slot *slot)
{
    return slot->kind == SLOT_LORA_A || slot->kind == SLOT_LORA_B || slot->kind == SLOT_LORA_E;
}

/* Triplet i of a matrix with r of them, [r,side] or [side,r], to place k of another with n. */
static void copy_triplet(float *to, int64_t k, int64_t n, const float *from, int64_t i, int64_t r, int64_t side,
                         bool by_columns)
{
    if (!by_columns) {
        memcpy(to + k * side, from + i * side, (size_t)side * sizeof *to);
        return;
    }
    for (int64_t o = 0; o < side; o++)
        to[o * n + k] = from[o * r + i];
}

bool adalora_crop(TensorOut *out, float **room, const Slot *slot, const SlotTable *table, const AdapterForm *form,
                  Err *err)
{
    if (!form->kept || !is_triplet(slot))
        return true;
    const ModuleSlots *of = &table->modules[slot->module];
    const bool *kept = form->kept + of->triplet, columns = is_by_columns(slot);
    const int64_t side = slot->count / of->r;
    const float *whole = out->data;
    int64_t n = 0, k = 0;
    for (int64_t i = 0; i < of->r; i++)
        n += kept[i];
    *room = mem_alloc((size_t)(n * side + 1) * sizeof **room, err);
    if (!*room)
        return false;
    for (int64_t i = 0; i < of->r; i++)
        if (kept[i])
            copy_triplet(*room, k++, n, whole, i, of->r, side, columns);
    out->data = *room;
    out->dim[columns ? 1 : 0] = n;
    return true;
}

void adalora_spread(float *values, const SlotTable *table, const float *from, const SlotTable *small,
                    const json_t *masks)
{
    REQUIRE(table->count == small->count);
    for (int s = 0; s < table->count; s++) {
        const Slot *slot = &table->slots[s], *other = &small->slots[s];
        const ModuleSlots *of = &table->modules[slot->module];
        if (!is_triplet(slot)) {
            memcpy(values + slot->offset, from + other->offset, (size_t)slot->count * sizeof *values);
            continue;
        }
        const json_t *mask = mask_of(masks, table->arch->modules[slot->module].path);
        const int64_t n = small->modules[slot->module].r;
        for (int64_t i = 0, k = 0; i < of->r; i++)
            if (keeps(mask, i))
                copy_triplet(values + slot->offset, i, of->r, from + other->offset, k++, n, slot->count / of->r,
                             is_by_columns(slot));
    }
}
