#include "launch/cmd_combine.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/model/task.h"
#include "common/slots/adapted.h"
#include "common/slots/combine.h"
#include "launch/adapter_run.h"
#include "launch/command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct CombineArguments {
    const char *model, *weights, *type, *svd_rank, *density, *sign, *seed;
} CombineArguments;

/* What the parts hold; all owned. */
typedef struct CombinedAdapters {
    Config config; /* of the first */
    Adapted adapted; /* of the first */
    char *base; /* the name that the result has */
    CombinePart *part; /* [count] */
    LoraConfig *lora;
    SlotTable **table;
    float **values;
    int count;
} CombinedAdapters;

/* ---- options ---------------------------------------------------------------------- */

static bool read_number(const char *name, const char *text, double *out, Err *err)
{
    char *rest;
    *out = strtod(text, &rest);
    if (rest != text && *rest == '\0' && isfinite(*out))
        return true;
    err_set(err, ERR_INPUT, "'%s' is no number", text);
    return err_at(err, "--%s", name);
}

/* "0.7,-0.5": one an adapter. */
static bool read_weights(CombinePart *parts, int count, const char *text, Err *err)
{
    char *copy = xstrdup(text), *rest = copy, *word;
    int n = 0;
    bool ok = true;
    for (; ok && (word = strsep(&rest, ",")); n++) {
        double weight;
        ok = read_number("weights", word, &weight, err);
        if (ok && n < count)
            parts[n].weight = weight;
    }
    free(copy);
    if (ok && n != count) {
        ok = err_set(err, ERR_INPUT, "%d weights for %d adapters", n, count);
        err_at(err, "--weights");
    }
    return ok;
}

/* An option that the type would pass over in silence. */
static bool no_sense(const char *option, const char *type, Err *err)
{
    err_set(err, ERR_INPUT, "it has no sense with --type=%s", type);
    return err_at(err, "--%s", option);
}

static bool read_density(CombineOptions *o, const char *text, const char *type, Err *err)
{
    if (!text && !combine_prunes(o->type))
        return true;
    if (!text) {
        err_set(err, ERR_INPUT, "--type=%s prunes, and no density says how much stays", type);
        return err_hint(err, "--density=0.5 keeps half of the numbers");
    }
    if (!combine_prunes(o->type))
        return no_sense("density", type, err);
    if (!read_number("density", text, &o->density, err))
        return false;
    if (o->density >= 0 && o->density <= 1)
        return true;
    err_set(err, ERR_INPUT, "%g is out of range: it is the share that stays, 0 to 1", o->density);
    return err_at(err, "--density");
}

static bool read_sign(CombineOptions *o, const char *text, const char *type, Err *err)
{
    if (!text)
        return true;
    if (!combine_elects(o->type))
        return no_sense("majority_sign_method", type, err);
    o->by_frequency = strcmp(text, "frequency") == 0;
    if (o->by_frequency || strcmp(text, "total") == 0)
        return true;
    err_set(err, ERR_INPUT, "'%s' is neither total nor frequency", text);
    return err_at(err, "--majority_sign_method");
}

static bool read_options(CombineOptions *o, const CombineArguments *a, Err *err)
{
    const char *type = a->type ? a->type : "svd";
    int64_t seed = 42;
    *o = (CombineOptions){ .type = combine_type(type, err) };
    if (!o->type)
        return err_at(err, "--type");
    if (a->svd_rank && !combine_cuts(o->type))
        return no_sense("svd_rank", type, err);
    if ((a->svd_rank && !option_int("svd_rank", a->svd_rank, 1, 1000000, &o->svd_rank, err)) ||
        (a->seed && !option_int("seed", a->seed, 0, INT64_MAX, &seed, err)))
        return false;
    o->seed = (uint64_t)seed;
    return read_density(o, a->density, type, err) && read_sign(o, a->sign, type, err);
}

/* ---- parts ------------------------------------------------------------------------- */

static bool read_part(CombinedAdapters *p, int k, Err *err)
{
    const char *folder = p->part[k].name;
    TaskType task;
    if (!adapter_run_task(&task, folder, err))
        return false;
    if (task != p->config.task) {
        err_set(err, ERR_INPUT, "it is for %s, '%s' for %s", config_task_name(task), p->part[0].name,
                config_task_name(p->config.task));
        return err_at(err, "%s", folder);
    }
    if (!lora_config_read(&p->lora[k], folder, err) ||
        (!(p->table[k] = slots_open(p->adapted.arch, &p->lora[k], err)) && !err_at(err, "%s", folder)) ||
        !(p->values[k] = mem_alloc((size_t)p->table[k]->size * sizeof(float), err)))
        return false;
    p->part[k].lora = &p->lora[k];
    p->part[k].table = p->table[k];
    p->part[k].values = p->values[k];
    return slots_read_adapter(p->values[k], p->table[k], folder, err);
}

