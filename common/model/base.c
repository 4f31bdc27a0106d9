#include "common/model/base.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/model/stored.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- tensors that are missing, or shaped otherwise -------------------------------------------- */

static bool fits(const TensorView *t, const ModelArch *arch, const Module *m, bool bias)
{
    int64_t dim[4];
    const int dims = stored_shape(arch, m, bias, dim);
    return tensor_has_shape(t, dims, dim);
}

/* A head alone may have any library's name. */
static bool has_any(const SafeTensors *files, const ModelArch *arch)
{
    for (int i = 0; i < arch->module_count; i++)
        if (!arch->modules[i].is_new && stored_find(files, arch, &arch->modules[i], false))
            return true;
    return false;
}

/* What is put before all names by torch's DataParallel and compile; another family's prefix is none. */
static bool is_wrapper(const char *name)
{
    return text_starts(name, "module.") || text_starts(name, "_orig_mod.");
}

/* A tensor that has one of the module's names behind something else ("module.bert.…"), or NULL. */
static const char *find_behind(const SafeTensors *files, const ModelArch *arch, const Module *m, bool bias)
{
    const char *found = NULL;
    char *name;
    for (int k = 0; !found && (name = stored_name(arch, m, bias, k)); k++) {
        char *end = xprintf(".%s", name);
        for (int64_t t = 0; !found && t < safetensors_count(files); t++) {
            const char *there = safetensors_at(files, t)->name;
            if (text_ends(there, end) && (stored_prefix(arch, name) > 0 || is_wrapper(there)))
                found = there;
        }
        free(end);
        free(name);
    }
    return found;
}

static bool missing(const SafeTensors *files, const ModelArch *arch, const Module *m, bool bias, Err *err)
{
    const int64_t count = safetensors_count(files);
    const char *first = count ? safetensors_at(files, 0)->name : "";
    const char *kind = arch->family->task_class[arch->head.task->type];
    const char *behind = find_behind(files, arch, m, bias);
    const bool any = has_any(files, arch);
    char *name = stored_name(arch, m, bias, 0);
    err_set(err, ERR_INPUT, "there is no tensor '%s'%s", name, any ? "" : ", nor any other of such a model");
    err_at(err, "%s", count ? safetensors_at(files, 0)->file : arch->folder);
    if (behind && !any)
        err_hint(err, "there is '%s': names begin with '%s' or without it, take off what stands before", behind,
                 arch->family->prefix);
    else if (!any)
        err_hint(err,
                 "its %lld tensors ('%s', …) have not the names that Transformers gives to a %s; those of "
                 "another library (torchvision, timm, fairseq …) have to be converted first",
                 (long long)count, first, kind);
    else
        err_hint(err,
                 "it is looked for with and without '%s'; there are %lld tensors, the first is "
                 "'%s' (`lora inspect %s` lists them)",
                 arch->family->prefix, (long long)count, first, arch->folder);
    free(name);
    return false;
}

static bool misshapen(const TensorView *t, const ModelArch *arch, const Module *m, bool bias, Err *err)
{
    Text has = { 0 }, wanted = { 0 };
    int64_t dim[4];
    const int dims = stored_shape(arch, m, bias, dim);
    shape_write(&has, t->dims, t->dim);
    shape_write(&wanted, dims, dim);
    err_set(err, ERR_INPUT, "its shape is %s, %s %s", has.data, m->is_new ? "this run needs" : "config.json says",
            wanted.data);
    text_release(&has);
    text_release(&wanted);
    err_at(err, "%s: %s", t->file, t->name);
    return m->is_new
               ? err_hint(err, "the file holds a head for other labels than the run or the adapter: set `labels:` "
                               "to its number, or use the model's body without its head")
               : err_hint(err, "config.json and the weights are of different models");
}

/* ---- what is read -------------------------------------------------------------------------------- */

