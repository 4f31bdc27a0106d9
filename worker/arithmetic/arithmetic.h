/* arithmetic - how this process computes: the level of its kernels and the core (kernels) of OpenBLAS.
 *
 * Two processes whose arithmetic is the same compute the same bits. It has a name, by which a run
 * asks for it, and a fingerprint, by which it is known: the digest of what every kernel and a list of
 * products give for fixed inputs. So another release of OpenBLAS, another blocking of its products,
 * or another compiler are seen whatever they are called, and a core whose products are wrong
 * is not used.
 *
 * A base that takes less than floats is multiplied in bf16 by the levels x86-64-v4-amx and x86-64-v4-bf16, as floats by all
 * others; all else those compute as x86-64-v4 does.
 *
 * Names: a level ("x86-64-v3") means the fastest core for it that is right (here it is measured:
 * v4 SkylakeX, v3 Haswell, v2 Nehalem); LEVEL/CORE names another ("x86-64-v3/Zen"), in any case of letters.
 * The variable OPENBLAS_CORETYPE, where the user set it to a core that the library has, decides the core.
 *
 * Threads: start from one, while nobody computes. */
#ifndef WORKER_ARITHMETIC_ARITHMETIC_H
#define WORKER_ARITHMETIC_ARITHMETIC_H

#include "common/base/err.h"
#include "common/base/text.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Arithmetic {
    char name[48]; /* "x86-64-v4", "x86-64-v3/Zen" */
    uint64_t fingerprint; /* never 0 */
    bool quiet; /* nothing is said in the log */
} Arithmetic;

/* Chooses, loads and checks; takes some 20 ms. name: "auto" (or NULL, the variable LORA_ARITHMETIC, if
 * it is set) is the best that this machine can do: with products in bf16 only where the base takes less than floats
 * (packed). ERR_REFUSED: the machine cannot do what `name` asks
 * for, or has no products that are right. Whatever is odd is said in the log, unless `quiet`: where another
 * process of the machine says it. */
MUST_USE bool arithmetic_start(Arithmetic *arithmetic, const char *name, bool packed, bool quiet, Err *err);

/* To what a run computes with, that was begun elsewhere: a name as another process's arithmetic has it. */
MUST_USE bool arithmetic_follow(Arithmetic *arithmetic, const char *name, Err *err);

/* Is it the one that the run was begun with? `name` and `fingerprint` (16 digits) as in its run file. */
MUST_USE bool arithmetic_check(const Arithmetic *arithmetic, const char *name, const char *fingerprint, Err *err);

/* How many threads products and kernels of this process share their work out to from here on: set once, behind the
 * start, by whoever opened the process's run or session. It changes no bits. */
void arithmetic_threads(int threads);

/* Behind the start, once: a profile (common/base/profile.h) begins, and sees what the kernels of this thread take. */
void arithmetic_profile(void);

/* "OpenBLAS 0.3.21 (OpenMP), core Haswell"; with ", of the base in bf16" where they are. */
void arithmetic_products(Text *out);

/* For --version: levels, core, library, fingerprint; starts the best arithmetic. False: there is none. */
MUST_USE bool arithmetic_describe(Text *out, Err *err);

#endif
