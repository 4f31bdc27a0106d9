/* DESIGN. Sources: PEFT 0.21, tuners_utils.check_target_module_exists (targets,
 * exclusions, layers), _maybe_include_all_linear_layers, utils/other.py
 * _set_trainable (modules_to_save) and get_pattern_key (rank and alpha patterns).
 *
 * Two rules look alike and are not: a module is *saved* when it or one of its
 * parents ends with a name of modules_to_save, dot or none; it is kept *from LoRA*
 * when a whole part of its path is such a name, read as a regular expression.
 *
 * PEFT says nothing about names that mean no module. Here each list entry of a run has
 * to mean one: a wrong name should not cost a training run. What an adapter's file says
 * is taken as PEFT takes it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/slots/slots_match.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/slots/methods.h"
#include "common/slots/slots_near.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists of names ----------------------------------------------------------- */

bool names_have(const StringList *names, const char *name)
{
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

void names_add(StringList *names, const char *name)
{
    if (names_have(names, name))
        return;
    names->items = xrealloc(names->items, ((size_t)names->count + 1) * sizeof *names->items);
    names->items[names->count++] = xstrdup(name);
}

void names_release(StringList *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (StringList){ 0 };
}

StringList slots_saved_names(const ModelArch *arch, const LoraConfig *lora)
{
    StringList names = { 0 };
    for (int i = 0; i < lora->modules_to_save.count; i++)
        names_add(&names, lora->modules_to_save.items[i]);
    for (const char *const *head = arch->head.task->saved; head && *head; head++)
        names_add(&names, *head);
    const Module *head = arch->head.task->spans ? arch_module(arch, -1, ROLE_HEAD) : NULL;
    if (head && !names_have(&names, head->path)) /* which PEFT would leave as it began: ModernBERT's */
        names_add(&names, head->path);
    return names;
}

/* ---- regular expressions ------------------------------------------------------- */

typedef struct Regex {
    pcre2_code *code;
    pcre2_match_data *data;
} Regex;

static void regex_release(Regex *regex)
{
    pcre2_match_data_free(regex->data);
    pcre2_code_free(regex->code);
    *regex = (Regex){ 0 };
}

/* Python's re.match, or with `whole` re.fullmatch. */
static bool regex_init(Regex *regex, const char *pattern, bool whole, Err *err)
{
    int code;
    size_t at;
    const uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | (whole ? PCRE2_ENDANCHORED : 0);
    regex->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &at, NULL);
    if (!regex->code) {
        PCRE2_UCHAR words[128];
        pcre2_get_error_message(code, words, sizeof words);
        return err_set(err, ERR_INPUT, "'%s' is no regular expression: %s at character %zu", pattern,
                       (const char *)words, at + 1);
    }
    regex->data = pcre2_match_data_create_from_pattern(regex->code, NULL);
    REQUIRE(regex->data);
    return true;
}