/* What a walk over the files finds. */
typedef struct BaseWalk {
    const ModelArch *arch;
    const SafeTensors *files;
    bool *read; /* [safetensors_count] */
    bool bare; /* names come without the family's prefix */
    char *head; /* "lm_head.": where the task's head lies, when it is read; owned */
    bool head_is_new; /* it is one of those that a run may begin anew */
    char *stack; /* "encoder.layer.": where the layers lie in the body, before their number; owned */
    char *old_stack; /* the same before the family's renames, or NULL; owned */
} BaseWalk;

/* Path of the first layer's first module up to its number, without the prefix. Owned. */
static char *stack_of(const ModelArch *arch, const char *path)
{
    const size_t skip = stored_prefix(arch, path);
    const char *number = strstr(path + skip, ".0.");
    return number ? xstrndup(path + skip, (size_t)(number + 1 - path) - skip) : NULL;
}

static void find_stack(BaseWalk *w)
{
    for (int i = 0; i < w->arch->module_count && !w->stack; i++) {
        const Module *m = &w->arch->modules[i];
        if (m->layer != 0)
            continue;
        char *old = arch_old_path(w->arch, m->path);
        w->stack = stack_of(w->arch, m->path);
        w->old_stack = old ? stack_of(w->arch, old) : NULL;
        free(old);
    }
}

/* The first part of the head's path. A new head that is not in the files has no place there. */
static void take_head(BaseWalk *w, const Module *m, bool found)
{
    if (w->head || stored_in_body(w->arch, m) || (m->is_new && !found))
        return;
    w->head = xprintf("%.*s.", (int)strcspn(m->path, "."), m->path);
    w->head_is_new = m->is_new;
}

static bool read_one(BaseWalk *w, const Module *m, bool bias, Err *err)
{
    const TensorView *t = stored_source(w->files, w->arch, m, bias);
    if (t)
        w->read[t - safetensors_at(w->files, 0)] = true;
    if (!bias)
        take_head(w, m, t != NULL);
    if (!t)
        return m->is_new || m->tied || missing(w->files, w->arch, m, bias, err);
    return fits(t, w->arch, m, bias) || misshapen(t, w->arch, m, bias, err);
}

static bool walk_init(BaseWalk *w, const ModelArch *arch, const SafeTensors *files, Err *err)
{
    const int64_t count = safetensors_count(files);
    *w = (BaseWalk){ .arch = arch, .files = files, .bare = true };
    w->read = xcalloc((size_t)count + 1, sizeof *w->read);
    for (int64_t t = 0; t < count && w->bare; t++)
        w->bare = stored_prefix(arch, safetensors_at(files, t)->name) == 0;
    find_stack(w);
    bool ok = true;
    for (int i = 0; ok && i < arch->module_count; i++) {
        const Module *m = &arch->modules[i];
        ok = read_one(w, m, false, err) && (!m->bias || read_one(w, m, true, err));
    }
    return ok;
}

static void walk_release(BaseWalk *w)
{
    free(w->read);
    free(w->head);
    free(w->stack);
    free(w->old_stack);
}

/* ---- what is left over ------------------------------------------------------------------------------ */

typedef enum {
    LEFT_FINE, /* a known buffer or head, or a layer that the run does without */
    LEFT_LAYER, /* of a layer behind those of config.json */
    LEFT_INSIDE, /* of the body, or of a head that the model cannot do without */
    LEFT_BESIDE /* what somebody added beside the body; the rest of a head for another task */
} Left;

static bool matches(const char *const *patterns, const char *name)
{
    for (; patterns && *patterns; patterns++)
        if (fnmatch(*patterns, name, 0) == 0)
            return true;
    return false;
}

/* name: without the prefix. -1: of no layer. */
static int64_t layer_in(const char *stack, const char *name)
{
    if (!stack || !text_starts(name, stack) || !isdigit((unsigned char)name[strlen(stack)]))
        return -1;
    return strtoll(name + strlen(stack), NULL, 10);
}

