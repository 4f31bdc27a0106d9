#include "worker/arithmetic/arithmetic.h"

#include "common/base/log.h"
#include "common/base/profile.h"
#include "worker/arithmetic/cores.h"
#include "worker/arithmetic/fingerprint.h"
#include "worker/kernels/blas.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/levels.h"
#include "worker/kernels/profiled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char own_variable[] = "LORA_ARITHMETIC";
static const char own_key[] = "parallel.arithmetic", of_the_run[] = "the run's arithmetic";

/* ---- one core -------------------------------------------------------------------------------- */

typedef enum {
    CORE_USED,
    CORE_MISSING, /* the library has it not, or not for this CPU */
    CORE_WRONG,
    CORE_NONE /* no other will do either: there is no library, or the kernels are wrong */
} Verdict;

static void take_name(Arithmetic *arithmetic, int level)
{
    const Core *best = cores_best(level);
    const bool usual = !best || strcasecmp(blas_core(), best->name) == 0; /* none is known: the library's own */
    snprintf(arithmetic->name, sizeof arithmetic->name, "%s%s%s", levels[level].name, usual ? "" : "/",
             usual ? "" : blas_core());
}

/* Loads and checks; what is not used is in *err. core: NULL is the library's own choice. */
static Verdict try_core(Arithmetic *arithmetic, int level, const char *core, Err *err)
{
    *err = (Err){ 0 };
    if (!blas_load(core, err))
        return CORE_NONE;
    if (core && strcasecmp(blas_core(), core) != 0) {
        err_set(err, ERR_IO, "%s has no core %s for this CPU, and takes %s", blas_library(), core, blas_core());
        return CORE_MISSING;
    }
    levels_use(&levels[level]);
    gemm_join_tiles(false);
    uint64_t digest = 1;
    char wrong[160];
    if (!fingerprint_products(&digest, wrong, sizeof wrong)) {
        err_set(err, ERR_IO, "the core %s of %s computes wrongly: %s", blas_core(), blas_library(), wrong);
        return CORE_WRONG;
    }
    if (!fingerprint_kernels(&digest, &levels[level], wrong, sizeof wrong)) {
        err_set(err, ERR_IO, "the kernels of %s compute wrongly: %s", levels[level].name, wrong);
        return CORE_NONE;
    }
    if (levels[level].bf16 && !fingerprint_bf16(&digest, levels[level].bf16, wrong, sizeof wrong)) {
        err_set(err, ERR_IO, "this CPU's products in bf16 are wrong: %s", wrong);
        return CORE_NONE;
    }
    gemm_join_tiles(fingerprint_tiles_join());
    take_name(arithmetic, level);
    arithmetic->fingerprint = fingerprint_maths(digest);
    arithmetic->fingerprint += arithmetic->fingerprint == 0;
    return CORE_USED;
}

/* ---- a level --------------------------------------------------------------------------------- */

/* Whose products cannot be used is refused for good: started again, it would be the same. */
static bool no_products(const char *why, const char *hint, Err *err)
{
    err_set(err, ERR_REFUSED, "no matrix products: %s", why);
    return err_hint(err, "%s", hint && *hint ? hint : "install another OpenBLAS (Debian: libopenblas0-openmp)");
}

/* The cores of a level that are not used, and why. */
typedef struct Refused {
    Text missing; /* their names */
    Text wrong; /* a line each */
} Refused;

static void say_refused(const Refused *refused)
{
    if (refused->missing.size)
        log_warn("arithmetic", "%s has not the core %s: not used", blas_library(), refused->missing.data);
    for (const char *line = refused->wrong.data; line && *line; line += strcspn(line, "\n") + 1)
        log_warn("arithmetic", "%.*s: not used", (int)strcspn(line, "\n"), line);
}

/* The level's cores, the fastest first, then those of lower levels, then what the library takes by itself. */
static bool try_all(Arithmetic *arithmetic, int level, Refused *refused, Err *err)
{
    Verdict verdict = CORE_MISSING;
    Err why;
    for (int i = 0; i < cores_chosen && (verdict == CORE_MISSING || verdict == CORE_WRONG); i++) {
        if (!cores_fit(&cores[i], level) || !cores[i].runs())
            continue;
        verdict = try_core(arithmetic, level, cores[i].name, &why);
        if (verdict == CORE_MISSING)
            text_addf(&refused->missing, "%s%s", refused->missing.size ? ", " : "", cores[i].name);
        else if (verdict == CORE_WRONG)
            text_addf(&refused->wrong, "%s\n", why.what);
    }
    if (verdict == CORE_MISSING || verdict == CORE_WRONG)
        verdict = try_core(arithmetic, level, NULL, &why);
    return verdict == CORE_USED || no_products(why.what, why.hint, err);
}

