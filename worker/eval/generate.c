#include "worker/eval/generate.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- options ------------------------------------------------------------------------- */

static void add_end(GenerateOptions *o, json_int_t id)
{
    for (int i = 0; i < o->end_count; i++)
        if (o->ends[i] == id)
            return;
    if (id >= 0 && id <= INT32_MAX && o->end_count < GENERATE_ENDS)
        o->ends[o->end_count++] = (int32_t)id;
}

/* "eos_token_id": a number or a list of them. False: the file does not say, or is not there. */
static bool add_ends(GenerateOptions *o, const char *folder, const char *name, Err *err)
{
    char *path = path_join(folder, name);
    json_t *file = file_exists(path) ? json_file(path, err) : NULL;
    const json_t *ends = json_object_get(file, "eos_token_id");
    if (json_is_integer(ends))
        add_end(o, json_integer_value(ends));
    for (size_t i = 0; i < json_array_size(ends); i++)
        if (json_is_integer(json_array_get(ends, i)))
            add_end(o, json_integer_value(json_array_get(ends, i)));
    const bool said = json_is_integer(ends) || json_array_size(ends) > 0;
    json_decref(file);
    free(path);
    return said;
}

bool generate_options(GenerateOptions *options, const DataConfig *d, uint64_t seed, const char *model_folder,
                      int64_t positions, const Tokenizer *tokenizer, Err *err)
{
    *options = (GenerateOptions){
        .sample = { d->do_sample, d->temperature, d->top_p, d->repetition_penalty, d->top_k, seed },
        .max_new_tokens = d->max_new_tokens,
        .positions = positions,
        .stop = &d->stop_strings,
    };
    if (!add_ends(options, model_folder, "generation_config.json", err) && err->kind == ERR_NONE)
        add_ends(options, model_folder, "config.json", err);
    add_end(options, tokenizer_special(tokenizer, "eos_token"));
    return err->kind == ERR_NONE;
}

/* ---- one text ------------------------------------------------------------------------- */

typedef struct Lane {
    int32_t *ids; /* prompt and text; owned */
    int64_t prompt, count;
    bool done;
} Lane;

static bool is_end(const GenerateOptions *o, int32_t id)
{
    for (int i = 0; i < o->end_count; i++)
        if (o->ends[i] == id)
            return true;
    return false;
}

/* Does the text so far hold a stop string? */
static bool is_stopped(const GenerateOptions *o, const Lane *lane, const Tokenizer *tokenizer, Text *text)
{
    if (o->stop->count == 0)
        return false;
    text_clear(text);
    tokenizer_decode(tokenizer, lane->ids + lane->prompt, lane->count - lane->prompt, true, text);
    for (int i = 0; i < o->stop->count; i++)
        if (o->stop->items[i][0] && text->size > 0 &&
            memmem(text->data, text->size, o->stop->items[i], strlen(o->stop->items[i])))
            return true;
    return false;
}

/* ---- the batch --------------------------------------------------------------------------- */

typedef struct Generation {
    const GenerateOptions *o;
    const GeneratePrompts *prompts;
    const GenerateEngine *engine;
    const Tokenizer *tokenizer;
    Sampler sampler;
    Lane *lanes; /* [B] */
    int64_t *lane, *start; /* of a feed */
    int32_t *ids;
    float *logits; /* [B, V] */
    Text text;
} Generation;

static bool open_run(Generation *r, Err *err)
{
    const GeneratePrompts *p = r->prompts;
    const size_t B = (size_t)p->B;
    r->sampler.o = r->o->sample;
    r->lanes = xcalloc(B, sizeof *r->lanes);
    r->lane = xmalloc(B * sizeof *r->lane);
    r->start = xmalloc((B + 1) * sizeof *r->start);
    r->ids = xmalloc((size_t)(p->start[B] > p->B ? p->start[B] : p->B) * sizeof *r->ids);
    for (int64_t b = 0; b < p->B; b++) {
        Lane *lane = &r->lanes[b];
        const int64_t n = p->start[b + 1] - p->start[b];
        REQUIRE(n > 0);
        lane->ids = xmalloc((size_t)(n + r->o->max_new_tokens) * sizeof *lane->ids);
        memcpy(lane->ids, p->ids + p->start[b], (size_t)n * sizeof *lane->ids);
        lane->prompt = lane->count = n;
        lane->done = n >= r->o->positions; /* no room behind it */
    }
    r->logits = mem_alloc(B * (size_t)r->engine->V * sizeof(float), err);
    return r->logits != NULL;
}

