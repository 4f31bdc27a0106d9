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

int64_t rows_split(uint32_t *rows, int64_t count, int64_t columns, double share, uint64_t seed)
{
    const int64_t examples = count / columns;
    uint32_t *order = xmalloc((size_t)examples * sizeof *order), *split = xmalloc((size_t)count * sizeof *split);
    const int64_t trained = dataset_split(examples, share, seed, order);
    for (int64_t i = 0; i < count; i++)
        split[i] = rows[order[i / columns] * columns + i % columns];
    memcpy(rows, split, (size_t)count * sizeof *rows);
    free(split);
    free(order);
    return trained * columns;
}
