/* cores - OpenBLAS's cores: which of its kernels for x86-64 this CPU can run, and which of them is fast. The library
 * itself looks only at its list of CPU models, and runs whatever OPENBLAS_CORETYPE names.
 *
 * Threads: any. */
#ifndef WORKER_ARITHMETIC_CORES_H
#define WORKER_ARITHMETIC_CORES_H

#include <stdbool.h>

typedef struct Core {
    const char *name; /* as openblas_get_corename says it; OpenBLAS takes any case */
    const char *level; /* the lowest level (worker/kernels/levels) that has its instructions, or the lowest of all */
    bool (*runs)(void); /* this CPU has its instructions */
} Core;

/* The first cores_chosen are those that we choose from, the fastest of a level first. */
extern const Core cores[];
extern const int cores_chosen;

/* In any case; NULL: not one that is known here. */
const Core *cores_find(const char *name);

/* Is it of that level or a lower one? `level` is a place in `levels`. False where the program has no such level. */
bool cores_fit(const Core *core, int level);

/* The fastest of a level; NULL: no cores are known for it. */
const Core *cores_best(int level);

/* Is it of a lower level than the fastest for `level`? Then it is half as fast, or less. */
bool cores_far_below(const Core *core, int level);

#endif