static Left judge(const BaseWalk *w, const char *name)
{
    const Family *family = w->arch->family;
    const size_t prefix = stored_prefix(w->arch, name);
    const bool prefixed = prefix > 0;
    const char *inside = name + prefix;
    if (matches(family->zeros, name))
        return LEFT_FINE; /* check_zeros */
    if (!prefixed && w->head && text_starts(name, w->head))
        return w->head_is_new ? LEFT_BESIDE : LEFT_INSIDE;
    if (!prefixed && matches(family->heads, name))
        return LEFT_FINE;
    if (!prefixed && !w->bare)
        return LEFT_BESIDE;
    if (matches(family->idle, inside))
        return LEFT_FINE;
    if (layer_in(w->stack, inside) >= w->arch->layers || layer_in(w->old_stack, inside) >= w->arch->layers)
        return w->arch->layers_chosen ? LEFT_FINE : LEFT_LAYER;
    return LEFT_INSIDE;
}

/* The first of config.json's architectures, or NULL. */
static const char *architecture_of(const ModelArch *arch)
{
    const json_t *names = json_object_get(arch->config, "architectures");
    return json_string_value(json_array_get(names, 0));
}

static const char quantised[] = "its weights are quantised: take the model in bf16, f16 or f32";

/* What the marks mean that other tools leave on the names of a layer's weights; NULL: nothing known. */
static const char *known_mark(const char *name)
{
    static const struct {
        const char *part, *words;
    } marks[] = {
        { ".lora_",
          "it holds an adapter that is not merged: take the base itself, or merge it (PEFT, merge_and_unload)" },
        { ".weight_scale", quantised },
        { ".absmax", quantised },
        { ".quant_", quantised },
        { ".input_scale", quantised },
        { ".weight_zero_point", quantised },
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strstr(name, marks[i].part))
            return marks[i].words;
    return NULL;
}

static bool hint_left(const ModelArch *arch, Left kind, const char *first, Err *err)
{
    const char *mark = known_mark(first), *class_name = architecture_of(arch);
    if (mark)
        return err_hint(err, "%s", mark);
    if (kind == LEFT_LAYER)
        return err_hint(err,
                        "config.json says %lld layers, the files hold more; to use the first %lld on purpose say so "
                        "in the run file, as model_config: {num_hidden_layers: %lld}",
                        (long long)arch->layers, (long long)arch->layers, (long long)arch->layers);
    return err_hint(
        err,
        "config.json says model_type '%s'%s%s%s: without them it would be another model than the one that was "
        "trained, so the weights are of another kind, or config.json lacks a key",
        arch->family->model_type, class_name ? " and architectures '" : "", class_name ? class_name : "",
        class_name ? "'" : "");
}

static bool check_left(const BaseWalk *w, Err *err)
{
    Text names = { 0 };
    const TensorView *first = NULL;
    Left kind = LEFT_FINE;
    int count = 0;
    for (int64_t t = 0; t < safetensors_count(w->files); t++) {
        const TensorView *tensor = safetensors_at(w->files, t);
        const Left left = w->read[t] ? LEFT_FINE : judge(w, tensor->name);
        if (left != LEFT_LAYER && left != LEFT_INSIDE)
            continue;
        if (!first || (kind == LEFT_LAYER && left == LEFT_INSIDE)) {
            first = tensor;
            kind = left;
        }
        text_sample(&names, &count, tensor->name);
    }
    if (count > 0) {
        err_set(err, ERR_INPUT, "nothing reads %s of the model's tensors", text_sampled(&names, count));
        err_at(err, "%s", first->file);
        hint_left(w->arch, kind, first->name, err);
    }
    text_release(&names);
    return count == 0;
}

static bool is_zero(const TensorView *t, Err *err)
{
    enum { MOST = 1024 };
    float some[MOST];
    for (int64_t at = 0; at < t->count; at += MOST) {
        const int64_t n = t->count - at < MOST ? t->count - at : MOST;
        if (!tensor_to_f32(some, t, at, n, err))
            return false;
        for (int64_t i = 0; i < n; i++)
            if (some[i] != 0.0f) {
                err_set(err, ERR_INPUT, "number %lld of it is %g, and nothing here adds it", (long long)(at + i),
                        (double)some[i]);
                err_hint(err, "models whose '%s' is 0, as it begins, are supported", t->name);
                return err_at(err, "%s: %s", t->file, t->name);
            }
    }
    return true;
}

