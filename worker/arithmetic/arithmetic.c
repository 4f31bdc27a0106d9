#include "worker/arithmetic/arithmetic.h"

#include "common/base/log.h"
#include "worker/arithmetic/fingerprint.h"
#include "worker/kernels/blas.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/levels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- cores ----------------------------------------------------------------------------------- */

/* OpenBLAS's cores, the fastest of a level first: measured with 0.3.21 at the shapes of BERT and MiniLM.
 * (SkylakeX 180 to 250 GFLOP/s where Cooperlake has 175 to 200, and a third more where a product is
 * small; Haswell and Zen equal but for small products; what is above a core's level is never tried.) */
typedef struct Core {
    const char *name, *level; /* the lowest level that has its instructions */
    const char *needs; /* what __builtin_cpu_supports must find besides; NULL: nothing */
} Core;

static const Core cores[] = {
    { "SkylakeX", "x86-64-v4", NULL }, { "Cooperlake", "x86-64-v4", "avx512bf16" },
    { "Haswell", "x86-64-v3", NULL },  { "Zen", "x86-64-v3", NULL },
    { "Nehalem", "x86-64-v2", NULL },  { "Prescott", "x86-64-v2", NULL },
};
enum { CORES = sizeof cores / sizeof *cores };

static bool cpu_has(const char *feature)
{
#ifdef __x86_64__
    return !feature || (strcmp(feature, "avx512bf16") == 0 && __builtin_cpu_supports("avx512bf16"));
#else
    return !feature;
#endif
}

/* Levels are told apart by their place in `levels`: 0 is the highest. */
static int place_of(const char *level)
{
    return (int)(levels_find(level) - levels);
}

static const Core *core_named(const char *name)
{
    for (int i = 0; i < CORES; i++)
        if (strcasecmp(cores[i].name, name) == 0)
            return &cores[i];
    return NULL;
}

static const char *best_core(int level)
{
    for (int i = 0; i < CORES; i++)
        if (levels_find(cores[i].level) && place_of(cores[i].level) >= level)
            return cores[i].name;
    return "";
}

/* ---- one choice ------------------------------------------------------------------------------ */

typedef struct Choice {
    int level; /* place in `levels` */
    const char *core; /* NULL: the library's own */
} Choice;

/* Loads and checks; false: not to be used, and `why` says why. */
static bool try_choice(Arithmetic *arithmetic, Choice choice, char *why, size_t room)
{
    const Level *level = &levels[choice.level];
    Err err = { 0 };
    if (!blas_load(choice.core, &err)) {
        snprintf(why, room, "%s", err.what);
        return false;
    }
    if (choice.core && strcasecmp(blas_core(), choice.core) != 0) {
        snprintf(why, room, "%s has no core %s for this CPU, and takes %s", blas_library(), choice.core, blas_core());
        return false;
    }
    levels_use(level);
    gemm_join_tiles(false);
    uint64_t digest = 1;
    char wrong[160];
    if (!fingerprint_products(&digest, wrong, sizeof wrong)) {
        snprintf(why, room, "the core %s of %s computes wrongly: %s", blas_core(), blas_library(), wrong);
        return false;
    }
    if (!fingerprint_kernels(&digest, level, wrong, sizeof wrong)) {
        snprintf(why, room, "the kernels of %s compute wrongly: %s", level->name, wrong);
        return false;
    }
    gemm_join_tiles(fingerprint_tiles_join());
    const char *best = best_core(choice.level); /* "" where no cores are listed: the library's own is the usual one */
    const bool usual = !*best || strcasecmp(blas_core(), best) == 0;
    snprintf(arithmetic->name, sizeof arithmetic->name, "%s%s%s", level->name, usual ? "" : "/",
             usual ? "" : blas_core());
    arithmetic->fingerprint = fingerprint_libm(digest);
    arithmetic->fingerprint += arithmetic->fingerprint == 0;
    return true;
}

static bool no_choice(const char *why, Err *err)
{
    err_set(err, ERR_IO, "no matrix products: %s", why);
    return err_hint(err, "install another OpenBLAS (Debian: libopenblas0-openmp)");
}

