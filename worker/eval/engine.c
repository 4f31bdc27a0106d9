#include "worker/eval/engine.h"

#include "common/base/maths.h"

bool engine_check(const float *logits, int64_t count, Err *err)
{
    if (maths_not_finite(logits, count) == count)
        return true;
    err_set(err, ERR_TRAINING, "the model's logits are not finite");
    return err_hint(err, "weights of the base or of the adapter are too large: did its training diverge?");
}

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
    const TextEngine *e = self;
    const DecodeFeed next = { feed->first, feed->count, feed->lane, feed->start, feed->ids };
    decode_feed(e->decoder, &next, e->values, logits);
    return engine_check(logits, feed->count * e->V, err);
}

GenerateEngine text_engine(TextEngine *e)
{
    return (GenerateEngine){ e, e->V, e->lanes, feed_lanes };
}
