/* A step in steady state allocates nothing: every malloc of the process goes by here. What OpenBLAS asks for within a product is
 * not counted: of some cores (SkylakeX's small products) it takes room of its own in each call. */
#include "common/base/mem.h"
#include "tests/support/halves.h"
#include "tests/support/model_case.h"
#include "worker/kernels/gemm.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static volatile bool counting;
static volatile int64_t allocations;

/* The sanitizers have allocators of their own. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
static const bool watched = true;
extern void *__libc_malloc(size_t size), *__libc_calloc(size_t count, size_t size),
    *__libc_realloc(void *at, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static void allocated(void *by)
{
    Dl_info library;
    if (counting && !(dladdr(by, &library) && library.dli_fname && strstr(library.dli_fname, "openblas")))
        __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
    allocated(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocated(__builtin_return_address(0));
    return __libc_calloc(count, size);
}

void *realloc(void *at, size_t size)
{
    allocated(__builtin_return_address(0));
    return __libc_realloc(at, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    allocated(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **at, size_t alignment, size_t size)
{
    allocated(__builtin_return_address(0));
    *at = __libc_memalign(alignment, size);
    return *at ? 0 : 12;
}
#else
static const bool watched = false;
#endif

static int64_t faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* The first steps touch memory for the first time, and start threads. */
static void check(const char *name, const char *kind, Precision precision, int threads)
{
    enum { ROWS = 4, WARM = 2, STEPS = 3 };
    Subject *s = open_subject(golden_index(name));
    reload_subject(s, precision, 1);
    Packed p = pack(s, &s->train, NULL, ROWS);
    Model *model = open_subject_model(s, &p, 0.1);
    float *grad = calloc((size_t)s->c.table->size, sizeof *grad);
    gemm_set_threads(threads);
    for (int step = 0; step < WARM; step++)
        model_train(model, &p.batch, s->c.values, grad, step);
    const int64_t before = faults();
    allocations = 0;
    counting = true;
    for (int step = WARM; step < WARM + STEPS; step++)
        model_train(model, &p.batch, s->c.values, grad, step);
    counting = false;
    printf("%s, %s: %.1f page faults a step\n", name, kind, (double)(faults() - before) / STEPS);
    if (allocations != 0)
        fail_msg("%s, %s: %lld allocations in %d steps", name, kind, (long long)allocations, STEPS);
    gemm_set_threads(1);
    free(grad);
    model_close(model);
    unpack(&p);
    close_subject(s);
}

static void the_count_counts(void **state)
{
    (void)state;
    if (!watched)
        skip();
    allocations = 0;
    counting = true;
    void *volatile some = malloc(100);
    counting = false;
    free(some);
    assert_int_equal(allocations, 1);
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    if (!watched)
        skip();
    static const char *const names[] = { "bert-seqcls", "gpt2-clm", "llama-clm", "vit-imgcls" };
    static const struct {
        const char *name;
        Precision precision;
    } kinds[] = { { "fp32", PRECISION_FP32 }, { "bf16", PRECISION_BF16 }, { "nf4", PRECISION_NF4 } };
    for (size_t i = 0; i < LENGTH(names); i++)
        for (size_t k = 0; k < LENGTH(kinds); k++) {
            check(names[i], kinds[k].name, kinds[k].precision, 1);
            for (int way = kinds[k].precision == PRECISION_FP32 ? -1 : 0; halves_use(way) && way >= 0; way++)
                check(names[i], kinds[k].name, kinds[k].precision, 2);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_count_counts),
        cmocka_unit_test(a_step_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