static bool check_zeros(const BaseWalk *w, Err *err)
{
    bool ok = true;
    for (int64_t t = 0; ok && t < safetensors_count(w->files); t++) {
        const TensorView *tensor = safetensors_at(w->files, t);
        ok = !matches(w->arch->family->zeros, tensor->name) || is_zero(tensor, err);
    }
    return ok;
}

bool base_check(const ModelArch *arch, const SafeTensors *files, Err *err)
{
    BaseWalk w;
    const bool ok = walk_init(&w, arch, files, err) && check_left(&w, err) && check_zeros(&w, err);
    walk_release(&w);
    return ok;
}

/* ---- doubts --------------------------------------------------------------------------------------------- */

/* "Bert" of "BertForSequenceClassification": how the family's classes begin. */
static size_t stem_size(const char *class_name)
{
    const char *end = strstr(class_name, "For");
    if (!end)
        end = strstr(class_name, "LMHead");
    return end ? (size_t)(end - class_name) : strlen(class_name);
}

/* Qwen2MoeForCausalLM is no Qwen2. Old files write LLaMAForCausalLM. */
static bool is_like(const char *ours, const char *name)
{
    static const char *const ends[] = { "For", "Model", "LMHead", "DoubleHeads", "PreTrained" };
    const size_t n = stem_size(ours);
    if (strncasecmp(name, ours, n) != 0)
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (text_starts(name + n, ends[i]))
            return true;
    return name[n] == '\0';
}

/* Classes of one family may begin differently (Gemma3ForCausalLM, Gemma3TextForSequenceClassification). */
static bool is_of_family(const Family *family, const char *name)
{
    for (size_t task = 0; task < LENGTH(family->task_class); task++)
        if (family->task_class[task] && is_like(family->task_class[task], name))
            return true;
    return false;
}

static void doubt_architectures(const ModelArch *arch, Text *out)
{
    const json_t *names = json_object_get(arch->config, "architectures");
    Text others = { 0 };
    int count = 0;
    bool fits = false; /* one of them is enough */
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        fits = fits || (name && is_of_family(arch->family, name));
        if (name)
            text_sample(&others, &count, name);
    }
    if (count > 0 && !fits)
        text_addf(out,
                  "config.json contradicts itself: its architectures say %s, its model_type says '%s', and that is "
                  "how it is read\n",
                  text_sampled(&others, count), arch->family->model_type);
    text_release(&others);
}

static void doubt_tensors(const BaseWalk *w, Text *out)
{
    Text names = { 0 };
    int count = 0;
    for (int64_t t = 0; t < safetensors_count(w->files); t++) {
        const char *name = safetensors_at(w->files, t)->name;
        if (!w->read[t] && judge(w, name) == LEFT_BESIDE)
            text_sample(&names, &count, name);
    }
    if (count > 0)
        text_addf(out, "nothing reads %s of the model's tensors: they are no part of its body\n",
                  text_sampled(&names, count));
    text_release(&names);
}

void base_doubts(const ModelArch *arch, const SafeTensors *files, Text *out)
{
    BaseWalk w;
    Err err = { 0 };
    doubt_architectures(arch, out);
    if (!files)
        return;
    if (walk_init(&w, arch, files, &err))
        doubt_tensors(&w, out);
    walk_release(&w);
}

void base_warn(const ModelArch *arch, const SafeTensors *files)
{
    Text lines = { 0 };
    base_doubts(arch, files, &lines);
    for (char *rest = lines.data, *line; rest && (line = strsep(&rest, "\n"));)
        if (*line)
            log_warn("model", "%s", line);
    text_release(&lines);
}
