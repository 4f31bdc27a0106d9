/* levels - the levels of the CPU that the kernels are compiled for: on x86-64 the psABI's
 * x86-64-v2, v3 and v4, and v4 with products in bf16 (by vectors, or by AMX's tiles), elsewhere one that the compiler's own default gives. All else
 * is compiled for the lowest, so no instruction is met that the CPU does not have.
 *
 * Threads: levels_use before any kernel runs. */
#ifndef WORKER_KERNELS_LEVELS_H
#define WORKER_KERNELS_LEVELS_H

#include "worker/kernels/bf16_products.h"
#include "worker/kernels/kernels.h"

typedef struct Level {
    const char *name; /* "x86-64-v3" */
    const Kernels *kernels;
    const Bf16Products *bf16; /* of a base that takes less than floats; NULL: it is multiplied as floats */
    bool (*fits)(void); /* this CPU has its instructions */
} Level;

extern const Level levels[]; /* the highest first */
extern const int level_count;

/* NULL: no level of that name. */
const Level *levels_find(const char *name);

/* `kernels` and `bf16_products` are that level's from now on. REQUIREs that the CPU fits. */
void levels_use(const Level *level);

#endif