static bool try_cores(Arithmetic *arithmetic, int level, Err *err)
{
    Refused refused = { 0 };
    const bool ok = try_all(arithmetic, level, &refused, err);
    if (ok && !arithmetic->quiet)
        say_refused(&refused);
    text_release(&refused.missing);
    text_release(&refused.wrong);
    return ok;
}

/* ---- what is asked for ----------------------------------------------------------------------- */

/* A name, and who gave it: the key, the run that is followed, or a variable. */
typedef struct Wish {
    const char *name, *from;
    int level; /* place in `levels` */
    const char *core; /* behind the slash; NULL: any of the level */
} Wish;

static bool cannot(const Wish *wish, const char *why, Err *err)
{
    Text can = { 0 };
    for (int i = 0; i < level_count; i++)
        if (levels[i].fits())
            text_addf(&can, "%s%s", can.size ? ", " : "", levels[i].name);
    err_set(err, ERR_REFUSED, "%s is '%s', and %s", wish->from, wish->name, why);
    const char *names = can.data ? can.data : "nothing";
    if (strcmp(wish->from, own_variable) == 0)
        err_hint(err, "here it can be %s", names);
    else if (strcmp(wish->from, own_key) == 0)
        err_hint(err, "--parallel.arithmetic=auto, or one of %s; a run that has begun keeps its own", names);
    else
        err_hint(err, "parallel.arithmetic of a new run can be %s here", names);
    text_release(&can);
    return false;
}

/* The user's own choice of the core: he may know better, or want to compare. *heeded: the library has it. */
static bool try_users_core(Arithmetic *arithmetic, const Wish *wish, const char *core, bool *heeded, Err *err)
{
    const Core *known = cores_find(core);
    const bool runs = !known || known->runs();
    Err why = { .what = "this CPU has not the instructions of that core" };
    const Verdict verdict = runs ? try_core(arithmetic, wish->level, core, &why) : CORE_WRONG;
    *heeded = verdict != CORE_MISSING;
    if (verdict == CORE_NONE)
        return no_products(why.what, why.hint, err);
    if (verdict == CORE_WRONG) {
        err_set(err, ERR_REFUSED, "OPENBLAS_CORETYPE=%s: %s", core, why.what);
        return err_hint(err, "unset OPENBLAS_CORETYPE");
    }
    if (!arithmetic->quiet && *heeded)
        log_info("arithmetic", "OPENBLAS_CORETYPE=%s: products by the core %s", core, blas_core());
    else if (!arithmetic->quiet)
        log_warn("arithmetic", "OPENBLAS_CORETYPE=%s is unknown to %s: not heeded", core, blas_library());
    return true;
}

/* LEVEL/CORE. */
static bool try_named_core(Arithmetic *arithmetic, const Wish *wish, Err *err)
{
    const Core *known = cores_find(wish->core);
    if (known && !known->runs())
        return cannot(wish, "this CPU has not the instructions of that core", err);
    Err why;
    const Verdict verdict = try_core(arithmetic, wish->level, wish->core, &why);
    if (verdict == CORE_NONE)
        return no_products(why.what, why.hint, err);
    return verdict == CORE_USED || cannot(wish, why.what, err);
}

static void say_slow(const Arithmetic *arithmetic, int level)
{
    const Core *core = cores_find(blas_core());
    if (core && !arithmetic->quiet && cores_far_below(core, level))
        log_warn("arithmetic", "products are computed by the core %s, and this CPU has what %s needs: far slower",
                 core->name, cores_best(level)->name);
}

