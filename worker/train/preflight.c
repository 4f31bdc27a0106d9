#include "worker/train/preflight.h"

#include "common/model/base.h"
#include "common/slots/adapted.h"
#include "common/slots/init_adapter.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/data/pictures.h"
#include "worker/eval/generate.h"
#include "worker/train/find_labels.h"
#include "worker/train/settings.h"
#include "worker/train/stages.h"

static bool check_weights(Adapted *adapted, Err *err)
{
    const bool ok = adapted_open_files(adapted, err) && base_check(adapted->arch, adapted->files, err);
    adapted_close_files(adapted);
    return ok;
}

static bool check_files(const Config *c, const ModelArch *arch, const Tokenizer *tokenizer, Err *err)
{
    const StringList *lists[] = { &c->data.train, &c->data.validation };
    for (int i = 0; i < 2; i++) {
        const DatasetOptions o = settings_data(c, lists[i]);
        if (lists[i]->count > 0 &&
            (!dataset_probe(&o, arch, tokenizer, err) || !dataset_can_keep(&o, arch, tokenizer, err)))
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
                    (!c->data.generate ||
                     generate_options(&generate, &c->data, c->train.seed, arch, arch->positions, tokenizer, err));
    tokenizer_close(tokenizer);
    return ok;
}

bool preflight(Config *c, Err *err)
{
    bool found;
    Adapted adapted = { 0 };
    Arithmetic arithmetic;
    const bool packed = c->train.precision != PRECISION_FP32;
    bool ok = arithmetic_start(&arithmetic, c->parallel.arithmetic, packed, true, err) && /* workers say what is odd */
              init_adapter_take(c, NULL, err) && find_labels(c, &found, err);
    const AdaptedOptions o = adapted_of(c);
    ok = ok && adapted_open(&adapted, &o, err);
    const ModelArch *arch = adapted.arch;
    ok = ok && stages_check_model(c, arch, adapted.table, err) && check_weights(&adapted, err) &&
         (arch->image_size > 0 ? check_images(c, arch, err) : check_texts(c, arch, err));
    adapted_release(&adapted);
    return ok;
}
