#include "common/model/stored.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

char *stored_name(const ModelArch *arch, const Module *module, bool bias, int k)
{
    static const char *const ends[2][2] = { { ".weight", ".gamma" }, { ".bias", ".beta" } };
    const bool body = arch->head.task->embeds; /* a path without the prefix, which files may have all the same */
    const int prefixes = body || text_starts(module->path, arch->family->prefix) ? 2 : 1;
    const int kinds = module->kind == MODULE_NORM && arch->norm == NORM_LAYER ? 2 : 1;
    char *old = arch_old_path(arch, module->path);
    const int paths = old ? 2 : 1;
    char *name = NULL;
    if (k < paths * prefixes * kinds) {
        const char *path = k % paths == 1 ? old : module->path;
        const bool other = k / paths % prefixes == 1;
        const char *end = module->kind == MODULE_TENSOR ? "" : ends[bias][k / paths / prefixes];
        name = xprintf("%s%s%s", other && body ? arch->family->prefix : "",
                       path + (other && !body ? strlen(arch->family->prefix) : 0), end);
    }
    free(old);
    return name;
}

char *stored_hub_name(const ModelArch *arch, const Module *module, bool bias)
{
    char *old = arch_old_path(arch, module->path); /* files keep what it was called before */
    const int k = old ? 1 : 0;
    free(old);
    return stored_name(arch, module, bias, k);
}

int stored_shape(const ModelArch *arch, const Module *module, bool bias, int64_t dim[4])
{
    dim[0] = module->out;
    if (bias || module->kind == MODULE_NORM)
        return 1;
    if (module->kind == MODULE_TENSOR) {
        if (module->in == 1) /* a vector */
            return 1;
        dim[0] = 1;
        dim[1] = module->out;
        dim[2] = module->in;
        return 3;
    }
    if (module->role == ROLE_CONV) {
        dim[1] = module->in / arch->conv_kernel;
        dim[2] = arch->conv_kernel;
        return 3;
    }
    if (module->kind == MODULE_CONV) {
        dim[1] = arch->channels;
        dim[2] = dim[3] = arch->patch;
        return 4;
    }
    dim[1] = module->in;
    if (module->transposed) {
        dim[0] = module->in;
        dim[1] = module->out;
    }
    return 2;
}

const TensorView *stored_find(const SafeTensors *files, const ModelArch *arch, const Module *module, bool bias)
{
    const TensorView *found = NULL;
    char *name;
    for (int k = 0; !found && (name = stored_name(arch, module, bias, k)); k++) {
        found = safetensors_find(files, name);
        free(name);
    }
    return found;
}

const TensorView *stored_source(const SafeTensors *files, const ModelArch *arch, const Module *module, bool bias)
{
    const TensorView *found = stored_find(files, arch, module, bias);
    if (found || bias || !arch->tied || !arch->head.task->speaks)
        return found;
    const Role other = module->role == ROLE_HEAD ? ROLE_WORD : ROLE_HEAD;
    const bool tied = module->role == ROLE_HEAD || module->role == ROLE_WORD;
    return tied ? stored_find(files, arch, arch_module(arch, -1, other), false) : NULL;
}

static bool same_tensor(const TensorView *a, const TensorView *b)
{
    return a->dtype == b->dtype && a->bytes == b->bytes &&
           (a->data == b->data || memcmp(a->data, b->data, (size_t)a->bytes) == 0);
}

bool stored_is_tied(const SafeTensors *files, const ModelArch *arch, const Module *module)
{
    if (!module->tied)
        return false;
    const TensorView *own = stored_find(files, arch, module, false);
    const TensorView *word = stored_find(files, arch, arch_module(arch, -1, ROLE_WORD), false);
    return !own || !word || same_tensor(own, word);
}

int64_t stored_count(const Module *module)
{
    return module->kind == MODULE_NORM ? module->out : module->out * module->in;
}