static bool start_wish(Arithmetic *arithmetic, const Wish *wish, Err *err)
{
    const char *users = getenv("OPENBLAS_CORETYPE");
    bool done = users && *users;
    if (done && !try_users_core(arithmetic, wish, users, &done, err))
        return false;
    if (!done && !(wish->core ? try_named_core(arithmetic, wish, err) : try_cores(arithmetic, wish->level, err)))
        return false;
    if (wish->core &&
        strcasecmp(wish->core, blas_core()) == 0) /* as it was asked for, also where it is the usual one */
        snprintf(arithmetic->name, sizeof arithmetic->name, "%s", wish->name);
    say_slow(arithmetic, wish->level);
    return true;
}

static bool start_named(Arithmetic *arithmetic, const char *name, const char *from, Err *err)
{
    char text[sizeof arithmetic->name];
    snprintf(text, sizeof text, "%s", name);
    char *slash = strchr(text, '/');
    if (slash)
        *slash = '\0';
    const Level *level = levels_find(text);
    const Wish wish = { name, from, level ? (int)(level - levels) : 0, slash ? slash + 1 : NULL };
    if (!level)
        return cannot(&wish, "this program has no such level", err);
    if (!level->fits())
        return cannot(&wish, "this CPU has not the instructions of that level", err);
    return start_wish(arithmetic, &wish, err);
}

/* NULL where nothing is asked for. */
static const char *asked(const char *name)
{
    return name && *name && strcmp(name, "auto") != 0 ? name : NULL;
}

bool arithmetic_start(Arithmetic *arithmetic, const char *name, bool packed, bool quiet, Err *err)
{
    *arithmetic = (Arithmetic){ .quiet = quiet };
    int best = 0;
    while (best < level_count && (!levels[best].fits() || (levels[best].bf16 && !packed)))
        best++;
    if (best == level_count) {
        err_set(err, ERR_REFUSED, "this CPU is older than %s", levels[level_count - 1].name);
        return err_hint(err, "build the programs on it: make MARCH=native LEVELS=portable");
    }
    if (asked(name))
        return start_named(arithmetic, name, own_key, err);
    const char *own = asked(getenv(own_variable));
    return start_named(arithmetic, own ? own : levels[best].name, own_variable, err);
}

bool arithmetic_follow(Arithmetic *arithmetic, const char *name, Err *err)
{
    char before[sizeof arithmetic->name];
    snprintf(before, sizeof before, "%s", arithmetic->name);
    if (!start_named(arithmetic, name, of_the_run, err))
        return false;
    if (strcmp(arithmetic->name, name) == 0) {
        log_info("arithmetic", "computes as the run does: %s, where this machine would %s", name, before);
        return true;
    }
    const char *users = getenv("OPENBLAS_CORETYPE");
    const bool by_user = users && strcasecmp(users, blas_core()) == 0;
    cannot(&(Wish){ .name = name, .from = of_the_run },
           by_user ? "OPENBLAS_CORETYPE names another core here" : "its core is not to be used here", err);
    return by_user ? err_hint(err, "unset OPENBLAS_CORETYPE") : false;
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

void arithmetic_profile(void)
{
    profile_start();
    profiled_use();
}

void arithmetic_threads(int threads)
{
    gemm_set_threads(threads);
}

void arithmetic_products(Text *out)
{
    text_addf(out, "%s, core %s%s", blas_library(), blas_core(), bf16_products ? ", of the base in bf16" : "");
}

static void describe(Text *out, const char *what, const Arithmetic *arithmetic)
{
    text_addf(out, "%s: %s, fingerprint %016llx\n", what, arithmetic->name,
              (unsigned long long)arithmetic->fingerprint);
}

bool arithmetic_describe(Text *out, Err *err)
{
    Arithmetic arithmetic;
    text_adds(out, "kernels:");
    for (int i = 0; i < level_count; i++)
        text_addf(out, " %s%s", levels[i].name, levels[i].fits() ? "" : " (not on this CPU)");
    if (!arithmetic_start(&arithmetic, NULL, false, false, err)) {
        text_adds(out, "\nproducts: none\n");
        return false;
    }
    text_adds(out, "\nproducts: ");
    arithmetic_products(out);
    text_adds(out, "\n");
    describe(out, "arithmetic", &arithmetic);
    const uint64_t usual = arithmetic.fingerprint;
    if (!arithmetic_start(&arithmetic, NULL, true, true, err))
        return false;
    if (arithmetic.fingerprint != usual)
        describe(out, "of a base in bf16, int8 or nf4", &arithmetic);
    return true;
}
