#include "worker/eval/writer.h"

#include "common/base/maths.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct TextWriter {
    GenerateEngine engine;
    const Tokenizer *tokenizer;
    Sampler sampler;
    Writing **on; /* [lanes] those on their way, in the order in which they joined */
    int64_t count, rows;
    int64_t *lane, *start, *whole; /* of a feed: [lanes], [lanes + 1], [lanes] */
    Writing **fed; /* [lanes] */
    int32_t *ids; /* [most_tokens] */
    float *logits; /* [lanes, V] */
    Text text;
};

TextWriter *writer_open(const GenerateEngine *engine, const Tokenizer *tokenizer, Err *err)
{
    const size_t lanes = (size_t)engine->lanes;
    TextWriter *w = xcalloc(1, sizeof *w);
    REQUIRE(engine->lanes > 0 && engine->most_tokens >= engine->lanes);
    *w = (TextWriter){ .engine = *engine, .tokenizer = tokenizer };
    w->on = xcalloc(lanes, sizeof(Writing *));
    w->fed = xcalloc(lanes, sizeof(Writing *));
    w->lane = xcalloc(lanes, sizeof *w->lane);
    w->whole = xcalloc(lanes, sizeof *w->whole);
    w->start = xcalloc(lanes + 1, sizeof *w->start);
    w->ids = xcalloc((size_t)engine->most_tokens, sizeof *w->ids);
    w->logits = mem_alloc(lanes * (size_t)engine->V * sizeof(float), err);
    if (!w->logits) {
        writer_close(w);
        return NULL;
    }
    return w;
}

void writer_close(TextWriter *w)
{
    if (!w)
        return;
    sampler_release(&w->sampler);
    text_release(&w->text);
    free(w->on);
    free(w->fed);
    free(w->lane);
    free(w->whole);
    free(w->start);
    free(w->ids);
    free(w->logits);
    free(w);
}

/* ---- one text ------------------------------------------------------------------------- */

void writing_init(Writing *writing, const int32_t *prompt, int64_t count)
{
    REQUIRE(count > 0);
    writing->ids = xmalloc((size_t)(count + writing->options->max_new_tokens) * sizeof *writing->ids);
    memcpy(writing->ids, prompt, (size_t)count * sizeof *writing->ids);
    writing->prompt = writing->count = count;
    writing->read = 0;
    writing->stop_at = -1;
    writing->end = WRITING_ON;
}

