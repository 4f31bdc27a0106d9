#include "worker/model/decode_sources.h"

#include "worker/model/encoder.h"

#include <stdlib.h>
#include <string.h>

bool sources_init(DecodeSources *s, Model *model, Lanes *own, const LanesOptions *o, Err *err)
{
    const size_t count = (size_t)o->count;
    if (model->encoder.layers == 0)
        return true;
    *s = (DecodeSources){ .model = model, .longest = o->longest };
    s->whole = xcalloc(count, sizeof *s->whole);
    s->got = xcalloc(count, sizeof *s->got);
    s->waiting = xcalloc(count * (size_t)o->longest, sizeof *s->waiting);
    s->lane = xcalloc(count, sizeof *s->lane);
    s->start = xcalloc(count + 1, sizeof *s->start);
    s->when = xcalloc(count, sizeof *s->when);
    s->given = xcalloc(count, sizeof *s->given);
    s->ids = xcalloc((size_t)o->most_rows, sizeof *s->ids);
    own->sources = &s->lanes;
    return lanes_init(&s->lanes, model->arch, o, err);
}

void sources_release(DecodeSources *s)
{
    lanes_release(&s->lanes);
    free(s->whole);
    free(s->got);
    free(s->waiting);
    free(s->lane);
    free(s->start);
    free(s->when);
    free(s->given);
    free(s->ids);
    *s = (DecodeSources){ 0 };
}

/* Lanes of both come and go together, so they have the same numbers and there is room in both. */
void sources_join(DecodeSources *s, int64_t lane, int64_t most)
{
    if (!s->model)
        return;
    const int64_t same = lanes_join(&s->lanes, most);
    REQUIRE(same == lane);
    s->whole[lane] = -1;
    s->got[lane] = 0;
}

void sources_leave(DecodeSources *s, int64_t lane)
{
    if (s->model)
        lanes_leave(&s->lanes, lane);
}

/* A source that is whole: what each block that writes makes of it, with the lane's adapter. */
static void read_source(DecodeSources *s, int64_t lane, Adapter *adapter)
{
    Model *model = s->model;
    Pass *pass = model->pass;
    RowSegment segment;
    const AdapterRun run = adapter_run(&adapter, 0, 1, &segment, &pass->segment_count);
    Model *layers = adapter_layers(model, adapter, &run);
    pass->values = run.mixed ? NULL : adapter->options.values;
    pass->segments = &segment;
    pass->drop = false;
    encoder_read(layers, s->waiting + lane * s->longest, s->whole[lane]);
    for (int64_t l = model->encoder.layers; l < model->arch->layers; l++)
        for (int i = 0; i < layers->blocks[l].count; i++) {
            const Sublayer *sub = &layers->blocks[l].sublayers[i];
            if (sub->kind != BODY_CROSS)
                continue;
            cross_body_read(&sub->cross, NULL, pass->g, pass);
            lanes_keep_source(&s->lanes, lane, l, pass->g, &sub->cross.shape, s->whole[lane]);
        }
    pass->segments = NULL;
    pass->segment_count = 0;
}

/* As many of ids[n] as are the lane's source; returns how many. */
static int64_t take_source(DecodeSources *s, int64_t lane, const int32_t *ids, int64_t n, Adapter *adapter)
{
    const int64_t left = s->whole[lane] - s->got[lane], took = n < left ? n : left;
    if (left == 0)
        return 0;
    memcpy(s->waiting + lane * s->longest + s->got[lane], ids, (size_t)took * sizeof *ids);
    s->got[lane] += took;
    if (took == left)
        read_source(s, lane, adapter);
    return took;
}

const DecodeFeed *sources_take(DecodeSources *s, const DecodeFeed *feed, Adapter *const *adapter)
{
    int64_t at = 0, count = 0;
    if (!s->model)
        return feed;
    s->start[0] = 0;
    for (int64_t i = 0; i < feed->count; i++) {
        const int64_t lane = feed->lane[i], n = feed->start[i + 1] - feed->start[i];
        const int32_t *ids = feed->ids + feed->start[i];
        if (s->whole[lane] < 0)
            s->whole[lane] = (feed->whole ? feed->whole[i] : n) - 1;
        REQUIRE(s->whole[lane] > 0 && s->whole[lane] < s->longest);
        const int64_t took = take_source(s, lane, ids, n, adapter[lane]);
        if (took == n)
            continue;
        memcpy(s->ids + at, ids + took, (size_t)(n - took) * sizeof *ids);
        at += n - took;
        s->lane[count] = lane;
        s->given[count] = i;
        s->when[count] = (feed->whole ? feed->whole[i] - s->whole[lane] : 0);
        s->start[++count] = at;
    }
    s->feed = (DecodeFeed){ count, s->lane, s->start, s->ids, feed->whole ? s->when : NULL, NULL };
    return &s->feed;
}

int64_t sources_given(const DecodeSources *s, int64_t i)
{
    return s->model ? s->given[i] : i;
}
