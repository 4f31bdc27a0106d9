#include "common/model/stored.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

size_t stored_prefix(const ModelArch *arch, const char *name)
{
    const char *const both[] = { arch->prefix, arch->family->prefix };
    for (int i = 0; i < 2; i++)
        if (text_starts(name, both[i]) && *both[i])
            return strlen(both[i]);
    return 0;
}

bool stored_in_body(const ModelArch *arch, const Module *module)
{
    return text_starts(module->path, arch->prefix);
}

/* What names of the body may begin with: the task's prefix, the family's, nothing. */
static int prefixes_of(const ModelArch *arch, const char *list[3])
{
    const char *const all[] = { arch->prefix, arch->family->prefix, "" };
    int count = 0;
    for (int i = 0; i < 3; i++) {
        bool there = false;
        for (int k = 0; k < count; k++)
            there = there || strcmp(list[k], all[i]) == 0;
        if (!there)
            list[count++] = all[i];
    }
    return count;
}

char *stored_name(const ModelArch *arch, const Module *module, bool bias, int k)
{
    static const char *const ends[2][2] = { { ".weight", ".gamma" }, { ".bias", ".beta" } };
    const bool body = stored_in_body(arch, module);
    const char *list[3] = { "" };
    const int prefixes = body ? prefixes_of(arch, list) : 1;
    const int kinds = module->kind == MODULE_NORM && arch->norm == NORM_LAYER ? 2 : 1;
    char *old = arch_old_path(arch, module->path);
    const int paths = old ? 2 : 1;
    char *name = NULL;
    if (k < paths * prefixes * kinds) {
        const char *path = k % paths == 1 ? old : module->path;
        const char *end = module->kind == MODULE_TENSOR ? "" : ends[bias][k / paths / prefixes];
        name = xprintf("%s%s%s", list[k / paths % prefixes], path + (body ? strlen(arch->prefix) : 0), end);
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
