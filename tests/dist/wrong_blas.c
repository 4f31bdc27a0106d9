/* An OpenBLAS (of RIGHT_BLAS, a path) whose core of the name WRONG_CORE ("any": each) computes wrongly, as some releases do on
 * CPUs that are newer than they are, or that of the name OTHER_CORE rightly, but with other last bits, as
 * another release may. As soon as there is a file BROKEN_WHEN, products are no numbers: a machine that breaks while it
 * works. Built as libopenblas.so.0. */
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void Sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);

static void *right;

__attribute__((constructor)) static void load(void)
{
    right = dlopen(getenv("RIGHT_BLAS"), RTLD_NOW | RTLD_LOCAL);
    if (!right)
        abort();
}

__attribute__((destructor)) static void unload(void)
{
    dlclose(right);
}

static void *find(const char *name)
{
    return dlsym(right, name);
}

char *openblas_get_corename(void);
char *openblas_get_corename(void)
{
    return ((char *(*)(void))find("openblas_get_corename"))();
}

char *openblas_get_config(void);
char *openblas_get_config(void)
{
    return ((char *(*)(void))find("openblas_get_config"))();
}

void openblas_set_num_threads(int n);
void openblas_set_num_threads(int n)
{
    ((void (*)(int))find("openblas_set_num_threads"))(n);
}

static int is_core(const char *variable)
{
    const char *name = getenv(variable);
    return name && (strcmp(name, "any") == 0 || strcmp(openblas_get_corename(), name) == 0);
}

/* Wrong in the last column of products that are wide, and only a little. */
void cblas_sgemm(int order, int turn_a, int turn_b, int M, int N, int K, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc);
void cblas_sgemm(int order, int turn_a, int turn_b, int M, int N, int K, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc)
{
    ((Sgemm *)find("cblas_sgemm"))(order, turn_a, turn_b, M, N, K, alpha, a, lda, b, ldb, beta, c, ldc);
    if (is_core("WRONG_CORE") && N > 128)
        for (int m = 0; m < M; m++)
            c[m * ldc + N - 1] += 1e-3f;
    const char *broken = getenv("BROKEN_WHEN");
    if (broken && access(broken, F_OK) == 0)
        c[0] = NAN;
    if (is_core("OTHER_CORE"))
        for (int m = 0; m < M; m++)
            c[m * ldc] *= 1 + 0x1p-23f;
}
