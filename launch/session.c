#include "launch/session.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/run_facts.h"
#include "common/config/run_folder.h"
#include "common/model/base.h"
#include "common/slots/orthogonality.h"
#include "common/slots/slots.h"
#include "launch/adapter_run.h"
#include "launch/trained_base.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/eval/measure.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINEAR_PARTS_MOST = 3 }; /* modules that share a product: q, k, v */

/* Before it is taken. */
static bool has_room(const Session *s, const SessionOptions *o, Err *err)
{
    const double need = (double)s->base.weights.bytes, room = (double)o->room;
    if (o->room <= 0 || need <= room)
        return true;
    err_set(err, ERR_INPUT, "the %s takes %.3g GB of memory, and there are %.3g", s->stages ? "stage" : "model",
            need / 1e9, room / 1e9);
    err_at(err, "%s", s->base.adapted.arch->folder);
    if (s->stages)
        return err_hint(err, "take more ranks: each holds a stage of the model");
    return err_hint(err,
                    "mpirun -n %d --host A,B,... lora_worker --evaluate (or --predict) with the same words: each rank "
                    "holds a stage of it; or hold it packed: --train.precision=%s",
                    (int)(need / room) + 2, o->precision == PRECISION_FP32 ? "bf16" : "nf4");
}

/* Of the session's model with the adapter's settings; without an adapter there are no values that it would say
 * anything of. */
static bool open_base(Session *s, const SessionOptions *o, const char *name, Err *err)
{
    /* of the body, as the task may train a head's layers whole; a model may have none of these beside it */
    char beside[] = "[^.]*";
    const LoraConfig any = { .r = 1, .alpha = 1, .all_linear = true, .exclude_regex = beside, .published = true };
    AdaptedOptions adapted = { .model = name,
                               .model_config = o->model_config,
                               .task = o->task,
                               .labels = o->labels,
                               .label_count = o->label_count,
                               .problem = o->problem,
                               .label_smoothing = o->loss.smoothing,
                               .class_weights = o->class_weights,
                               .embed = o->embed,
                               .tasks = o->tasks,
                               .precision = o->precision,
                               .lora = &any,
                               .lora_from = o->adapter };
    if (o->labels->count == 0 && o->label_count == 0 && o->adapter && !task_get(o->task)->speaks &&
        !task_get(o->task)->embeds) {
        adapted.label_count = adapter_run_outputs(o->adapter, err);
        if (err->kind != ERR_NONE)
            return false;
    }
    if (o->adapter) {
        if (!lora_config_read(&s->lora, o->adapter, err))
            return false;
        adapted.lora = &s->lora;
    }
    const int stage = s->stages ? s->stages->rank : 0, stages = s->stages ? s->stages->size : 1;
    if (!opened_open_stage(&s->base, &adapted, stage, stages, err) ||
        (o->adapter && !o->other_base && !trained_base_check(&s->base.adapted, o->adapter, err)) ||
        !has_room(s, o, err) || !(s->frozen = mem_alloc((size_t)s->base.weights.bytes, err)))
        return false;
    base_warn(s->base.adapted.arch, s->base.adapted.files);
    const bool ok = opened_load(&s->base, s->frozen, 0, 1, err) && opened_shift(&s->base, &s->lora, 0, 0, 1, err);
    adapted_close_files(&s->base.adapted);
    return ok;
}

/* Of all values those of the stage. */
static bool keep_part(Session *s, Err *err)
{
    float *all = s->values;
    s->values = mem_alloc((size_t)(s->base.stage.size + 1) * sizeof(float), err);
    if (s->values)
        stage_take(&s->base.stage, s->base.adapted.table, s->values, all);
    free(all);
    return s->values != NULL;
}

static bool open_adapter(Session *s, const char *adapter, Err *err)
{
    const SlotTable *table = s->base.adapted.table;
    if (!adapter)
        return true;
    s->values = mem_alloc((size_t)table->size * sizeof(float), err);
    if (!s->values)
        return false;
    memset(s->values, 0, (size_t)table->size * sizeof(float));
    if (!slots_read_adapter(s->values, table, adapter, err))
        return false;
    const double weight = s->lora.ada.orth_reg_weight;
    s->penalty = table->triplets > 0 ? weight * orthogonality(NULL, table, s->values, weight) : 0;
    return !s->stages || keep_part(s, err);
}

