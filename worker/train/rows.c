#include "worker/train/rows.h"

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/data/questions.h"

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

/* All rows, by the split of their questions. */
static int64_t split_questions(uint32_t *rows, const Dataset *data, double share, uint64_t seed)
{
    const Questions q = questions_view(data->notes);
    uint32_t *order = xmalloc((size_t)q.count * sizeof *order);
    int64_t *first = xcalloc((size_t)q.count + 1, sizeof *first), n = 0, trained = 0;
    const int64_t kept = dataset_split(q.count, share, seed, order);
    for (int64_t w = 0; w < q.windows; w++)
        first[q.of[w] + 1] = w + 1;
    for (int64_t i = 0; i < q.count; i++) {
        for (int64_t w = first[order[i]]; w < first[order[i] + 1]; w++)
            rows[n++] = (uint32_t)w;
        trained = i + 1 == kept ? n : trained;
    }
    free(first);
    free(order);
    return trained;
}

int64_t rows_split(uint32_t *rows, int64_t count, const Dataset *data, double share, uint64_t seed)
{
    if (data->notes)
        return split_questions(rows, data, share, seed);
    const int64_t columns = data->columns, examples = count / columns;
    uint32_t *order = xmalloc((size_t)examples * sizeof *order), *split = xmalloc((size_t)count * sizeof *split);
    const int64_t trained = dataset_split(examples, share, seed, order);
    for (int64_t i = 0; i < count; i++)
        split[i] = rows[order[i / columns] * columns + i % columns];
    memcpy(rows, split, (size_t)count * sizeof *rows);
    free(split);
    free(order);
    return trained * columns;
}

/* A class with fewer rows than are wanted: returns false. */
static bool has_enough(const int64_t *taken, const HeadArch *head, int64_t shots, Err *err)
{
    for (int64_t label = 0; label < head->labels; label++) {
        if (taken[label] == shots)
            continue;
        err_set(err, ERR_INPUT, "there are %lld rows of class '%s', and %lld are to be drawn", (long long)taken[label],
                head->label_names[label], (long long)shots);
        return err_at(err, "data.shots");
    }
    return true;
}

int64_t rows_of_classes(uint32_t *rows, int64_t count, const Dataset *data, const HeadArch *head, int64_t shots,
                        uint64_t seed, Err *err)
{
    uint32_t *order = xmalloc((size_t)(count + 1) * sizeof *order);
    int64_t *taken = xcalloc((size_t)head->labels, sizeof *taken), n = 0;
    bool *drawn = xcalloc((size_t)count + 1, sizeof *drawn);
    rng_torch_randperm(order, count, seed);
    for (int64_t i = 0; i < count; i++) {
        const int64_t label = (int64_t)data->goal[rows[order[i]]];
        drawn[order[i]] = taken[label] < shots;
        taken[label] += drawn[order[i]];
    }
    const bool ok = has_enough(taken, head, shots, err);
    for (int64_t i = 0; i < count; i++)
        if (drawn[i])
            rows[n++] = rows[i];
    free(drawn);
    free(taken);
    free(order);
    return ok ? n : -1;
}
