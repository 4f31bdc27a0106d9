#include "worker/eval/engine.h"

bool text_engine_open(TextEngine *e, const TextEngineOptions *o, Err *err)
{
    const DecodeOptions decode = { .lanes = o->lanes, .longest = o->longest };
    *e = (TextEngine){ .values = o->values, .V = o->arch->V, .lanes = o->lanes };
    e->decoder = decode_open(o->model, &decode, err);
    return e->decoder != NULL;
}

void text_engine_close(TextEngine *e)
{
    decode_close(e->decoder);
    *e = (TextEngine){ 0 };
}

static bool feed_lanes(void *self, const GenerateFeed *feed, float *logits, Err *err)
{
    (void)err;
    const TextEngine *e = self;
    const DecodeFeed next = { feed->first, feed->count, feed->lane, feed->start, feed->ids };
    decode_feed(e->decoder, &next, e->values, logits);
    return true;
}

GenerateEngine text_engine(TextEngine *e)
{
    return (GenerateEngine){ e, e->V, e->lanes, feed_lanes };
}
