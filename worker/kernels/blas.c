#include "worker/kernels/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#undef I /* complex.h, which cblas.h brings in, takes the letter */

/* The functions have the types that the header gives them. */
static struct {
    void *library;
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(openblas_set_num_threads) *set_threads;
    char core[32], version[128];
} blas;

static const char *const library_names[] = { "libopenblas.so.0", "libopenblas.so" };

/* An environment variable for as long as the library is being loaded, which reads it then. */
typedef struct Variable {
    const char *name;
    char *before; /* owned; NULL: it was not set */
} Variable;

static Variable set_variable(const char *name, const char *value)
{
    const char *now = getenv(name);
    Variable variable = { name, now ? strdup(now) : NULL };
    setenv(name, value, 1);
    return variable;
}

static void put_back(Variable *variable)
{
    if (variable->before)
        setenv(variable->name, variable->before, 1);
    else
        unsetenv(variable->name);
    free(variable->before);
}

static void unload(void)
{
    if (blas.library)
        dlclose(blas.library);
    memset(&blas, 0, sizeof blas);
}

/* Where the address space is limited, the library asks for its buffers again and again, for ever, once there is no
 * room: 128 MB a thread that computes, the first while it is being loaded. So the room is tried first. */
static bool has_room(int threads, Err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    const size_t megabyte = 1 << 20, library = 64 * megabyte, buffer = 128 * megabyte,
                 need = library + (size_t)(threads + 1) * buffer;
    void *room = mmap(NULL, need, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room != MAP_FAILED) {
        munmap(room, need);
        return true;
    }
    err_set(err, ERR_MEMORY,
            "the address space of a process is limited to %llu MB, and OpenBLAS needs %zu MB of it that are free",
            (unsigned long long)limit.rlim_cur / megabyte, need / megabyte);
    return err_hint(err, "ulimit -v unlimited (a batch system has a setting of its own), or fewer parallel.threads");
}

static bool open_library(Err *err)
{
    for (size_t i = 0; !blas.library && i < sizeof library_names / sizeof *library_names; i++)
        blas.library = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL);
    if (blas.library)
        return true;
    err_set(err, ERR_IO, "OpenBLAS cannot be loaded: %s", dlerror());
    return err_hint(err, "install it (Debian: libopenblas0-openmp), or name its folder in LD_LIBRARY_PATH");
}

/* The library's function of that name, as a pointer to a function. */
static void find(void *function, const char *name)
{
    void *found = dlsym(blas.library, name);
    memcpy(function, &found, sizeof found);
}

/* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH USE_OPENMP Haswell MAX_THREADS=64": what is asked for here
 * is its first two words, and who its threads are. */
static void read_version(const char *config)
{
    size_t length = strcspn(config, " ");
    if (config[length])
        length += 1 + strcspn(config + length + 1, " ");
    snprintf(blas.version, sizeof blas.version, "%.*s%s", (int)length, config,
             strstr(config, "USE_OPENMP") ? " (OpenMP)" : "");
}

bool blas_load(const char *core, Err *err)
{
    const int threads = omp_get_max_threads(); /* which the OpenMP flavour sets, too */
    unload();
    if (!has_room(threads, err))
        return false;
    Variable one = set_variable("OPENBLAS_NUM_THREADS", "1"); /* no thread is started for us */
    Variable type = { 0 };
    if (core)
        type = set_variable("OPENBLAS_CORETYPE", core);
    bool ok = open_library(err);
    if (core)
        put_back(&type);
    put_back(&one);
    if (!ok)
        return false;
    __typeof__(openblas_get_corename) *core_name;
    __typeof__(openblas_get_config) *config;
    find(&blas.sgemm, "cblas_sgemm");
    find(&blas.set_threads, "openblas_set_num_threads");
    if (!blas.sgemm) {
        unload();
        return err_set(err, ERR_IO, "the OpenBLAS that is installed has no cblas_sgemm");
    }
    find(&core_name, "openblas_get_corename");
    find(&config, "openblas_get_config");
    snprintf(blas.core, sizeof blas.core, "%s", core_name ? core_name() : "unknown");
    read_version(config ? config() : "OpenBLAS");
    if (blas.set_threads)
        blas.set_threads(1);
    omp_set_num_threads(threads);
    return true;
}

const char *blas_core(void)
{
    return blas.core;
}

const char *blas_library(void)
{
    return blas.version;
}

/* The one cast from our sizes to BLAS's. */
static blasint narrow(int64_t size)
{
    REQUIRE(size >= 0 && size <= INT_MAX);
    return (blasint)size;
}

void blas_sgemm(bool turn_a, bool turn_b, int64_t M, int64_t N, int64_t K, float alpha, const float *a, int64_t lda,
                const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    REQUIRE(blas.sgemm); /* arithmetic_start comes before the first product */
    const int threads = omp_get_max_threads();
    const bool alone = threads > 1 && !omp_in_parallel(); /* the OpenMP flavour would take them all */
    if (alone)
        omp_set_num_threads(1);
    blas.sgemm(CblasRowMajor, turn_a ? CblasTrans : CblasNoTrans, turn_b ? CblasTrans : CblasNoTrans, narrow(M),
               narrow(N), narrow(K), alpha, a, narrow(lda), b, narrow(ldb), beta, c, narrow(ldc));
    if (alone)
        omp_set_num_threads(threads);
}