static void close_run(Generation *r)
{
    for (int64_t b = 0; b < r->prompts->B; b++)
        free(r->lanes[b].ids);
    sampler_release(&r->sampler);
    text_release(&r->text);
    free(r->lanes);
    free(r->lane);
    free(r->start);
    free(r->ids);
    free(r->logits);
}

/* Whole prompts first, then the newest token of each that goes on. */
static GenerateFeed next_feed(Generation *r, bool first)
{
    int64_t count = 0, at = 0;
    for (int64_t b = 0; b < r->prompts->B; b++) {
        const Lane *lane = &r->lanes[b];
        const int64_t n = first ? lane->prompt : 1;
        if (lane->done)
            continue;
        r->lane[count] = b;
        r->start[count++] = at;
        memcpy(r->ids + at, lane->ids + lane->count - n, (size_t)n * sizeof *r->ids);
        at += n;
    }
    r->start[count] = at;
    return (GenerateFeed){ first, count, r->lane, r->start, r->ids };
}

static void add_token(Generation *r, Lane *lane, const float *logits, int64_t example)
{
    const int32_t id = sampler_next(&r->sampler, logits, r->engine->V, lane->ids, lane->count, example);
    if (is_end(r->o, id)) {
        lane->done = true;
        return;
    }
    lane->ids[lane->count++] = id;
    lane->done = lane->count - lane->prompt >= r->o->max_new_tokens || lane->count >= r->o->positions ||
                 is_stopped(r->o, lane, r->tokenizer, &r->text);
}

static void take(Generated *texts, const Generation *r)
{
    for (int64_t b = 0; b < r->prompts->B; b++) {
        const Lane *lane = &r->lanes[b];
        const int64_t n = lane->count - lane->prompt;
        texts[b] = (Generated){ xmalloc((size_t)(n + 1) * sizeof *lane->ids), n };
        memcpy(texts[b].ids, lane->ids + lane->prompt, (size_t)n * sizeof *lane->ids);
    }
}

static bool run_turn(Generated *texts, Generation *r, Err *err)
{
    bool ok = open_run(r, err);
    for (bool first = true; ok; first = false) {
        const GenerateFeed feed = next_feed(r, first);
        if (feed.count == 0)
            break;
        ok = r->engine->feed(r->engine->self, &feed, r->logits, err);
        for (int64_t i = 0; ok && i < feed.count; i++)
            add_token(r, &r->lanes[feed.lane[i]], r->logits + i * r->engine->V, r->prompts->example[feed.lane[i]]);
    }
    if (ok)
        take(texts, r);
    close_run(r);
    return ok;
}

bool generate(Generated *texts, const GenerateOptions *options, const GeneratePrompts *prompts,
              const GenerateEngine *engine, const Tokenizer *tokenizer, Err *err)
{
    bool ok = true;
    REQUIRE(engine->lanes > 0);
    memset(texts, 0, (size_t)prompts->B * sizeof *texts);
    for (int64_t b = 0; ok && b < prompts->B; b += engine->lanes) {
        const int64_t left = prompts->B - b;
        int64_t *start = xmalloc((size_t)(left + 1) * sizeof *start);
        for (int64_t i = 0; i <= left; i++)
            start[i] = prompts->start[b + i] - prompts->start[b];
        const GeneratePrompts turn = { left < engine->lanes ? left : engine->lanes, start,
                                       prompts->ids + prompts->start[b], prompts->example + b };
        Generation r = { .o = options, .prompts = &turn, .engine = engine, .tokenizer = tokenizer };
        ok = run_turn(texts + b, &r, err);
        free(start);
    }
    return ok;
}

void generated_release(Generated *text)
{
    free(text->ids);
    *text = (Generated){ 0 };
}
