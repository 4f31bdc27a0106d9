#include "worker/train/rows.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

uint32_t *rows_usable(const Dataset *data, const Pictures *pictures, int64_t *count)
{
    *count = data->images ? pictures->good_count : data->count;
    uint32_t *rows = xmalloc((size_t)*count * sizeof *rows);
    for (int64_t i = 0; i < *count; i++)
        rows[i] = data->images ? pictures->good[i] : (uint32_t)i;
    return rows;
}

int64_t rows_split(uint32_t *rows, int64_t count, double share, uint64_t seed)
{
    uint32_t *order = xmalloc((size_t)count * sizeof *order);
    const int64_t trained = dataset_split(count, share, seed, order);
    for (int64_t i = 0; i < count; i++)
        order[i] = rows[order[i]];
    memcpy(rows, order, (size_t)count * sizeof *rows);
    free(order);
    return trained;
}
