/* peak - the most that the vector units of this level can do: sums in registers, with nothing to wait for. */
#include "worker/kernels/tile.h"

typedef float Peak __attribute__((vector_size(LANES * sizeof(float))));

enum { SUMS = 12 }; /* enough to hide the latency of an addition; 16 registers hold them */

float peak_rounds(int64_t rounds, int64_t *operations)
{
    Peak sums[SUMS], factor = { 0 }, more = { 0 };
    volatile float near_one = 0.999f; /* so that no compiler knows the result */
    for (int l = 0; l < LANES; l++) {
        factor[l] = near_one;
        more[l] = 1 - near_one;
    }
    for (int i = 0; i < SUMS; i++)
        sums[i] = more * (float)i;
    for (int64_t round = 0; round < rounds; round++)
#pragma GCC unroll 12
        for (int i = 0; i < SUMS; i++)
            sums[i] = sums[i] * factor + more;
    float sum = 0;
    for (int i = 0; i < SUMS; i++)
        for (int l = 0; l < LANES; l++)
            sum += sums[i][l];
    *operations = rounds * SUMS * LANES * 2;
    return sum;
}