void writing_release(Writing *writing)
{
    free(writing->ids);
    *writing = (Writing){ 0 };
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_end(const GenerateOptions *o, int32_t id)
{
    for (int i = 0; i < o->end_count; i++)
        if (o->ends[i] == id)
            return true;
    return false;
}

/* Does the text so far hold a stop string? Where the first one begins goes to stop_at. */
static bool is_stopped(TextWriter *w, Writing *writing)
{
    const StringList *stop = writing->options->stop;
    if (stop->count == 0)
        return false;
    text_clear(&w->text);
    tokenizer_decode(w->tokenizer, writing->ids + writing->prompt, writing->count - writing->prompt, true, &w->text);
    for (int i = 0; i < stop->count; i++) {
        const char *found = stop->items[i][0] && w->text.size > 0
                                ? memmem(w->text.data, w->text.size, stop->items[i], strlen(stop->items[i]))
                                : NULL;
        const int64_t at = found ? found - w->text.data : -1;
        if (found && (writing->stop_at < 0 || at < writing->stop_at))
            writing->stop_at = at;
    }
    return writing->stop_at >= 0;
}

static void add_token(TextWriter *w, Writing *writing, const float *logits)
{
    const GenerateOptions *o = writing->options;
    if (maths_not_finite(logits, w->engine.V) < w->engine.V) {
        writing->end = WRITING_BROKEN;
        return;
    }
    const int64_t from = o->two_texts ? writing->prompt - 1 : 0; /* a source is another text */
    w->sampler.o = o->sample;
    w->sampler.prompt = writing->prompt - from;
    const int32_t id =
        sampler_next(&w->sampler, logits, w->engine.V, writing->ids + from, writing->count - from, writing->example);
    if (is_end(o, id)) {
        writing->end = WRITING_STOPPED;
        return;
    }
    writing->ids[writing->count++] = id;
    if (is_stopped(w, writing))
        writing->end = WRITING_STOPPED;
    else if (writing->count - writing->prompt >= o->max_new_tokens || writing->count >= o->positions)
        writing->end = WRITING_FULL;
    if (writing->chosen)
        writing->chosen(writing, logits);
}

/* ---- those on their way ------------------------------------------------------------------ */

bool writer_join(TextWriter *w, Writing *writing)
{
    const GenerateOptions *o = writing->options;
    const int64_t most = least(writing->prompt + o->max_new_tokens, o->positions);
    if (writing->prompt >= o->positions || o->max_new_tokens < 1) {
        writing->end = WRITING_FULL;
        return true;
    }
    writing->lane = w->count < w->engine.lanes ? w->engine.join(w->engine.self, writing->adapter, most) : -1;
    if (writing->lane < 0)
        return false;
    w->on[w->count++] = writing;
    return true;
}

void writer_leave(TextWriter *w, Writing *writing)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < w->count; i++)
        if (w->on[i] != writing)
            w->on[kept++] = w->on[i];
    REQUIRE(kept + 1 == w->count);
    w->count = kept;
    w->engine.leave(w->engine.self, writing->lane);
}

/* One that has just grown past the engine's turn: nothing of it is read any more. The room that it leaves is the room
 * that it takes. */
static void turn_over(TextWriter *w, Writing *writing)
{
    const GenerateEngine *e = &w->engine;
    const GenerateOptions *o = writing->options;
    e->leave(e->self, writing->lane);
    writing->lane = e->join(e->self, writing->adapter, least(writing->prompt + o->max_new_tokens, o->positions));
    REQUIRE(writing->lane >= 0);
    writing->read = 0;
}

/* A feed of what each has not read yet: those that write first, a token each, then prompts as far as there is room. */
static DecodeFeed next_feed(TextWriter *w)
{
    int64_t count = 0, at = 0;
    for (int prompts = 0; prompts < 2; prompts++) {
        for (int64_t i = 0; i < w->count && at < w->engine.most_tokens; i++) {
            Writing *writing = w->on[i];
            if ((writing->read < writing->prompt) != (prompts == 1))
                continue;
            const int64_t n = least(writing->count - writing->read, w->engine.most_tokens - at);
            w->fed[count] = writing;
            w->lane[count] = writing->lane;
            w->whole[count] = writing->count;
            w->start[count++] = at;
            memcpy(w->ids + at, writing->ids + writing->read, (size_t)n * sizeof *w->ids);
            writing->read += n;
            at += n;
        }
    }
    w->start[count] = w->rows = at;
    return (DecodeFeed){ count, w->lane, w->start, w->ids, w->whole, NULL };
}

bool writer_step(TextWriter *w)
{
    w->rows = 0;
    if (w->count == 0)
        return false;
    const DecodeFeed feed = next_feed(w);
    w->engine.feed(w->engine.self, &feed, w->logits);
    for (int64_t i = 0; i < feed.count; i++) {
        Writing *writing = w->fed[i];
        const int64_t before = writing->count;
        if (writing->read != before)
            continue;
        add_token(w, writing, w->logits + i * w->engine.V);
        if (writing->end == WRITING_ON && before == w->engine.turn)
            turn_over(w, writing);
    }
    for (int64_t i = 0; i < feed.count; i++)
        if (w->fed[i]->end != WRITING_ON)
            writer_leave(w, w->fed[i]);
    return w->count > 0;
}

int64_t writer_rows(const TextWriter *w)
{
    return w->rows;
}
