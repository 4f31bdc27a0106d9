#include "common/model/saved.h"

#include "common/base/mem.h"
#include "common/model/stored.h"

#include <stdlib.h>
#include <string.h>

/* As the base's file has it, but with the prefix that the task's class has. Owned. */
static char *saved_name(const ModelArch *arch, const Module *m, bool bias, const TensorView *own)
{
    if (!own)
        return stored_name(arch, m, bias, 0);
    if (!stored_in_body(arch, m))
        return xstrdup(own->name);
    return xprintf("%s%s", arch->prefix, own->name + stored_prefix(arch, own->name));
}

static Dtype kept(const TensorView *source)
{
    return source->dtype == DTYPE_F16 || source->dtype == DTYPE_BF16 ? source->dtype : DTYPE_F32;
}

/* What a tensor that the files have not is written as: what the model's first one is. */
static Dtype usual(const ModelArch *arch, const SafeTensors *files)
{
    for (int i = 0; i < arch->module_count; i++) {
        const TensorView *source = stored_find(files, arch, &arch->modules[i], false);
        if (source)
            return kept(source);
    }
    return DTYPE_F32;
}

static void add(SavedModel *saved, const SafeTensors *files, int module, bool bias, Dtype dtype)
{
    const ModelArch *arch = saved->arch;
    const Module *m = &arch->modules[module];
    SavedTensor *t = &saved->tensors[saved->count++];
    *t = (SavedTensor){ .module = module, .bias = bias, .count = 1 };
    t->name = saved_name(arch, m, bias, stored_find(files, arch, m, bias));
    t->source = stored_source(files, arch, m, bias);
    t->dtype = dtype != DTYPE_OTHER ? dtype : t->source ? kept(t->source) : saved->dtype;
    t->dims = stored_shape(arch, m, bias, t->dim);
    for (int d = 0; d < t->dims; d++)
        t->count *= t->dim[d];
    if (t->count > saved->largest)
        saved->largest = t->count;
}

void saved_open(SavedModel *saved, const ModelArch *arch, const SafeTensors *files, Dtype dtype, bool untied)
{
    *saved = (SavedModel){ .arch = arch, .untied = untied, .dtype = dtype != DTYPE_OTHER ? dtype : usual(arch, files) };
    saved->tensors = xcalloc(2 * (size_t)arch->module_count, sizeof *saved->tensors);
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        if (!m->tied || untied || !stored_is_tied(files, arch, m)) /* T5 v1.1: files may hold a head of their own */
            add(saved, files, i, false, dtype);
        if (arch->modules[i].bias)
            add(saved, files, i, true, dtype);
    }
}

void saved_release(SavedModel *saved)
{
    for (int i = 0; i < saved->count; i++)
        free(saved->tensors[i].name);
    free(saved->tensors);
    *saved = (SavedModel){ 0 };
}