/* The level's cores, the fastest first, then those of lower levels, then what the library takes by itself. */
static bool try_cores(Arithmetic *arithmetic, int level, Err *err)
{
    char why[400] = "";
    for (int i = 0; i < CORES; i++) {
        const bool fits = levels_find(cores[i].level) && place_of(cores[i].level) >= level && cpu_has(cores[i].needs);
        if (fits && try_choice(arithmetic, (Choice){ level, cores[i].name }, why, sizeof why))
            return true;
        if (fits)
            log_warn("arithmetic", "%s: not used", why);
    }
    return try_choice(arithmetic, (Choice){ level, NULL }, why, sizeof why) || no_choice(why, err);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

/* The user's own choice of the core: he may know better, or want to compare. */
static bool try_users_core(Arithmetic *arithmetic, int level, const char *core, Err *err)
{
    char why[400];
    if (!try_choice(arithmetic, (Choice){ level, NULL }, why, sizeof why)) {
        err_set(err, ERR_IO, "OPENBLAS_CORETYPE=%s: %s", core, why);
        return err_hint(err, "unset OPENBLAS_CORETYPE");
    }
    log_info("arithmetic", "OPENBLAS_CORETYPE=%s: products by the core %s", core, blas_core());
    const Core *found = core_named(blas_core()), *best = core_named(best_core(level));
    if (found && best && place_of(found->level) > place_of(best->level))
        log_warn("arithmetic", "products are computed by the core %s, and this CPU has what %s needs: far slower",
                 found->name, best->name);
    return true;
}

static bool cannot(const char *name, const char *why, Err *err)
{
    Text can = { 0 };
    for (int i = 0; i < level_count; i++)
        if (levels[i].fits())
            text_addf(&can, "%s%s", can.size ? ", " : "", levels[i].name);
    err_set(err, ERR_REFUSED, "the run's arithmetic is '%s', and %s", name, why);
    err_hint(err, "parallel.arithmetic of a new run can be %s here", can.data ? can.data : "nothing");
    text_release(&can);
    return false;
}

/* LEVEL/CORE. */
static bool start_core(Arithmetic *arithmetic, const char *name, int level, const char *core, Err *err)
{
    char why[400] = "";
    const Core *known = core_named(core);
    if (known && levels_find(known->level) && (!levels_find(known->level)->fits() || !cpu_has(known->needs)))
        return cannot(name, "this CPU has not the instructions of that core", err);
    if (!try_choice(arithmetic, (Choice){ level, core }, why, sizeof why))
        return cannot(name, why, err);
    snprintf(arithmetic->name, sizeof arithmetic->name, "%s", name); /* also where it is the usual one */
    return true;
}

static bool start_named(Arithmetic *arithmetic, const char *name, Err *err)
{
    char text[64];
    snprintf(text, sizeof text, "%s", name);
    char *slash = strchr(text, '/');
    if (slash)
        *slash = '\0';
    const Level *level = levels_find(text);
    if (!level)
        return cannot(name, "this program has no such level", err);
    if (!level->fits())
        return cannot(name, "this CPU has not the instructions of that level", err);
    const char *users = getenv("OPENBLAS_CORETYPE");
    const int place = (int)(level - levels);
    if (users && *users)
        return try_users_core(arithmetic, place, users, err);
    return slash ? start_core(arithmetic, name, place, slash + 1, err) : try_cores(arithmetic, place, err);
}

bool arithmetic_start(Arithmetic *arithmetic, const char *name, Err *err)
{
    *arithmetic = (Arithmetic){ 0 };
    if (!name || strcmp(name, "auto") == 0)
        name = getenv("LORA_ARITHMETIC");
    if (name && (!*name || strcmp(name, "auto") == 0))
        name = NULL;
    int best = 0;
    while (best < level_count && !levels[best].fits())
        best++;
    if (best == level_count) {
        err_set(err, ERR_IO, "this CPU is older than %s", levels[level_count - 1].name);
        return err_hint(err, "build the programs on it: make MARCH=native LEVELS=portable");
    }
    return start_named(arithmetic, name ? name : levels[best].name, err);
}

bool arithmetic_follow(Arithmetic *arithmetic, const char *name, Err *err)
{
    char before[sizeof arithmetic->name];
    snprintf(before, sizeof before, "%s", arithmetic->name);
    if (!start_named(arithmetic, name, err))
        return false;
    if (strcmp(arithmetic->name, name) == 0) {
        log_info("arithmetic", "computes as the run does: %s, where this machine would %s", name, before);
        return true;
    }
    const char *users = getenv("OPENBLAS_CORETYPE");
    if (users && *users)
        return cannot(name, "OPENBLAS_CORETYPE names another core here", err);
    return cannot(name, "its core is not to be used here", err);
}

bool arithmetic_check(const Arithmetic *arithmetic, const char *name, const char *fingerprint, Err *err)
{
    char mine[24];
    snprintf(mine, sizeof mine, "%016llx", (unsigned long long)arithmetic->fingerprint);
    if (strcmp(mine, fingerprint) == 0)
        return true;
    const char *users = getenv("OPENBLAS_CORETYPE");
    err_set(err, ERR_REFUSED, "other arithmetic: %s computes %s here (%s, core %s), the run has %s with %s",
            arithmetic->name, mine, blas_library(), blas_core(), name, fingerprint);
    return err_hint(err, users && *users ? "unset OPENBLAS_CORETYPE"
                                         : "use the same programs and the same OpenBLAS on all machines");
}

void arithmetic_products(Text *out)
{
    text_addf(out, "%s, core %s", blas_library(), blas_core());
}

void arithmetic_describe(Text *out)
{
    Arithmetic arithmetic;
    Err err = { 0 };
    text_adds(out, "kernels:");
    for (int i = 0; i < level_count; i++)
        text_addf(out, " %s%s", levels[i].name, levels[i].fits() ? "" : " (not on this CPU)");
    if (!arithmetic_start(&arithmetic, NULL, &err)) {
        text_addf(out, "\nproducts: none: %s\n", err.what);
        return;
    }
    text_adds(out, "\nproducts: ");
    arithmetic_products(out);
    text_addf(out, "\narithmetic: %s, fingerprint %016llx\n", arithmetic.name,
              (unsigned long long)arithmetic.fingerprint);
}
