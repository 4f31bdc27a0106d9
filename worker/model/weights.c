#include "worker/model/weights.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16 }; /* floats */

/* ---- names ---------------------------------------------------------------------- */

/* With the family's prefix or none; norms also as old files call them: gamma, beta. */
static const TensorView *find(const SafeTensors *files, const ModelArch *arch, const Module *m,
                              bool bias)
{
    static const char *const names[2][2] = { { "weight", "gamma" }, { "bias", "beta" } };
    const TensorView *found = NULL;
    for (int k = 0; !found && k < (m->kind == MODULE_NORM ? 2 : 1); k++) {
        char *name = xprintf("%s.%s", m->path, names[bias][k]);
        found = safetensors_find(files, name);
        if (!found && text_starts(name, arch->family->prefix))
            found = safetensors_find(files, name + strlen(arch->family->prefix));
        free(name);
    }
    return found;
}

static int64_t weight_count(const Module *m)
{
    return m->kind == MODULE_NORM ? m->out : m->out * m->in;
}

static bool has_shape(const TensorView *t, const Module *m, bool bias)
{
    if (bias || m->kind == MODULE_NORM)
        return t->dims == 1 && t->dim[0] == m->out;
    return t->dims == 2 && t->dim[0] == m->out && t->dim[1] == m->in;
}

static bool missing(const SafeTensors *files, const ModelArch *arch, const Module *m, bool bias,
                    Err *err)
{
    const int64_t count = safetensors_count(files);
    err_set(err, ERR_INPUT, "there is no tensor '%s.%s'", m->path, bias ? "bias" : "weight");
    err_at(err, "%s", count ? safetensors_at(files, 0)->file : arch->folder);
    return err_hint(err,
                    "it is looked for with and without '%s'; there are %lld tensors, the first is "
                    "'%s' (`lora inspect %s` lists them)",
                    arch->family->prefix, (long long)count,
                    count ? safetensors_at(files, 0)->name : "", arch->folder);
}

static bool misshapen(const TensorView *t, const Module *m, bool bias, Err *err)
{
    Text has = { 0 }, wanted = { 0 };
    for (int d = 0; d < t->dims; d++)
        text_addf(&has, "%s%lld", d ? ", " : "", (long long)t->dim[d]);
    text_addf(&wanted, "%lld", (long long)m->out);
    if (!bias && m->kind != MODULE_NORM)
        text_addf(&wanted, ", %lld", (long long)m->in);
    err_set(err, ERR_INPUT, "its shape is [%s], config.json says [%s]", has.data ? has.data : "",
            wanted.data);
    text_release(&has);
    text_release(&wanted);
    err_at(err, "%s: %s", t->file, t->name);
    return m->is_new
               ? err_hint(
                     err,
                     "the file holds a head for other labels: set `labels:` to its number, or use "
                     "the model's body without its head")
               : err_hint(err, "config.json and the weights are of different models");
}

static bool check(const SafeTensors *files, const ModelArch *arch, const Module *m, bool bias,
                  Err *err)
{
    const TensorView *t = find(files, arch, m, bias);
    if (!t && m->is_new)
        return true;
    if (!t)
        return missing(files, arch, m, bias, err);
    return has_shape(t, m, bias) || misshapen(t, m, bias, err);
}

/* ---- layout ------------------------------------------------------------------------ */

static void place(int64_t *at, int64_t *offset, int64_t count)
{
    *offset = *at;
    *at += count;
}

static int64_t aligned(int64_t at)
{
    return (at + ALIGN - 1) / ALIGN * ALIGN;
}

/* q, k and v of a layer: their weights one behind the other, then their biases. */
static void place_qkv(Weights *w, int64_t *at, int layer)
{
    static const Role roles[] = { ROLE_Q, ROLE_K, ROLE_V };
    const int q = arch_module_index(w->arch, layer, ROLE_Q);
    *at = aligned(*at);
    for (int i = 0; i < 3; i++) {
        const int m = arch_module_index(w->arch, layer, roles[i]);
        place(at, &w->modules[m].weight, weight_count(&w->arch->modules[m]));
    }
    *at = aligned(*at);
    for (int i = 0; i < 3; i++) {
        const int m = arch_module_index(w->arch, layer, roles[i]);
        w->modules[m].bias = -1;
        REQUIRE(w->arch->modules[m].bias == w->arch->modules[q].bias); /* all or none */
        if (w->arch->modules[m].bias)
            place(at, &w->modules[m].bias, w->arch->modules[m].out);
    }
}

static void lay_out(Weights *w)
{
    int64_t at = 0;
    for (int i = 0; i < w->arch->module_count; i++) {
        const Module *m = &w->arch->modules[i];
        if (m->role == ROLE_K || m->role == ROLE_V)
            continue;
        if (m->role == ROLE_Q) {
            place_qkv(w, &at, m->layer);
            continue;
        }
        at = aligned(at);
        place(&at, &w->modules[i].weight, weight_count(m));
        at = aligned(at);
        w->modules[i].bias = -1;
        if (m->bias)
            place(&at, &w->modules[i].bias, m->out);
    }
    w->size = aligned(at);
}

bool weights_plan(Weights *w, const ModelArch *arch, const SafeTensors *files, Err *err)
{
    *w = (Weights){ .arch = arch,
                    .modules = xcalloc((size_t)arch->module_count, sizeof *w->modules) };
    for (int i = 0; i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        if (!check(files, arch, m, false, err) || (m->bias && !check(files, arch, m, true, err))) {
            weights_release(w);
            return false;
        }
    }
    lay_out(w);
    return true;
}

void weights_release(Weights *w)
{
    free(w->modules);
    *w = (Weights){ 0 };
}

/* ---- loading ------------------------------------------------------------------------- */

/* The part [begin, end) of the block, as far as it lies in this tensor's place. */
static bool load_tensor(const Weights *w, const TensorView *t, int64_t offset, int64_t count,
                        int64_t begin, int64_t end, Err *err)
{
    const int64_t from = offset > begin ? offset : begin;
    const int64_t to = offset + count < end ? offset + count : end;
    if (from >= to)
        return true;
    if (t)
        return tensor_to_f32(w->data + from, t, from - offset, to - from, err);
    memset(w->data + from, 0, (size_t)(to - from) * sizeof *w->data);
    return true;
}

bool weights_load(const Weights *w, const SafeTensors *files, int part, int parts, Err *err)
{
    REQUIRE(w->data && part >= 0 && part < parts);
    const int64_t begin = w->size * part / parts, end = w->size * (part + 1) / parts;
    for (int i = 0; i < w->arch->module_count; i++) {
        const Module *m = &w->arch->modules[i];
        const WeightSpan *at = &w->modules[i];
        if (!load_tensor(w, find(files, w->arch, m, false), at->weight, weight_count(m), begin, end,
                         err))
            return false;
        if (m->bias &&
            !load_tensor(w, find(files, w->arch, m, true), at->bias, m->out, begin, end, err))
            return false;
    }
    return true;
}