static int threads_of(const SessionOptions *o)
{
    const int cores = (int)sysconf(_SC_NPROCESSORS_ONLN), ranks = o->groups ? o->groups->node.size : 1;
    return o->threads > 0 ? o->threads : cores > ranks ? cores / ranks : 1;
}

static bool open_flights(Session *s, Err *err)
{
    const FlightsOptions o = { .lane = s->stages,
                               .model = s->model,
                               .C = s->base.adapted.arch->C,
                               .most_tokens = s->most_tokens,
                               .count = 1,
                               .size = { 1, 1, 1, 0 } }; /* batches are in the session's room */
    return !s->stages || flights_open(&s->flights, &o, err);
}

static bool open_all(Session *s, const SessionOptions *o, Err *err)
{
    *s = (Session){ .max_length = o->max_length, .most_tokens = o->most_tokens, .whole = o->whole };
    s->stages = o->groups && o->groups->pipeline.size > 1 ? &o->groups->pipeline : NULL;
    Arithmetic arithmetic;
    if (!arithmetic_start(&arithmetic, o->arithmetic, o->precision != PRECISION_FP32, false, err))
        return false;
    char *name = o->model ? xstrdup(o->model) : adapter_run_base(o->adapter, err);
    bool ok = name && open_base(s, o, name, err) && open_adapter(s, o->adapter, err);
    free(name);
    if (!ok)
        return false;
    const bool images = s->base.adapted.arch->image_size > 0; /* each has as many rows as the model has positions */
    const bool two = s->base.adapted.arch->source_layers > 0; /* each stack has positions of its own */
    if ((s->max_length > s->base.adapted.arch->positions && !two) || images)
        s->max_length = s->base.adapted.arch->positions;
    const int64_t least = s->max_length * (o->lanes > 1 ? o->lanes : 1);
    if (s->most_tokens < least)
        s->most_tokens = least;
    const int64_t sequences = images ? s->most_tokens / s->max_length : s->most_tokens;
    const int threads = threads_of(o);
    arithmetic_threads(threads);
    const ModelOptions options = { .most_tokens = s->most_tokens,
                                   .most_sequences = sequences,
                                   .longest = s->max_length,
                                   .threads = threads,
                                   .most_R = LINEAR_PARTS_MOST * o->most_rank,
                                   .most_labels = o->most_labels,
                                   .untyped = !task_passes_types(s->base.adapted.arch->head.task, s->whole),
                                   .loss = o->loss,
                                   .stage = s->stages ? &s->base.stage : NULL };
    const HeadArch *head = &s->base.adapted.arch->head;
    const int64_t width = head->problem == PROBLEM_MULTI_LABEL || head->task->spans ? head->labels : 1;
    const BatchSize size = { s->most_tokens, sequences, width, pictures_floats(s->base.adapted.arch) };
    if (images && !pictures_process(&s->process, s->base.adapted.arch, err))
        return false;
    s->logits = mem_alloc((size_t)measure_logits(s->base.adapted.arch, s->most_tokens, sequences) * sizeof(float), err);
    return s->logits && batch_room(&s->room, &size, err) &&
           (s->model = model_open(s->base.adapted.arch, s->base.adapted.table, &s->base.weights, &options, err)) &&
           open_flights(s, err);
}

static void tell_exchanged(const char *adapter)
{
    char *exchanged = adapter ? run_facts_exchanged(adapter) : NULL;
    if (exchanged)
        log_warn("adapter", "%s", exchanged);
    free(exchanged);
}

/* A model that was trained whole needs no other, and there is no adapter. */
bool session_open(Session *s, const SessionOptions *options, Err *err)
{
    SessionOptions o = *options;
    tell_exchanged(o.adapter);
    if (o.adapter && run_folder_is_model(o.adapter)) {
        o.model = o.adapter;
        o.adapter = NULL;
        o.whole = true;
    }
    return open_all(s, &o, err);
}

void session_close(Session *s)
{
    flights_release(&s->flights);
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
    const TextEngineOptions o = { .arch = s->base.adapted.arch,
                                  .model = s->model,
                                  .values = s->values,
                                  .longest = s->max_length,
                                  .lanes = lanes,
                                  .stages = s->stages };
    return text_engine_open(engine, &o, err);
}
