#include "worker/arithmetic/cores.h"

#include "worker/kernels/levels.h"

#include <stddef.h>
#include <strings.h>

#ifdef __x86_64__

#include <cpuid.h>

static bool has_sse42(void)
{
    return __builtin_cpu_supports("sse4.2");
}

static bool has_avx(void)
{
    return __builtin_cpu_supports("avx");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static bool has_bf16(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512bf16");
}

/* Of AMD's CPUs from 2011 to 2016, and no others. */
static bool has_fma4(void)
{
    return has_avx() && __builtin_cpu_supports("fma4");
}

/* Of AMD's CPUs to 2010. */
static bool has_3dnow(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && d >> 31;
}

#else

/* None of these is met on other CPUs, whose cores the library chooses by itself. */
static bool never(void)
{
    return false;
}
#define has_sse42 never
#define has_avx never
#define has_avx2 never
#define has_avx512 never
#define has_bf16 never
#define has_fma4 never
#define has_3dnow never

#endif

/* Measured with 0.3.21 at the shapes of BERT and MiniLM: SkylakeX 180 to 250 GFLOP/s where Cooperlake has 175 to 200, and
 * a third more where a product is small; Haswell and Zen equal but for small products. */
const Core cores[] = {
    { "SkylakeX", "x86-64-v4", has_avx512 },
    { "Cooperlake", "x86-64-v4", has_bf16 },
    { "Haswell", "x86-64-v3", has_avx2 },
    { "Zen", "x86-64-v3", has_avx2 },
    { "Nehalem", "x86-64-v2", has_sse42 },
    { "Prescott", "x86-64-v2", has_sse42 },
    /* only if the user asks for them */
    { "SapphireRapids", "x86-64-v4", has_bf16 },
    { "Excavator", "x86-64-v2", has_fma4 },
    { "Steamroller", "x86-64-v2", has_fma4 },
    { "Piledriver", "x86-64-v2", has_fma4 },
    { "Bulldozer", "x86-64-v2", has_fma4 },
    { "Sandybridge", "x86-64-v2", has_avx },
    { "Barcelona", "x86-64-v2", has_sse42 },
    { "Bobcat", "x86-64-v2", has_sse42 },
    { "Dunnington", "x86-64-v2", has_sse42 },
    { "Penryn", "x86-64-v2", has_sse42 },
    { "Core2", "x86-64-v2", has_sse42 },
    { "Atom", "x86-64-v2", has_sse42 },
    { "Nano", "x86-64-v2", has_sse42 },
    { "Opteron", "x86-64-v2", has_3dnow },
    { "Opteron_SSE3", "x86-64-v2", has_3dnow },
};
enum { CORES = sizeof cores / sizeof *cores };
const int cores_chosen = 6;

/* Levels are told apart by their place in `levels`: 0 is the highest. */
static int place_of(const Core *core)
{
    return (int)(levels_find(core->level) - levels);
}

const Core *cores_find(const char *name)
{
    for (int i = 0; i < CORES; i++)
        if (strcasecmp(cores[i].name, name) == 0)
            return &cores[i];
    return NULL;
}

bool cores_fit(const Core *core, int level)
{
    return levels_find(core->level) && place_of(core) >= level;
}

const Core *cores_best(int level)
{
    for (int i = 0; i < cores_chosen; i++)
        if (cores_fit(&cores[i], level))
            return &cores[i];
    return NULL;
}

bool cores_far_below(const Core *core, int level)
{
    const Core *best = cores_best(level);
    return best && levels_find(core->level) && place_of(core) > place_of(best);
}
