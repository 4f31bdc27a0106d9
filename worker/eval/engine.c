#include "worker/eval/engine.h"

bool text_engine_open(TextEngine *e, const TextEngineOptions *o, Err *err)
{
    const int64_t most = model_most_tokens(o->model), lanes = o->lanes < most ? o->lanes : most;
    const DecodeOptions decode = { .lanes = lanes, .longest = o->longest, .tokens = o->tokens };
    *e = (TextEngine){ .V = o->arch->V, .lanes = lanes, .most_tokens = most };
    e->decoder = decode_open(o->model, &decode, err);
    e->adapter = e->decoder ? adapter_open(o->model, &(AdapterOptions){ .values = o->values }, err) : NULL;
    return e->adapter != NULL;
}

void text_engine_close(TextEngine *e)
{
    decode_close(e->decoder);
    adapter_close(e->adapter);
    *e = (TextEngine){ 0 };
}

static void begin(void *self)
{
    const TextEngine *e = self;
    adapter_refresh(e->adapter);
}

static int64_t join(void *self, Adapter *adapter, int64_t most)
{
    const TextEngine *e = self;
    return decode_join(e->decoder, adapter ? adapter : e->adapter, most);
}

static void leave(void *self, int64_t lane)
{
    const TextEngine *e = self;
    decode_leave(e->decoder, lane);
}

static void feed(void *self, const DecodeFeed *given, float *logits)
{
    const TextEngine *e = self;
    decode_feed(e->decoder, given, logits);
}

GenerateEngine text_engine(TextEngine *e)
{
    return (GenerateEngine){ e, e->V, e->lanes, e->most_tokens, begin, join, leave, feed, decode_turn(e->decoder) };
}
