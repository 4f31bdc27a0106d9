#include "worker/open/opened.h"

#include "common/slots/inits.h"

/* NULL without an error: a model of images. */
static bool open_tokenizer(Tokenizer **tokenizer, const ModelArch *arch, Err *err)
{
    *tokenizer = arch->image_size > 0 ? NULL : tokenizer_open(arch->folder, err);
    return *tokenizer || arch->image_size > 0;
}

bool opened_open_stage(Opened *o, const AdaptedOptions *options, int index, int count, Err *err)
{
    *o = (Opened){ 0 };
    return adapted_open(&o->adapted, options, err) && open_tokenizer(&o->tokenizer, o->adapted.arch, err) &&
           stage_init(&o->stage, o->adapted.arch, o->adapted.table, index, count, err) &&
           adapted_open_files(&o->adapted, err) &&
           weights_plan_beside(&o->weights, o->adapted.table, count > 1 ? &o->stage : NULL, o->adapted.files,
                               options->precision, err);
}

bool opened_open(Opened *o, const AdaptedOptions *options, Err *err)
{
    return opened_open_stage(o, options, 0, 1, err);
}

void opened_release(Opened *o)
{
    weights_release(&o->weights);
    stage_release(&o->stage);
    tokenizer_close(o->tokenizer);
    adapted_release(&o->adapted);
    *o = (Opened){ 0 };
}

bool opened_load(Opened *o, void *data, int part, int parts, Err *err)
{
    o->weights.data = data;
    return weights_load(&o->weights, o->adapted.files, part, parts, err);
}

uint64_t opened_digest(Opened *o, int part, int parts)
{
    return weights_digest(&o->weights, o->adapted.files, part, parts);
}

bool opened_shift(Opened *o, const LoraConfig *lora, uint64_t seed, int part, int parts, Err *err)
{
    bool ok = true;
    for (int i = part; ok && inits_shift(lora) && i < o->adapted.arch->module_count; i += parts)
        ok = !stage_holds(&o->stage, &o->adapted.arch->modules[i]) ||
             inits_shift_base(weights_room(&o->weights, i), o->adapted.table, i, lora, seed, err);
    return ok;
}
