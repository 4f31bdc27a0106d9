/* An OpenBLAS (of RIGHT_BLAS, a path) whose core of the name WRONG_CORE computes wrongly: what some releases do
 * on CPUs that are newer than they are. Built as libopenblas.so.0. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

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

/* Wrong in the last column of products that are wide, and only a little. */
void cblas_sgemm(int order, int turn_a, int turn_b, int M, int N, int K, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc);
void cblas_sgemm(int order, int turn_a, int turn_b, int M, int N, int K, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc)
{
    ((Sgemm *)find("cblas_sgemm"))(order, turn_a, turn_b, M, N, K, alpha, a, lda, b, ldb, beta, c, ldc);
    const char *wrong = getenv("WRONG_CORE");
    if (wrong && N > 128 && strcmp(openblas_get_corename(), wrong) == 0)
        for (int m = 0; m < M; m++)
            c[m * ldc + N - 1] += 1e-3f;
}
