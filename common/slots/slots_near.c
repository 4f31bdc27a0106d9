#include "common/slots/slots_near.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

bool near_is_parent(const ModelArch *arch, const char *name)
{
    const size_t k = strlen(name);
    for (int i = 0; i < arch->module_count; i++) {
        const char *path = arch->modules[i].path;
        for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
            const size_t n = (size_t)(dot - path);
            if (k <= n && strncmp(dot - k, name, k) == 0 && (k == n || dot[-(ptrdiff_t)k - 1] == '.'))
                return true;
        }
    }
    return false;
}

/* The last `parts` parts of a path, or the whole. */
static const char *tail(const char *path, int parts)
{
    const char *at = path + strlen(path);
    while (at > path) {
        if (at[-1] == '.' && --parts == 0)
            return at;
        at--;
    }
    return path;
}

/* Adds what is not there yet; names[0, *count). */
static void add(const char **names, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return;
    names[(*count)++] = name;
}

/* Ends of one and two parts, once each: what people write into target_modules. */
static size_t list_ends(const ModelArch *arch, int parts, bool linear_only, const char **names)
{
    size_t count = 0;
    for (int p = 1; p <= parts; p++)
        for (int i = 0; i < arch->module_count; i++)
            if (!linear_only || arch->modules[i].kind == MODULE_LINEAR || arch->modules[i].kind == MODULE_CONV)
                add(names, &count, tail(arch->modules[i].path, p));
    return count;
}

bool near_error(const ModelArch *arch, const char *key, const char *name, Err *err)
{
    const char **names = xcalloc(2 * (size_t)arch->module_count, sizeof *names);
    const bool linear_only = strcmp(key, "target_modules") == 0;
    const char *near = text_nearest(name, names, list_ends(arch, 2, linear_only, names));
    const size_t count = list_ends(arch, 1, linear_only, names);
    Text hint = { 0 };
    if (near)
        text_addf(&hint, "did you mean '%s'? ", near);
    text_adds(&hint, "names that do: ");
    for (size_t i = 0; i < count; i++)
        text_addf(&hint, "%s%s", i > 0 ? ", " : "", names[i]);
    const bool parent = near_is_parent(arch, name);
    err_set(err, ERR_INPUT,
            parent ? "'%s' is no module with weights, but the parent of some" : "'%s' matches no module of this model",
            name);
    err_hint(err, "%s", hint.data);
    text_release(&hint);
    free(names);
    return err_at(err, "lora.%s", key);
}
