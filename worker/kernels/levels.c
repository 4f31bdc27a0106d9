#include "worker/kernels/levels.h"

#include "common/base/err.h"

#include <stddef.h>
#include <string.h>

#ifndef LEVEL_portable /* LEVELS of the build */

extern const Kernels kernel_table_v2, kernel_table_v3, kernel_table_v4;

static bool fits_v2(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}

static bool fits_v3(void)
{
    return fits_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool fits_v4(void)
{
    return fits_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static bool fits_v4_bf16(void)
{
    return fits_v4() && bf16_can();
}

static bool fits_v4_amx(void)
{
    return fits_v4() && amx_can();
}

const Level levels[] = {
    { "x86-64-v4-amx", &kernel_table_v4, &bf16_amx, fits_v4_amx },
    { "x86-64-v4-bf16", &kernel_table_v4, &bf16_avx512, fits_v4_bf16 },
    { "x86-64-v4", &kernel_table_v4, NULL, fits_v4 },
    { "x86-64-v3", &kernel_table_v3, NULL, fits_v3 },
    { "x86-64-v2", &kernel_table_v2, NULL, fits_v2 },
};
const Kernels *kernels = &kernel_table_v2;

#else

extern const Kernels kernel_table_portable;

static bool fits_always(void)
{
    return true;
}

const Level levels[] = { { "portable", &kernel_table_portable, NULL, fits_always } };
const Kernels *kernels = &kernel_table_portable;

#endif

const int level_count = sizeof levels / sizeof *levels;

const Level *levels_find(const char *name)
{
    for (int i = 0; i < level_count; i++)
        if (strcmp(levels[i].name, name) == 0)
            return &levels[i];
    return NULL;
}

void levels_use(const Level *level)
{
    REQUIRE(level->fits());
    kernels = level->kernels;
    bf16_products = level->bf16;
}
