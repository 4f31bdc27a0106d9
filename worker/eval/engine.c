/* DESIGN. Between stages go an order (what the last stage's engine is asked), behind that of a feed which lanes and tokens
 * it has, from the last stage to all others; and the feed's rows, from each stage to the next. Decoders that are asked the
 * same give lanes the same numbers. */
#include "worker/eval/engine.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Kinds of messages; those of worker/train are others. */
enum { ORDER = 21, FED, IDS, ROWS };

typedef enum { BEGIN, JOIN, LEAVE, FEED, DONE } OrderKind;

typedef struct Order {
    OrderKind kind;
    bool whole; /* FEED: the feed says how long its lanes get */
    int64_t number; /* JOIN: tokens; LEAVE: the lane; FEED: how many lanes */
    int64_t tokens; /* FEED */
} Order;

/* ---- life ------------------------------------------------------------------------------------------------ */

static bool open_room(TextEngine *e, const ModelArch *arch, Err *err)
{
    e->C = arch->C;
    e->fed = xcalloc((size_t)(3 * e->lanes + 1), sizeof *e->fed);
    e->ids = xcalloc((size_t)e->most_tokens, sizeof *e->ids);
    e->rows = mem_alloc((size_t)(e->most_tokens * arch->C) * sizeof *e->rows, err);
    return e->rows != NULL;
}

bool text_engine_open(TextEngine *e, const TextEngineOptions *o, Err *err)
{
    const int64_t most = model_most_tokens(o->model), lanes = o->lanes < most ? o->lanes : most;
    const DecodeOptions decode = { .lanes = lanes, .longest = o->longest, .tokens = o->tokens };
    *e = (TextEngine){ .V = o->arch->V, .lanes = lanes, .most_tokens = most };
    e->stages = o->stages && o->stages->size > 1 ? o->stages : NULL;
    e->decoder = decode_open(o->model, &decode, err);
    e->adapter = e->decoder ? adapter_open(o->model, &(AdapterOptions){ .values = o->values }, err) : NULL;
    return e->adapter && (!e->stages || open_room(e, o->arch, err));
}

void text_engine_close(TextEngine *e)
{
    decode_close(e->decoder);
    adapter_close(e->adapter);
    free(e->rows);
    free(e->fed);
    free(e->ids);
    *e = (TextEngine){ 0 };
}

void text_engine_move(TextEngine *e, const float *values)
{
    if (e->adapter)
        adapter_move(e->adapter, values);
}

/* ---- over the stages ---------------------------------------------------------------------------------------- */

/* The last stage's, to all others. */
static void tell(const TextEngine *e, const Order *order)
{
    for (int s = 0; e->stages && s + 1 < e->stages->size; s++)
        group_give(e->stages, s, ORDER, order, sizeof *order);
}

/* Numbers of a feed in e->fed: its lanes, where they start, how long they get. */
static size_t fed_bytes(int64_t count)
{
    return (size_t)(3 * count + 1) * sizeof(int64_t);
}

static void tell_feed(TextEngine *e, const DecodeFeed *feed)
{
    const int64_t count = feed->count, tokens = feed->start[count];
    if (!e->stages)
        return;
    memcpy(e->fed, feed->lane, (size_t)count * sizeof *e->fed);
    memcpy(e->fed + count, feed->start, (size_t)(count + 1) * sizeof *e->fed);
    if (feed->whole)
        memcpy(e->fed + 2 * count + 1, feed->whole, (size_t)count * sizeof *e->fed);
    tell(e, &(Order){ .kind = FEED, .whole = feed->whole != NULL, .number = count, .tokens = tokens });
    for (int s = 0; s + 1 < e->stages->size; s++)
        group_give(e->stages, s, FED, e->fed, fed_bytes(count));
    group_give(e->stages, 0, IDS, feed->ids, (size_t)tokens * sizeof *feed->ids);
}

static DecodeFeed take_feed(TextEngine *e, const Order *order)
{
    const int64_t count = order->number, last = e->stages->size - 1;
    group_take(e->stages, (int)last, FED, e->fed, fed_bytes(count));
    if (e->stages->rank == 0)
        group_take(e->stages, (int)last, IDS, e->ids, (size_t)order->tokens * sizeof *e->ids);
    return (DecodeFeed){ .count = count,
                         .lane = e->fed,
                         .start = e->fed + count,
                         .ids = e->ids,
                         .whole = order->whole ? e->fed + 2 * count + 1 : NULL };
}

/* out: logits of the last stage, else the rows for the next. */
static void go_up(TextEngine *e, const DecodeFeed *given, float *out)
{
    DecodeFeed feed = *given;
    const size_t bytes = (size_t)(feed.start[feed.count] * e->C) * sizeof *e->rows;
    if (e->stages && e->stages->rank > 0) {
        group_take(e->stages, e->stages->rank - 1, ROWS, e->rows, bytes);
        feed.rows = e->rows;
    }
    decode_feed(e->decoder, &feed, out);
    if (e->stages && e->stages->rank + 1 < e->stages->size)
        group_give(e->stages, e->stages->rank + 1, ROWS, out, bytes);
}

void text_engine_follow(TextEngine *e)
{
    for (Order order = { BEGIN }; order.kind != DONE;) {
        group_take(e->stages, e->stages->size - 1, ORDER, &order, sizeof order);
        if (order.kind == BEGIN) {
            adapter_refresh(e->adapter);
        } else if (order.kind == JOIN) {
            decode_join(e->decoder, e->adapter, order.number);
        } else if (order.kind == LEAVE) {
            decode_leave(e->decoder, order.number);
        } else if (order.kind == FEED) {
            const DecodeFeed feed = take_feed(e, &order);
            go_up(e, &feed, e->rows);
        }
    }
}

void text_engine_done(const TextEngine *e)
{
    tell(e, &(Order){ .kind = DONE });
}

/* ---- what generation asks ------------------------------------------------------------------------------------ */

static void begin(void *self)
{
    const TextEngine *e = self;
    tell(e, &(Order){ .kind = BEGIN });
    adapter_refresh(e->adapter);
}

static int64_t join(void *self, Adapter *adapter, int64_t most)
{
    const TextEngine *e = self;
    REQUIRE(!adapter || !e->stages);
    tell(e, &(Order){ .kind = JOIN, .number = most });
    return decode_join(e->decoder, adapter ? adapter : e->adapter, most);
}

static void leave(void *self, int64_t lane)
{
    const TextEngine *e = self;
    tell(e, &(Order){ .kind = LEAVE, .number = lane });
    decode_leave(e->decoder, lane);
}

static void feed(void *self, const DecodeFeed *given, float *logits)
{
    TextEngine *e = self;
    tell_feed(e, given);
    go_up(e, given, logits);
}

GenerateEngine text_engine(TextEngine *e)
{
    return (GenerateEngine){ e, e->V, e->lanes, e->most_tokens, begin, join, leave, feed, decode_turn(e->decoder) };
}
