#include "launch/session.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/run_facts.h"
#include "common/model/base.h"
#include "common/slots/slots.h"
#include "launch/trained_base.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/eval/measure.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* base_model_name_or_path of an adapter; owned, NULL with *err set. */
static char *base_of(const char *adapter, Err *err)
{
    char *path = path_join(adapter, "adapter_config.json"), *name = NULL;
    json_t *config = adapter_config_open(adapter, err);
    const char *base = json_get_string(config, "base_model_name_or_path", NULL, err);
    if (base)
        name = xstrdup(base);
    else if (config && err->kind == ERR_NONE) {
        err_set(err, ERR_INPUT, "the adapter does not say which model it is for");
        err_hint(err, "give --model=DIR");
    }
    if (!name && !err->where[0])
        err_at(err, "%s", path);
    json_decref(config);
    free(path);
    return name;
}

/* By task_type, or, where that is null, by the class that auto_mapping says the adapter wraps. */
static bool read_task(TaskType *task, const json_t *config, Err *err)
{
    const char *name = json_get_string(config, "task_type", NULL, err);
    for (TaskType t = TASK_SEQ_CLS; name && t <= TASK_IMAGE_CLS; t++)
        if (strcmp(config_task_name(t), name) == 0) {
            *task = t;
            return true;
        }
    const json_t *mapping = json_object_get(config, "auto_mapping");
    const char *class_name = json_is_object(mapping) ? json_get_string(mapping, "base_model_class", NULL, err) : NULL;
    if (!name && class_name && arch_class_task(class_name, task))
        return true;
    if (err->kind != ERR_NONE)
        return false;
    if (name) {
        err_set(err, ERR_INPUT, "task_type '%s' is not supported", name);
        return err_hint(err, "adapters of SEQ_CLS, TOKEN_CLS, CAUSAL_LM and images are");
    }
    if (class_name)
        err_set(err, ERR_INPUT, "the adapter's task_type is null, and '%s' is the class of no task here", class_name);
    else
        err_set(err, ERR_INPUT, "the adapter does not say what it is for: its task_type is null");
    return err_hint(err, "give --task_type=SEQ_CLS, TOKEN_CLS, CAUSAL_LM or IMAGE_CLS");
}

bool session_task(TaskType *task, const char *adapter, Err *err)
{
    char *path = path_join(adapter, "adapter_config.json");
    json_t *config = adapter_config_open(adapter, err);
    const bool ok = config && (read_task(task, config, err) || err_at(err, "%s", path));
    json_decref(config);
    free(path);
    return ok;
}

/* Outputs of the trained head; 0: the adapter has none. */
static int64_t head_labels(const char *adapter, Err *err)
{
    static const char *const names[] = { "classifier", "classifier.out_proj", "score" };
    SafeTensors *st = slots_open_adapter(adapter, err);
    int64_t labels = 0;
    for (size_t i = 0; st && labels == 0 && i < sizeof names / sizeof *names; i++) {
        char *name = xprintf("base_model.model.%s.weight", names[i]);
        const TensorView *head = safetensors_find(st, name);
        labels = head && head->dims == 2 ? head->dim[0] : 0;
        free(name);
    }
    safetensors_close(st);
    return labels;
}

/* Of the session's model with the adapter's settings; without an adapter there are no values that it would say
 * anything of. */
static bool open_base(Session *s, const SessionOptions *o, const char *name, Err *err)
{
    const LoraConfig any = { .r = 1, .alpha = 1, .all_linear = true };
    AdaptedOptions adapted = { .model = name,
                               .model_config = o->model_config,
                               .task = o->task,
                               .labels = o->labels,
                               .label_count = o->label_count,
                               .problem = o->problem,
                               .label_smoothing = o->loss.smoothing,
                               .lora = &any,
                               .lora_from = o->adapter };
    if (o->labels->count == 0 && o->label_count == 0 && o->adapter && !task_get(o->task)->speaks) {
        adapted.label_count = head_labels(o->adapter, err);
        if (err->kind != ERR_NONE)
            return false;
    }
    if (o->adapter) {
        if (!lora_config_read(&s->lora, o->adapter, err))
            return false;
        adapted.lora = &s->lora;
    }
    if (!opened_open(&s->base, &adapted, err) ||
        (o->adapter && !o->other_base && !trained_base_check(&s->base.adapted, o->adapter, err)) ||
        !(s->frozen = mem_alloc((size_t)s->base.weights.bytes, err)))
        return false;
    base_warn(s->base.adapted.arch, s->base.adapted.files);
    const bool ok = opened_load(&s->base, s->frozen, 0, 1, err);
    adapted_close_files(&s->base.adapted);
    return ok;
}

