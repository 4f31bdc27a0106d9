#include "worker/eval/references.h"

#include "common/base/digest.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

int64_t references_prompt(const Dataset *data, int64_t row)
{
    const int32_t *goal = data->token_goal + data->start[row];
    int64_t n = data->start[row + 1] - data->start[row];
    while (n > 0 && goal[n - 1] == -100)
        n--;
    while (n > 0 && goal[n - 1] != -100)
        n--;
    return n + 1; /* goal[i] is token i + 1 */
}

static bool ask_the_same(const Dataset *data, int64_t a, int64_t b)
{
    const int64_t n = references_prompt(data, a);
    return n == references_prompt(data, b) &&
           memcmp(data->ids + data->start[a], data->ids + data->start[b], (size_t)n * sizeof *data->ids) == 0;
}

typedef struct Asked {
    uint64_t digest;
    int64_t at, row; /* rows[at] */
} Asked;

static int by_digest(const void *a, const void *b)
{
    const Asked *x = a, *y = b;
    if (x->digest != y->digest)
        return x->digest < y->digest ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Those of one digest stand together, in the order of the rows; prompts that share it by chance are told apart. */
static void link_rows(References *r, const Asked *asked, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t k = i - 1;
        while (k >= 0 && asked[k].digest == asked[i].digest && !ask_the_same(r->data, asked[k].row, asked[i].row))
            k--;
        const bool first = k < 0 || asked[k].digest != asked[i].digest;
        r->first[asked[i].row] = first;
        if (!first)
            r->next[asked[k].row] = asked[i].row;
    }
}

bool references_open(References *r, const Dataset *data, const uint32_t *rows, int64_t count, Err *err)
{
    REQUIRE(data->token_goal && data->ids);
    *r = (References){ .data = data };
    const size_t all = (size_t)data->count;
    Asked *asked = mem_alloc((size_t)count * sizeof *asked, err);
    r->next = asked ? mem_alloc(all * (sizeof *r->next + sizeof *r->first), err) : NULL;
    if (r->next) {
        r->first = (bool *)(r->next + all);
        memset(r->first, 0, all * sizeof *r->first);
        for (size_t i = 0; i < all; i++)
            r->next[i] = REFERENCES_LAST;
        for (int64_t i = 0; i < count; i++) {
            const int64_t row = rows ? (int64_t)rows[i] : i;
            const size_t bytes = (size_t)references_prompt(data, row) * sizeof *data->ids;
            asked[i] = (Asked){ digest_fast(data->ids + data->start[row], bytes), i, row };
        }
        qsort(asked, (size_t)count, sizeof *asked, by_digest);
        link_rows(r, asked, count);
    }
    free(asked);
    return r->next != NULL;
}

void references_release(References *r)
{
    free(r->next);
    *r = (References){ 0 };
}
