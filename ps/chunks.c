#include "ps/chunks.h"

#include "common/base/mem.h"

#include <stdlib.h>

void chunks_open(Chunks *chunks, int64_t n)
{
    chunks->sums = xcalloc((size_t)n, sizeof *chunks->sums);
    chunks->sizes = xcalloc((size_t)n, sizeof *chunks->sizes);
    chunks->n = n;
}

void chunks_drop(Chunks *chunks)
{
    for (int64_t i = 0; i < chunks->n; i++)
        free(chunks->sums[i]);
    free(chunks->sums);
    free(chunks->sizes);
    *chunks = (Chunks){ 0 };
}

bool chunks_add(Chunks *chunks, int64_t chunk, double *sums, int64_t size)
{
    if (chunks->sums[chunk])
        return false;
    chunks->sums[chunk] = sums;
    chunks->sizes[chunk] = size;
    return true;
}
