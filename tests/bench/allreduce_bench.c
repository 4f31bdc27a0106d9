/* mpirun -n RANKS allreduce_bench FLOATS TIMES - milliseconds that MPI_Allreduce of so many floats takes: half and 99 of 100 take
 * less. What a run without a server would add to a step, on the same machine. */
#include "common/base/clock.h"
#include "common/base/mem.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const int n = argc == 3 ? atoi(argv[1]) : 0, times = argc == 3 ? atoi(argv[2]) : 0;
    if (n < 1 || times < 1) {
        fprintf(stderr, "allreduce_bench: FLOATS TIMES\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    float *mine = xcalloc((size_t)n, sizeof *mine), *sum = xcalloc((size_t)n, sizeof *sum);
    double *seconds = xcalloc((size_t)times, sizeof *seconds);
    for (int i = -2; i < times; i++) { /* two to warm up */
        MPI_Barrier(MPI_COMM_WORLD);
        const double start = clock_now();
        MPI_Allreduce(mine, sum, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        seconds[i > 0 ? i : 0] = clock_now() - start;
    }
    qsort(seconds, (size_t)times, sizeof *seconds, by_size);
    if (rank == 0)
        printf("p50 %.1f ms p99 %.1f ms\n", 1e3 * seconds[times / 2], 1e3 * seconds[times * 99 / 100]);
    free(mine);
    free(sum);
    free(seconds);
    MPI_Finalize();
    return 0;
}