static bool regex_match(const Regex *regex, const char *name, bool *yes, Err *err)
{
    const int found = pcre2_match(regex->code, (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0, regex->data, NULL);
    *yes = found >= 0;
    if (found >= 0 || found == PCRE2_ERROR_NOMATCH)
        return true;
    return err_set(err, ERR_INPUT, "a regular expression is too costly on '%s'", name);
}

/* hits[0, modules) = which paths the pattern matches. */
static bool regex_hits(bool *hits, const ModelArch *arch, const char *pattern, bool whole, Err *err)
{
    Regex regex = { 0 };
    bool ok = regex_init(&regex, pattern, whole, err);
    for (int i = 0; ok && i < arch->module_count; i++)
        if (arch->modules[i].kind != MODULE_TENSOR)
            ok = regex_match(&regex, arch->modules[i].path, &hits[i], err);
    regex_release(&regex);
    return ok;
}

/* ---- the rules ------------------------------------------------------------------ */

/* What each module is by each rule, before they are put together. */
typedef struct Rules {
    char **old; /* paths before the family's renames; NULL: the same */
    bool *named; /* target_modules means it */
    bool *excluded; /* by exclude_modules */
    bool *barred; /* from LoRA, by modules_to_save */
    bool *saved; /* trained whole */
} Rules;

/* A bare tensor is in no named_modules: no name means it but its parents'. */
static bool is_module(const ModelArch *arch, int i)
{
    return arch->modules[i].kind != MODULE_TENSOR;
}

/* Equal, or the last parts of the path. */
static bool is_suffix(const char *path, const char *name, bool *exact)
{
    *exact = strcmp(path, name) == 0;
    const size_t n = strlen(path), k = strlen(name);
    return *exact || (k < n && text_ends(path, name) && path[n - k - 1] == '.');
}

/* By today's path or the one of before. */
static bool is_meant(const Rules *rules, const ModelArch *arch, int i, const char *name, bool *exact)
{
    return is_module(arch, i) &&
           (is_suffix(arch->modules[i].path, name, exact) || (rules->old[i] && is_suffix(rules->old[i], name, exact)));
}

static bool is_transformed(const LoraConfig *lora, int layer)
{
    if (!lora->layers_to_transform || lora->layers_count == 0)
        return true;
    for (int i = 0; i < lora->layers_count; i++)
        if (lora->layers_to_transform[i] == layer)
            return true;
    return false;
}

/* The first number that is a part of the path, as PEFT counts layers; -1: none. */
static int layer_in(const char *path)
{
    for (const char *part = path; part; part = strchr(part, '.')) {
        part += *part == '.';
        const size_t n = strspn(part, "0123456789");
        if (n > 0 && n < 9 && (part[n] == '.' || part[n] == '\0'))
            return (int)strtol(part, NULL, 10);
    }
    return -1;
}

/* The module or one of its parents ends with the name (no dot is needed). */
static bool ends_somewhere(const ModelArch *arch, int i, const char *name)
{
    const char *path = arch->modules[i].path;
    const size_t k = strlen(name);
    for (const char *end = path; end; end = strchr(end + 1, '.')) {
        const size_t n = (size_t)(end - path);
        if (k <= n && strncmp(path + n - k, name, k) == 0)
            return true;
    }
    return is_module(arch, i) && text_ends(path, name);
}

/* A name may mean modules and yet leave none: those that are excluded, trained whole or in other
 * layers are not adapted, and the other names' are (PEFT); combine() asks that any is left. */
static bool match_name(Rules *rules, const ModelArch *arch, const LoraConfig *lora, const char *name, Err *err)
{
    bool any = false;
    for (int i = 0; i < arch->module_count; i++) {
        bool exact;
        if (!is_meant(rules, arch, i, name, &exact))
            continue;
        any = true;
        if (exact || is_transformed(lora, layer_in(arch->modules[i].path)))
            rules->named[i] = true;
    }
    return any || lora->published || near_error(arch, "target_modules", name, err);
}

/* PEFT leaves out the output words, and of SEQ_CLS a head that is one linear. In
 * TOKEN_CLS it reaches the head, which is trained whole, and fails; here it does not. */
static bool is_all_linear(const ModelArch *arch, int i)
{
    const Module *module = &arch->modules[i];
    if (module->kind != MODULE_LINEAR || !arch->head.task->peft_name)
        return module->kind == MODULE_LINEAR;
    return strcmp(module->path, "lm_head") != 0 && strcmp(module->path, "score") != 0 &&
           strcmp(module->path, "classifier") != 0;
}

static bool match_targets(Rules *rules, const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    if (lora->target_regex)
        return regex_hits(rules->named, arch, lora->target_regex, true, err) || err_at(err, "lora.target_modules");
    if (lora->all_linear) { /* PEFT lists the full names, so layers do not matter */
        for (int i = 0; i < arch->module_count; i++)
            rules->named[i] = is_all_linear(arch, i);
        return true;
    }
    for (int i = 0; i < lora->target_modules.count; i++)
        if (!match_name(rules, arch, lora, lora->target_modules.items[i], err))
            return false;
    if (lora->target_modules.count > 0)
        return true;
    const char *const *names = arch->family->default_targets;
    if (!names) {
        err_set(err, ERR_INPUT, "model_type '%s' has no default target_modules", arch->family->model_type);
        err_hint(err, "lora.target_modules: [%s], or all-linear", arch->family->target_hint);
        return err_at(err, "lora.target_modules");
    }
    for (int i = 0; names[i]; i++)
        if (!match_name(rules, arch, lora, names[i], err))
            return false;
    return true;
}

/* A text is a regular expression for whole names, as in PEFT; people often mean the name itself, or
 * several between commas. Returns false. */
static bool no_match(const Rules *rules, const ModelArch *arch, const char *key, const char *text, Err *err)
{
    char *list = xstrdup(text), *rest = list;
    Text names = { 0 };
    bool meant = true, exact;
    for (char *name = strtok_r(list, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
        bool any = false;
        for (int i = 0; !any && i < arch->module_count; i++)
            any = is_meant(rules, arch, i, name, &exact);
        meant = meant && any;
        text_addf(&names, "%s%s", names.size > 0 ? ", " : "", name);
    }
    if (meant && names.size > 0)
        err_hint(err, "write a list: lora.%s: [%s]; a text is a regular expression for whole names like '%s'", key,
                 names.data, arch->modules[arch->module_count / 2].path);
    else
        err_hint(err, "a regular expression has to match whole names like '%s'",
                 arch->modules[arch->module_count / 2].path);
    text_release(&names);
    free(list);
    return err_at(err, "lora.%s", key);
}

static bool any_of(const bool *flags, const ModelArch *arch)
{
    bool any = false;
    for (int i = 0; i < arch->module_count; i++)
        any = any || flags[i];
    return any;
}

static bool match_excluded(Rules *rules, const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    if (lora->exclude_regex) {
        if (!regex_hits(rules->excluded, arch, lora->exclude_regex, true, err))
            return err_at(err, "lora.exclude_modules");
        if (any_of(rules->excluded, arch) || lora->published)
            return true;
        err_set(err, ERR_INPUT, "exclude_modules '%s' matches no module of this model", lora->exclude_regex);
        return no_match(rules, arch, "exclude_modules", lora->exclude_regex, err);
    }
    for (int e = 0; e < lora->exclude_modules.count; e++) {
        bool any = false;
        for (int i = 0; i < arch->module_count; i++) {
            bool exact;
            if (is_meant(rules, arch, i, lora->exclude_modules.items[e], &exact))
                any = rules->excluded[i] = true;
        }
        if (!any && !lora->published)
            return near_error(arch, "exclude_modules", lora->exclude_modules.items[e], err);
    }
    return true;
}

static bool match_saved(Rules *rules, const ModelArch *arch, const LoraConfig *lora, const char *name, Err *err)
{
    bool *hits = xcalloc((size_t)arch->module_count, sizeof *hits);
    char *pattern = xprintf("(^|.*\\.)%s($|\\..*)", name);
    const bool ok = regex_hits(hits, arch, pattern, false, err);
    bool any = false;
    /* TOKEN_CLS: PEFT adds its names when the adapters are in place already */
    const bool bars = !arch->head.task->saves_late || names_have(&lora->modules_to_save, name);
    for (int i = 0; i < arch->module_count; i++) {
        rules->barred[i] = rules->barred[i] || (bars && hits[i]);
        if (ends_somewhere(arch, i, name))
            any = rules->saved[i] = true;
    }
    free(pattern);
    free(hits);
    if (!ok)
        return err_at(err, "lora.modules_to_save");
    /* the names that PEFT adds are for many families */
    if (any || lora->published || task_saves(arch->head.task, name))
        return true;
    return near_error(arch, "modules_to_save", name, err);
}

static bool apply_rules(Rules *rules, const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    StringList saved = slots_saved_names(arch, lora);
    bool ok = true;
    for (int i = 0; ok && i < saved.count; i++)
        ok = match_saved(rules, arch, lora, saved.items[i], err);
    names_release(&saved);
    return ok && match_excluded(rules, arch, lora, err) && match_targets(rules, arch, lora, err);
}

/* ---- ranks and alphas ------------------------------------------------------------ */

/* The first pattern of the map that matches a target gives its number. */
static bool apply_patterns(ModuleMatch *matches, const ModelArch *arch, const LoraConfig *lora, const char *key,
                           Err *err)
{
    const bool ranks = strcmp(key, "rank_pattern") == 0;
    const PatternMap *map = ranks ? &lora->rank_pattern : &lora->alpha_pattern;
    const size_t count = (size_t)arch->module_count;
    bool *hits = xcalloc(count, sizeof *hits), *taken = xcalloc(count, sizeof *taken), ok = true;
    for (int p = 0; ok && p < map->count; p++) {
        char *pattern = xprintf("(.*\\.)?(%s)$", map->keys[p]);
        ok = regex_hits(hits, arch, pattern, false, err) || err_at(err, "lora.%s", key);
        free(pattern);
        bool any = false;
        for (size_t i = 0; ok && i < count; i++) {
            if (!hits[i] || !matches[i].target)
                continue;
            any = true;
            if (taken[i])
                continue;
            taken[i] = true;
            if (ranks)
                matches[i].r = (int64_t)map->values[p];
            else
                matches[i].alpha = map->values[p];
        }
        if (ok && !any && !lora->published) {
            err_set(err, ERR_INPUT, "'%s' matches no adapted module", map->keys[p]);
            ok = err_at(err, "lora.%s", key);
        }
    }
    free(taken);
    free(hits);
    return ok;
}

/* ---- all together ----------------------------------------------------------------- */

static bool check_target(const ModelArch *arch, const Rules *rules, int i, Err *err)
{
    const Module *module = &arch->modules[i];
    if (rules->saved[i]) {
        err_set(err, ERR_INPUT, "'%s' is adapted by target_modules and trained whole by modules_to_save", module->path);
        err_hint(err, "modules_to_save takes every module whose name ends with an entry; "
                      "exclude_modules can take one from the targets");
        return err_at(err, "lora.modules_to_save");
    }
    if (module->kind == MODULE_NORM) {
        err_set(err, ERR_INPUT, "a LoRA on '%s', which is a norm, is not supported", module->path);
        err_hint(err, "modules_to_save trains it whole");
        return err_at(err, "lora.target_modules");
    }
    if (module->role == ROLE_SCORE_TABLE || module->role == ROLE_DISTANCE || module->role == ROLE_CONV) {
        err_set(err, ERR_INPUT, "a LoRA on '%s' is not supported", module->path);
        err_hint(err, "modules_to_save trains it whole");
        return err_at(err, "lora.target_modules");
    }
    return true;
}

static bool nothing_left(const ModelArch *arch, const LoraConfig *lora, const Rules *rules, Err *err)
{
    Text names = { 0 };
    int count = 0;
    const bool meant = any_of(rules->named, arch);
    if (lora->target_regex)
        text_sample(&names, &count, lora->target_regex);
    for (int i = 0; i < lora->target_modules.count; i++)
        text_sample(&names, &count, lora->target_modules.items[i]);
    err_set(err, ERR_INPUT, "target_modules %s%sleaves no module to adapt", text_sampled(&names, count),
            count > 0 ? " " : "");
    text_release(&names);
    if (lora->target_regex && !meant && !lora->published)
        return no_match(rules, arch, "target_modules", lora->target_regex, err);
    if (lora->published && !meant)
        err_hint(err, "the adapter is for another kind of model: it names none of this one's modules");
    else
        err_hint(err, "exclude_modules, layers_to_transform and modules_to_save take modules away from it (the head "
                      "of the task is always trained whole)");
    return err_at(err, "lora.target_modules");
}

static bool combine(ModuleMatch *matches, const ModelArch *arch, const LoraConfig *lora, const Rules *rules, Err *err)
{
    bool any = false;
    for (int i = 0; i < arch->module_count; i++) {
        matches[i] = (ModuleMatch){
            .target = rules->named[i] && !rules->excluded[i] && !rules->barred[i],
            .saved = rules->saved[i],
            .r = methods_rank(lora, arch->modules[i].path),
            .alpha = lora->alpha,
        };
        if (matches[i].target && !check_target(arch, rules, i, err))
            return false;
        any = any || matches[i].target;
    }
    if (!any)
        return nothing_left(arch, lora, rules, err);
    return apply_patterns(matches, arch, lora, "rank_pattern", err) &&
           apply_patterns(matches, arch, lora, "alpha_pattern", err);
}

static char **old_paths(const ModelArch *arch)
{
    char **old = xcalloc((size_t)arch->module_count, sizeof *old);
    for (int i = 0; i < arch->module_count; i++)
        old[i] = arch_old_path(arch, arch->modules[i].path);
    return old;
}

static void free_paths(char **old, const ModelArch *arch)
{
    for (int i = 0; i < arch->module_count; i++)
        free(old[i]);
    free(old);
}

static bool check_layers(const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    for (int i = 0; i < lora->layers_count && !lora->published; i++) {
        const int64_t layer = lora->layers_to_transform[i];
        if (layer < 0 || layer >= arch->layers) {
            err_set(err, ERR_INPUT, "there is no layer %lld: the model has layers 0 to %lld", (long long)layer,
                    (long long)arch->layers - 1);
            return err_at(err, "lora.layers_to_transform");
        }
    }
    return true;
}

bool slots_match(ModuleMatch *matches, const ModelArch *arch, const LoraConfig *lora, Err *err)
{
    if (methods_is_whole(lora)) {
        for (int i = 0; i < arch->module_count; i++)
            matches[i] = (ModuleMatch){ .saved = true };
        return true;
    }
    if (!check_layers(arch, lora, err))
        return false;
    const size_t n = (size_t)arch->module_count;
    bool *flags = xcalloc(4 * n, sizeof *flags);
    Rules rules = { old_paths(arch), flags, flags + n, flags + 2 * n, flags + 3 * n };
    const bool ok = apply_rules(&rules, arch, lora, err) && combine(matches, arch, lora, &rules, err);
    free_paths(rules.old, arch);
    free(flags);
    return ok;
}

/* ---- target_modules as it is written ------------------------------------------------ */

/* PEFT, _find_minimal_target_modules: of each name the shortest end that is the
 * end of no other module or parent of one. */
static const char *shortest_end(const ModelArch *arch, const char *name)
{
    for (const char *end = name + strlen(name); end > name; end--) {
        if (end[-1] != '.')
            continue;
        bool shared = false, exact;
        for (int i = 0; !shared && i < arch->module_count; i++)
            shared = is_module(arch, i) && !is_all_linear(arch, i) && is_suffix(arch->modules[i].path, end, &exact);
        if (!shared && !near_is_parent(arch, end))
            return end;
    }
    return name;
}

static void add_all_linear(StringList *names, const ModelArch *arch)
{
    enum { LIST_ALL_BELOW = 20 }; /* PEFT's MIN_TARGET_MODULES_FOR_OPTIMIZATION */
    int count = 0;
    for (int i = 0; i < arch->module_count; i++)
        count += is_all_linear(arch, i);
    for (int i = 0; i < arch->module_count; i++) {
        const char *path = arch->modules[i].path;
        if (is_all_linear(arch, i))
            names_add(names, count < LIST_ALL_BELOW ? path : shortest_end(arch, path));
    }
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* What a name of before is called today: the last part of the modules it means when
 * it means all that end so, else their whole paths. */
static void add_modern(StringList *names, const Rules *rules, const ModelArch *arch, const char *name)
{
    bool exact, any = false;
    for (int i = 0; i < arch->module_count; i++)
        any = any || (is_module(arch, i) && is_suffix(arch->modules[i].path, name, &exact));
    if (any) {
        names_add(names, name);
        return;
    }
    for (int i = 0; i < arch->module_count; i++) {
        if (!is_meant(rules, arch, i, name, &exact))
            continue;
        const char *path = arch->modules[i].path, *part = last_part(path);
        bool all = true, other;
        for (int k = 0; all && k < arch->module_count; k++)
            all = !is_suffix(arch->modules[k].path, part, &other) || is_meant(rules, arch, k, name, &other);
        names_add(names, all ? part : path);
    }
}

static StringList modern_names(const ModelArch *arch, const StringList *given)
{
    StringList names = { 0 };
    const Rules rules = { .old = old_paths(arch) };
    for (int i = 0; i < given->count; i++)
        add_modern(&names, &rules, arch, given->items[i]);
    free_paths(rules.old, arch);
    return names;
}

StringList slots_excluded_names(const ModelArch *arch, const LoraConfig *lora)
{
    return modern_names(arch, &lora->exclude_modules);
}

StringList slots_target_names(const ModelArch *arch, const LoraConfig *lora)
{
    StringList names = { 0 };
    if (lora->target_regex)
        return names;
    if (lora->all_linear)
        add_all_linear(&names, arch);
    else
        names = modern_names(arch, &lora->target_modules);
    const char *const *defaults = names.count > 0 ? NULL : arch->family->default_targets;
    for (; defaults && *defaults; defaults++)
        names_add(&names, *defaults);
    if (names.count > 0)
        qsort(names.items, (size_t)names.count, sizeof *names.items, by_bytes);
    return names;
}
