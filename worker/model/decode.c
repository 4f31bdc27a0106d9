#include "worker/model/decode.h"

#include "worker/model/decode_sources.h"

#include <stdlib.h>
#include <string.h>

struct Decoder {
    const ModelArch *arch;
    DecodeOptions options;
    Model *model; /* borrowed */
    Lanes lanes;
    DecodeSources sources; /* of a model of two stacks */
    Adapter **adapter; /* [lanes] of each lane, borrowed */
    /* a feed, in the order of its adapters */
    int64_t *order; /* [lanes] */
    Adapter **adapters; /* [lanes] */
    int64_t *lane, *whole; /* [lanes] */
    int64_t *start; /* [lanes + 1] of a run */
    int32_t *ids; /* [most_tokens] */
    RowSegment *segments, *heads; /* [lanes] of a pass; of the rows that meet the vocabulary */
    int64_t *spoken, *ones; /* [lanes] whose logits are wanted; [lanes + 1]: 0, 1, 2, ... */
};

static bool check(const ModelArch *arch, Err *err)
{
    if (arch->head.task->speaks && arch->causal && (arch->pre_norm || arch->source_layers > 0))
        return true;
    return err_set(err, ERR_INPUT, "model_type '%s' with task_type '%s' does not write texts", arch->family->model_type,
                   config_task_name(arch->head.task->type));
}

Decoder *decode_open(Model *model, const DecodeOptions *o, Err *err)
{
    const ModelArch *arch = model->arch;
    const size_t count = (size_t)o->lanes, tokens = (size_t)model->options.most_tokens;
    REQUIRE(o->lanes <= model->options.most_tokens && o->longest <= model->options.longest);
    if (!check(arch, err))
        return NULL;
    Decoder *d = xcalloc(1, sizeof *d);
    *d = (Decoder){ .arch = arch, .options = *o, .model = model };
    const int64_t first = model_first_block(model);
    const LanesOptions lanes = { .count = o->lanes,
                                 .longest = o->longest,
                                 .tokens = o->tokens,
                                 .most_rows = (int64_t)tokens,
                                 .threads = model->options.threads,
                                 .first = first,
                                 .blocks = model->end - first };
    if (!lanes_init(&d->lanes, arch, &lanes, err) || !sources_init(&d->sources, model, &d->lanes, &lanes, err)) {
        err_hint(err, "lower data.max_length or the number of texts at a time");
        decode_close(d);
        return NULL;
    }
    d->adapter = xcalloc(count, sizeof *d->adapter);
    d->order = xcalloc(count, sizeof *d->order);
    d->adapters = xcalloc(count, sizeof *d->adapters);
    d->lane = xcalloc(count, sizeof *d->lane);
    d->whole = xcalloc(count, sizeof *d->whole);
    d->start = xcalloc(count + 1, sizeof *d->start);
    d->ids = xcalloc(tokens, sizeof *d->ids);
    d->segments = xcalloc(count, sizeof *d->segments);
    d->heads = xcalloc(count, sizeof *d->heads);
    d->spoken = xcalloc(count, sizeof *d->spoken);
    d->ones = xcalloc(count + 1, sizeof *d->ones);
    for (int64_t i = 0; i <= o->lanes; i++)
        d->ones[i] = i;
    return d;
}

void decode_close(Decoder *d)
{
    if (!d)
        return;
    lanes_release(&d->lanes);
    sources_release(&d->sources);
    free(d->adapter);
    free(d->order);
    free(d->adapters);
    free(d->lane);
    free(d->whole);
    free(d->start);
    free(d->ids);
    free(d->segments);
    free(d->heads);
    free(d->spoken);
    free(d->ones);
    free(d);
}

int64_t decode_join(Decoder *d, Adapter *adapter, int64_t most)
{
    const int64_t lane = lanes_join(&d->lanes, most);
    if (lane >= 0)
        sources_join(&d->sources, lane, most);
    if (lane >= 0)
        d->adapter[lane] = adapter;
    return lane;
}

int64_t decode_turn(const Decoder *d)
{
    const Rope *rope = &d->model->pass->ropes[0];
    return rope->arch && rope->of_batch && rope->stretches ? rope->same : 0;
}

void decode_leave(Decoder *d, int64_t lane)
{
    lanes_leave(&d->lanes, lane);
    sources_leave(&d->sources, lane);
}

int64_t decode_promised(const Decoder *d)
{
    return d->lanes.promised * LANES_PAGE;
}

int64_t decode_room(const Decoder *d)
{
    return d->lanes.pages * LANES_PAGE;
}

/* ---- a feed ------------------------------------------------------------------------------ */

/* d->order: the feed's lanes, those that mix first, one adapter's together, else as they came. */
static void sort(Decoder *d, const DecodeFeed *feed)
{
    int64_t count = 0;
    for (int mixed = 1; mixed >= 0; mixed--) {
        for (int64_t i = 0; i < feed->count; i++) {
            Adapter *const adapter = d->adapter[feed->lane[i]];
            bool seen = adapter->mixes != (mixed == 1);
            for (int64_t k = 0; !seen && k < count; k++)
                seen = d->adapters[k] == adapter;
            for (int64_t k = i; !seen && k < feed->count; k++)
                if (d->adapter[feed->lane[k]] == adapter) {
                    d->order[count] = k;
                    d->adapters[count++] = adapter;
                }
        }
    }
    REQUIRE(count == feed->count);
}

