#include "worker/eval/engine.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

bool text_engine_open(TextEngine *e, Model *model, const ModelArch *arch, const float *values, int64_t longest,
                      int64_t lanes, Err *err)
{
    *e = (TextEngine){ .model = model, .values = values, .V = arch->V, .longest = longest, .lanes = lanes };
    e->ids = mem_alloc((size_t)(lanes * longest) * sizeof *e->ids, err);
    e->logits = mem_alloc((size_t)longest * (size_t)arch->V * sizeof *e->logits, err);
    e->count = xcalloc((size_t)lanes, sizeof *e->count);
    return e->ids && e->logits;
}

void text_engine_close(TextEngine *e)
{
    free(e->ids);
    free(e->count);
    free(e->logits);
    *e = (TextEngine){ 0 };
}

static bool feed_lanes(void *self, const GenerateFeed *feed, float *logits, Err *err)
{
    (void)err;
    TextEngine *e = self;
    for (int64_t i = 0; i < feed->count; i++) {
        const int64_t lane = feed->lane[i], n = feed->start[i + 1] - feed->start[i];
        int32_t *ids = e->ids + lane * e->longest;
        if (feed->first)
            e->count[lane] = 0;
        REQUIRE(lane < e->lanes && e->count[lane] + n <= e->longest);
        memcpy(ids + e->count[lane], feed->ids + feed->start[i], (size_t)n * sizeof *ids);
        e->count[lane] += n;
        const int64_t start[] = { 0, e->count[lane] }, example[] = { lane };
        const Batch batch = { .B = 1, .N = e->count[lane], .start = start, .ids = ids, .example = example };
        model_predict(e->model, &batch, e->values, e->logits);
        memcpy(logits + i * e->V, e->logits + (e->count[lane] - 1) * e->V, (size_t)e->V * sizeof *logits);
    }
    return true;
}

GenerateEngine text_engine(TextEngine *e)
{
    return (GenerateEngine){ e, e->V, e->lanes, feed_lanes };
}
