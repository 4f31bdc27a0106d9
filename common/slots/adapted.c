#include "common/slots/adapted.h"

#include "common/base/digest.h"

#include <stdlib.h>

AdaptedOptions adapted_of(const Config *c)
{
    return (AdaptedOptions){ .model = c->model,
                             .model_config = c->model_config,
                             .task = c->task,
                             .labels = &c->labels,
                             .label_count = c->label_count,
                             .problem = c->problem_type,
                             .lora = &c->lora };
}

bool adapted_open(Adapted *s, const AdaptedOptions *o, Err *err)
{
    *s = (Adapted){ 0 };
    char *folder = model_find(o->model, err);
    if (folder)
        s->arch = arch_open(folder, o->model_config, o->task, o->labels, o->label_count, o->problem, err);
    free(folder);
    if (s->arch && o->lora && !(s->table = slots_open(s->arch, o->lora, err)) && o->lora_from)
        err_at(err, "%s", o->lora_from);
    if (s->arch && (s->table || !o->lora))
        return true;
    adapted_release(s);
    return false;
}

void adapted_release(Adapted *s)
{
    adapted_close_files(s);
    slots_close(s->table);
    arch_close(s->arch);
    *s = (Adapted){ 0 };
}

bool adapted_open_files(Adapted *s, Err *err)
{
    s->files = safetensors_open_model(s->arch->folder, err);
    return s->files != NULL;
}

void adapted_close_files(Adapted *s)
{
    safetensors_close(s->files);
    s->files = NULL;
}

uint64_t adapted_digest(const Adapted *s)
{
    return digest_fast_more(safetensors_digest(s->files), &(uint64_t){ arch_digest(s->arch) }, sizeof(uint64_t));
}