/* What a run of the feed brings: rows, places, lanes. */
static void begin(Decoder *d, const DecodeFeed *feed, const AdapterRun *run)
{
    Pass *pass = d->model->pass;
    const int64_t B = run->end - run->first;
    int64_t longest = 0;
    d->start[0] = 0;
    for (int64_t b = 0; b < B; b++) {
        const int64_t i = d->order[run->first + b], n = feed->start[i + 1] - feed->start[i], at = d->start[b];
        const int64_t length = d->lanes.lanes[feed->lane[i]].length;
        d->lane[b] = feed->lane[i];
        d->whole[b] = feed->whole ? feed->whole[i] : length + n;
        REQUIRE(n > 0 && length + n <= d->options.longest && length + n <= d->whole[b]);
        memcpy(d->ids + at, feed->ids + feed->start[i], (size_t)n * sizeof *d->ids);
        for (int64_t t = 0; pass->places && t < n; t++)
            pass->places[at + t] = (int32_t)(d->arch->position_offset + length + t);
        d->start[b + 1] = at + n;
        longest = n > longest ? n : longest;
    }
    pass->rows = (Rows){ .B = B, .N = d->start[B], .longest = longest, .start = d->start };
    pass->drop = false;
    pass->lanes = &d->lanes;
    lanes_begin(&d->lanes, &pass->rows, d->lane, d->whole);
}

/* The segments of rows [at, at + count), counted from there. */
static void clip(Decoder *d, int64_t segments, int64_t at, int64_t count)
{
    Pass *pass = d->model->pass;
    pass->segment_count = 0;
    for (int64_t s = 0; s < segments; s++) {
        RowSegment next = d->heads[s];
        next.first = next.first > at ? next.first - at : 0;
        next.end = next.end < at + count ? next.end - at : count;
        if (next.first < next.end)
            d->segments[pass->segment_count++] = next;
    }
}

/* logits of hidden rows [n, n + N) of pass->row_a, which go to `spoken`; d->heads[segments]: their adapters. */
static void speak(Decoder *d, const VocabHead *of, int64_t n, int64_t N, int64_t segments, float *logits)
{
    Pass *pass = d->model->pass;
    VocabHead *head = &d->model->vocab_head;
    const int64_t C = d->arch->C, V = of->linear.out;
    for (int64_t at = 0; at < N; at += head->piece) {
        const int64_t count = N - at < head->piece ? N - at : head->piece;
        const Rows piece = { .B = count, .N = count, .longest = 1, .start = d->ones };
        clip(d, segments, at, count);
        vocab_head_forward(of, NULL, head->logits, pass->row_a + (n + at) * C, &piece, pass);
        for (int64_t i = 0; i < count; i++)
            memcpy(logits + d->spoken[n + at + i] * V, head->logits + i * V, (size_t)V * sizeof *logits);
    }
}

/* Who is wanted of the run's sequences from `first` on that have this adapter: their last hidden rows go together. */
static int64_t collect(Decoder *d, const AdapterRun *run, int64_t first, int64_t *count)
{
    Pass *pass = d->model->pass;
    const int64_t C = d->arch->C, B = run->end - run->first;
    int64_t b = first;
    for (; b < B && d->adapters[run->first + b] == d->adapters[run->first + first]; b++) {
        if (d->lanes.lanes[d->lane[b]].length + d->start[b + 1] - d->start[b] < d->whole[b])
            continue; /* the prompt goes on */
        memcpy(pass->row_a + *count * C, pass->x + (d->start[b + 1] - 1) * C, (size_t)C * sizeof(float));
        d->spoken[(*count)++] = sources_given(&d->sources, d->order[run->first + b]);
    }
    return b;
}

/* One product for all whose heads are the base's, one an adapter for the others. */
static void speak_all(Decoder *d, Model *layers, const AdapterRun *run, float *logits)
{
    const int64_t B = run->end - run->first;
    int64_t shared = 0, segments = 0;
    for (int64_t b = 0; b < B;) {
        const Adapter *adapter = d->adapters[run->first + b];
        const int64_t before = shared;
        b = collect(d, run, b, &shared);
        if (!run->mixed)
            continue;
        if (adapter->own_head) {
            speak(d, &adapter->model->vocab_head, before, shared - before, 0, logits);
            shared = before;
        } else if (shared > before) {
            d->heads[segments++] = (RowSegment){ before, shared, adapter->modules };
        }
    }
    speak(d, &layers->vocab_head, 0, shared, segments, logits);
}

void decode_feed(Decoder *d, const DecodeFeed *given, float *out)
{
    int64_t at = 0; /* rows of the runs before */
    Pass *pass = d->model->pass;
    REQUIRE(given->count > 0 && given->count <= d->options.lanes && given->start[0] == 0);
    REQUIRE(given->start[given->count] <= d->model->options.most_tokens);
    REQUIRE(d->model->opens == !given->rows);
    const DecodeFeed *feed = sources_take(&d->sources, given, d->adapter);
    sort(d, feed);
    pass->apart = true;
    pass->segments = d->segments;
    for (AdapterRun run = { 0 }; run.end < feed->count;) {
        run = adapter_run(d->adapters, run.end, feed->count, d->segments, &pass->segment_count);
        Model *layers = adapter_layers(d->model, d->adapters[run.first], &run);
        pass->values = run.mixed ? NULL : d->adapters[run.first]->options.values;
        begin(d, feed, &run);
        model_up(layers, NULL,
                 &(ModelInput){ .embedding.ids = d->ids, .rows = given->rows ? given->rows + at * d->arch->C : NULL });
        if (layers->closes)
            speak_all(d, layers, &run, out);
        else
            model_give(layers, NULL, out + at * d->arch->C);
        lanes_end(&d->lanes, &pass->rows);
        at += pass->rows.N;
    }
    pass->lanes = NULL; /* in the model's other calls sequences stand alone */
    pass->segments = NULL;
    pass->segment_count = 0;
    pass->apart = false;
}
