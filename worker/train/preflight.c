#include "worker/train/preflight.h"

#include "common/model/base.h"
#include "common/slots/init_adapter.h"
#include "common/slots/slots.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/data/pictures.h"
#include "worker/eval/generate.h"
#include "worker/train/find_labels.h"
#include "worker/train/settings.h"

#include <stdlib.h>

static ModelArch *open_arch(const Config *c, Err *err)
{
    char *folder = model_find(c->model, err);
    ModelArch *arch =
        folder ? arch_open(folder, c->model_config, c->task, &c->labels, c->label_count, c->problem_type, err) : NULL;
    free(folder);
    return arch;
}

static bool check_weights(const ModelArch *arch, Err *err)
{
    SafeTensors *files = safetensors_open_model(arch->folder, err);
    const bool ok = files && base_check(arch, files, err);
    safetensors_close(files);
    return ok;
}

static bool check_targets(const Config *c, const ModelArch *arch, Err *err)
{
    SlotTable *table = slots_open(arch, &c->lora, err);
    const bool ok = table != NULL;
    slots_close(table);
    return ok;
}

static bool check_files(const Config *c, const ModelArch *arch, const Tokenizer *tokenizer, Err *err)
{
    const StringList *lists[] = { &c->data.train, &c->data.validation };
    for (int i = 0; i < 2; i++) {
        const DatasetOptions o = settings_data(c, lists[i]);
        if (lists[i]->count > 0 && !dataset_probe(&o, arch, tokenizer, err))
            return false;
    }
    return true;
}

static bool check_images(const Config *c, const ModelArch *arch, Err *err)
{
    ImageProcess process;
    return pictures_process(&process, arch, err) && check_files(c, arch, NULL, err);
}

static bool check_texts(const Config *c, const ModelArch *arch, Err *err)
{
    GenerateOptions generate;
    Tokenizer *tokenizer = tokenizer_open(arch->folder, err);
    const bool ok = tokenizer && check_files(c, arch, tokenizer, err) &&
                    (!c->data.generate || generate_options(&generate, &c->data, c->train.seed, arch->folder,
                                                           arch->positions, tokenizer, err));
    tokenizer_close(tokenizer);
    return ok;
}

bool preflight(Config *c, Err *err)
{
    bool found;
    Arithmetic arithmetic;
    if (!arithmetic_start(&arithmetic, c->parallel.arithmetic, true, err)) /* the workers say what is odd */
        return false;
    ModelArch *arch = init_adapter_take(c, NULL, err) && find_labels(c, &found, err) ? open_arch(c, err) : NULL;
    const bool ok = arch && check_weights(arch, err) && check_targets(c, arch, err) &&
                    (arch->image_size > 0 ? check_images(c, arch, err) : check_texts(c, arch, err));
    arch_close(arch);
    return ok;
}