static bool open_adapter(Session *s, const char *adapter, Err *err)
{
    const SlotTable *table = s->base.adapted.table;
    if (!adapter)
        return true;
    char *exchanged = run_facts_exchanged(adapter);
    if (exchanged)
        log_warn("adapter", "%s", exchanged);
    free(exchanged);
    s->values = mem_alloc((size_t)table->size * sizeof(float), err);
    if (!s->values)
        return false;
    memset(s->values, 0, (size_t)table->size * sizeof(float));
    return slots_read_adapter(s->values, table, adapter, err);
}

bool session_open(Session *s, const SessionOptions *o, Err *err)
{
    *s = (Session){ .max_length = o->max_length, .most_tokens = o->most_tokens };
    Arithmetic arithmetic;
    if (!arithmetic_start(&arithmetic, o->arithmetic, false, err))
        return false;
    char *name = o->model ? xstrdup(o->model) : base_of(o->adapter, err);
    bool ok = name && open_base(s, o, name, err) && open_adapter(s, o->adapter, err);
    free(name);
    if (!ok)
        return false;
    const bool images = s->base.adapted.arch->image_size > 0; /* each has as many rows as the model has positions */
    if (s->max_length > s->base.adapted.arch->positions || images)
        s->max_length = s->base.adapted.arch->positions;
    const int64_t least = s->max_length * (o->lanes > 1 ? o->lanes : 1);
    if (s->most_tokens < least)
        s->most_tokens = least;
    const int64_t sequences = images ? s->most_tokens / s->max_length : s->most_tokens;
    const int threads = o->threads > 0 ? o->threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    arithmetic_threads(threads);
    const ModelOptions options = { .most_tokens = s->most_tokens,
                                   .most_sequences = sequences,
                                   .longest = s->max_length,
                                   .threads = threads,
                                   .loss = o->loss };
    const int64_t width =
        s->base.adapted.arch->head.problem == PROBLEM_MULTI_LABEL ? s->base.adapted.arch->head.labels : 1;
    const BatchSize size = { s->most_tokens, sequences, width, pictures_floats(s->base.adapted.arch) };
    if (images && !pictures_process(&s->process, s->base.adapted.arch, err))
        return false;
    s->logits = mem_alloc((size_t)measure_logits(s->base.adapted.arch, s->most_tokens, sequences) * sizeof(float), err);
    return s->logits && batch_room(&s->room, &size, err) &&
           (s->model = model_open(s->base.adapted.arch, s->base.adapted.table, &s->base.weights, &options, err));
}

void session_close(Session *s)
{
    model_close(s->model);
    batch_release(&s->room);
    opened_release(&s->base);
    lora_config_release(&s->lora);
    free(s->values);
    free(s->frozen);
    free(s->logits);
    *s = (Session){ 0 };
}

bool session_writes(Session *s, TextEngine *engine, int64_t lanes, Err *err)
{
    const TextEngineOptions o = {
        .arch = s->base.adapted.arch, .model = s->model, .values = s->values, .longest = s->max_length, .lanes = lanes
    };
    return text_engine_open(engine, &o, err);
}

bool session_predict(Session *s, const Batch *batch, Err *err)
{
    const int64_t count = measure_logits(s->base.adapted.arch, batch->N, batch->B);
    model_predict(s->model, batch, s->values, s->logits);
    return engine_check(s->logits, count, err);
}