/* All are for one base, or --model says which. */
static bool find_base(CombinedAdapters *p, const char *model, Err *err)
{
    if (model) {
        p->base = xstrdup(model);
        return true;
    }
    p->base = adapter_run_base(p->part[0].name, err);
    for (int k = 1; p->base && k < p->count; k++) {
        char *other = adapter_run_base(p->part[k].name, err);
        const bool same = other && strcmp(other, p->base) == 0;
        if (other && !same) {
            err_set(err, ERR_INPUT, "its base is '%s', that of '%s' is '%s'", other, p->part[0].name, p->base);
            err_hint(err, "if they are the same model, name it: --model=DIR");
            err_at(err, "%s", p->part[k].name);
        }
        free(other);
        if (!same)
            return false;
    }
    return p->base != NULL;
}

static bool open_parts(CombinedAdapters *p, const CombineArguments *a, const Arguments *given, Err *err)
{
    if (!adapter_run_load(&p->config, p->part[0].name, given, err) || !find_base(p, a->model, err))
        return false;
    AdaptedOptions o = adapted_of(&p->config);
    o.model = p->base;
    o.lora = NULL;
    if (p->config.labels.count == 0 && p->config.label_count == 0 && !task_get(p->config.task)->speaks &&
        !task_get(p->config.task)->embeds)
        o.label_count = adapter_run_outputs(p->part[0].name, err);
    bool ok = err->kind == ERR_NONE && adapted_open(&p->adapted, &o, err);
    for (int k = 0; ok && k < p->count; k++)
        ok = read_part(p, k, err);
    return ok;
}

static void parts_init(CombinedAdapters *p, const Arguments *given)
{
    *p = (CombinedAdapters){ .count = given->positional_count - 1 };
    const size_t n = (size_t)p->count;
    p->part = xcalloc(n, sizeof *p->part);
    p->lora = xcalloc(n, sizeof *p->lora);
    p->table = xcalloc(n, sizeof *p->table);
    p->values = xcalloc(n, sizeof *p->values);
    for (int k = 0; k < p->count; k++)
        p->part[k] = (CombinePart){ .name = given->positionals[k], .weight = 1 };
}

static void parts_release(CombinedAdapters *p)
{
    for (int k = 0; k < p->count; k++) {
        lora_config_release(&p->lora[k]);
        slots_close(p->table[k]);
        free(p->values[k]);
    }
    free(p->part);
    free(p->lora);
    free(p->table);
    free(p->values);
    free(p->base);
    adapted_release(&p->adapted);
    config_release(&p->config);
}

/* ---- result ------------------------------------------------------------------------ */

static bool write_adapter(const CombinedAdapters *p, const CombineOptions *o, const LoraConfig *lora, const char *out,
                          Err *err)
{
    SlotTable *table = slots_open(p->adapted.arch, lora, err);
    float *values = table ? mem_alloc((size_t)table->size * sizeof *values, err) : NULL;
    char *begun = values && combine_values(values, table, o, p->part, p->count, err) ? folder_begin(out, err) : NULL;
    bool ok = begun && slots_write_adapter(begun, &(AdapterForm){ .values = values }, table, lora, p->base, err);
    if (ok) {
        ok = folder_commit(begun, out, err);
        if (ok)
            printf("%s: %d adapter%s as one of rank %lld, %lld parameters\n", out, p->count, p->count == 1 ? "" : "s",
                   (long long)lora->r, (long long)table->trainable);
    } else {
        folder_abandon(begun);
    }
    free(values);
    slots_close(table);
    return ok;
}

static bool run(void *self, const Arguments *given, Err *err)
{
    const CombineArguments *a = self;
    CombinedAdapters p;
    CombineOptions o;
    LoraConfig lora = { 0 };
    parts_init(&p, given);
    const bool ok = read_options(&o, a, err) && (!a->weights || read_weights(p.part, p.count, a->weights, err)) &&
                    open_parts(&p, a, given, err) && combine_check(&o, p.part, p.count, err) &&
                    lora_config_read(&lora, p.part[0].name, err);
    bool written = false;
    if (ok) {
        combine_settings(&lora, &o, p.part, p.count);
        written = write_adapter(&p, &o, &lora, given->positionals[p.count], err);
    }
    lora_config_release(&lora);
    parts_release(&p);
    return written;
}

int cmd_combine(int argc, char **argv)
{
    CombineArguments a = { 0 };
    bool help = false;
    const Option own[] = {
        { "weights", "W,W", "of each adapter, negative ones too; default: 1", &a.weights, NULL },
        { "type", "TYPE",
          "combination_type: svd (default), linear, cat, ties, dare_linear, dare_ties, magnitude_prune; the last four "
          "also with _svd",
          &a.type, NULL },
        { "svd_rank", "R", "of the result, of svd; default: the largest rank", &a.svd_rank, NULL },
        { "density", "SHARE", "of the numbers that pruning keeps, 0 to 1", &a.density, NULL },
        { "majority_sign_method", "M", "of ties: total (default) or frequency", &a.sign, NULL },
        { "seed", "N", "of dare's random pruning; default: 42", &a.seed, NULL },
        { "model", "DIR", "the base model; default: the one the adapters name", &a.model, NULL },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora combine",
                                "ADAPTER... OUT",
                                "several adapters of one model as one, by the types, defaults and formulas of PEFT's "
                                "add_weighted_adapter",
                                own,
                                sizeof own / sizeof *own,
                                true,
                                0 };
    return command_main(&(Command){ &table, &help, 2, 1000, run, &a }, argc, argv);
}
