/* Decoding token by token beside the same model over whole texts, with the golden language models' trained
 * adapters. */
#include "worker/model/decode.h"

#include "common/base/mem.h"
#include "tests/support/model_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LANES = 3, ROOM = 96 };

typedef struct Texts {
    Subject *s;
    Packed p; /* the first LANES rows of the dev set */
    float *expected; /* [N, V] */
    Model *model; /* trains, predicts and decodes */
    Decoder *decoder;
    float *logits; /* [LANES, V] */
} Texts;

/* Room for the texts laid end to end, and for every lane full. */
static Model *open_model(const Subject *s)
{
    const ModelOptions o = { .most_tokens = LANES * ROOM,
                             .most_sequences = LANES,
                             .longest = ROOM,
                             .training = true,
                             .threads = 1,
                             .lora_dropout = 0.1,
                             .seed = 5 };
    Err err = { 0 };
    Model *model = model_open(s->c.arch, s->c.table, &s->weights, &o, &err);
    must(model != NULL, &err);
    return model;
}

static Texts open_texts(const char *name, int64_t window)
{
    Err err = { 0 };
    Texts t = { .s = open_subject(golden_index(name)) };
    ModelArch *arch = t.s->c.arch;
    char *trained = file_of(t.s, "expected");
    must(slots_read_adapter(t.s->c.values, t.s->c.table, trained, &err), &err);
    free(trained);
    if (window > 0) {
        free(arch->windows);
        arch->windows = xcalloc((size_t)arch->layers, sizeof *arch->windows);
        for (int64_t l = 0; l < arch->layers; l++)
            arch->windows[l] = l % 2 == 0 ? window : 0;
    }
    t.p = pack(t.s, &t.s->dev, NULL, LANES);
    t.expected = xcalloc((size_t)(t.p.batch.N * arch->V), sizeof *t.expected);
    t.model = open_model(t.s);
    model_predict(t.model, &t.p.batch, t.s->c.values, t.expected);
    const DecodeOptions o = { .lanes = LANES, .longest = ROOM };
    t.decoder = decode_open(t.model, &o, &err);
    must(t.decoder != NULL, &err);
    t.logits = xcalloc((size_t)(LANES * arch->V), sizeof *t.logits);
    return t;
}

static void close_texts(Texts *t)
{
    decode_close(t->decoder);
    model_close(t->model);
    unpack(&t->p);
    close_subject(t->s);
    free(t->expected);
    free(t->logits);
}

/* Tokens [from, end) of each text that has some go to its lane; what comes out is what the whole text has there. */
static void feed(Texts *t, bool first, const int64_t from[LANES], const int64_t end[LANES])
{
    const int64_t V = t->s->c.arch->V;
    int64_t lane[LANES], start[LANES + 1] = { 0 };
    int32_t ids[LANES * ROOM];
    DecodeFeed f = { first, 0, lane, start, ids };
    for (int b = 0; b < LANES; b++) {
        const int64_t n = end[b] - from[b];
        if (n <= 0)
            continue;
        memcpy(ids + start[f.count], t->p.ids + t->p.start[b] + from[b], (size_t)n * sizeof *ids);
        lane[f.count] = b;
        start[f.count + 1] = start[f.count] + n;
        f.count++;
    }
    if (f.count == 0)
        return;
    decode_feed(t->decoder, &f, t->s->c.values, t->logits);
    for (int64_t i = 0; i < f.count; i++) {
        const float *wanted = t->expected + (t->p.start[lane[i]] + end[lane[i]] - 1) * V;
        const double off = difference(t->logits + i * V, wanted, V);
        if (!(off < 1e-5))
            fail_msg("lane %lld, token %lld: logits are off by %g of the largest", (long long)lane[i],
                     (long long)end[lane[i]], off);
    }
}

static int64_t length(const Texts *t, int b)
{
    return t->p.start[b + 1] - t->p.start[b];
}

static void run(Texts *t, int64_t prompt, int64_t piece)
{
    int64_t from[LANES] = { 0 }, end[LANES];
    for (int b = 0; b < LANES; b++)
        end[b] = prompt + b < length(t, b) ? prompt + b : length(t, b);
    for (bool first = true, more = true; more; first = false) {
        feed(t, first, from, end);
        more = false;
        for (int b = 0; b < LANES; b++) {
            from[b] = end[b];
            end[b] = end[b] + piece < length(t, b) ? end[b] + piece : length(t, b);
            more = more || end[b] > from[b];
        }
    }
}

static void each_token_is_what_the_whole_text_has_there(void **state)
{
    Texts t = open_texts(*state, 0);
    run(&t, 3, 1);
    run(&t, 1, 1); /* the same lanes begun anew */
    run(&t, 2, 3); /* several tokens at a time */
    close_texts(&t);
}

static void a_window_hides_old_tokens(void **state)
{
    Texts t = open_texts(*state, 4);
    run(&t, 6, 1);
    run(&t, 1, 2);
    close_texts(&t);
}

/* One model: a step, an evaluation and texts between each other have the bits that they have alone. */
static void a_model_trains_and_predicts_between_two_feeds(void **state)
{
    Texts t = open_texts(*state, 0);
    const int64_t V = t.s->c.arch->V, size = t.s->c.table->size, N = t.p.batch.N;
    const size_t outputs = (size_t)(N * V) * sizeof(float), gradient = (size_t)size * sizeof(float);
    const int64_t lane = 0, start[] = { 0, 4 }, next[] = { 0, 1 };
    float *alone = xcalloc(1, gradient), *between = xcalloc(1, gradient), *logits = xcalloc(1, outputs);
    float *calm = xcalloc((size_t)V, sizeof *calm);
    model_train(t.model, &t.p.batch, t.s->c.values, alone, 3);
    decode_feed(t.decoder, &(DecodeFeed){ true, 1, &lane, start, t.p.ids }, t.s->c.values, t.logits);
    decode_feed(t.decoder, &(DecodeFeed){ false, 1, &lane, next, t.p.ids + 4 }, t.s->c.values, calm);
    decode_feed(t.decoder, &(DecodeFeed){ true, 1, &lane, start, t.p.ids }, t.s->c.values, t.logits);
    model_train(t.model, &t.p.batch, t.s->c.values, between, 3);
    assert_memory_equal(between, alone, gradient);
    model_predict(t.model, &t.p.batch, t.s->c.values, logits);
    assert_memory_equal(logits, t.expected, outputs);
    decode_feed(t.decoder, &(DecodeFeed){ false, 1, &lane, next, t.p.ids + 4 }, t.s->c.values, t.logits);
    assert_memory_equal(t.logits, calm, (size_t)V * sizeof *calm);
    free(alone);
    free(between);
    free(logits);
    free(calm);
    close_texts(&t);
}

static void a_model_that_reads_both_ways_writes_nothing(void **state)
{
    (void)state;
    Subject *s = open_subject(golden_index("bert-seqcls"));
    const DecodeOptions o = { .lanes = 1, .longest = 8 };
    Err err = { 0 };
    Packed p = pack(s, &s->dev, NULL, 1);
    Model *model = open_subject_model(s, &p, 0);
    assert_null(decode_open(model, &o, &err));
    assert_int_equal(err.kind, ERR_INPUT);
    model_close(model);
    unpack(&p);
    close_subject(s);
}

#define CASE(test, name)                                                                                               \
    {                                                                                                                  \
#test ": " name, test, NULL, NULL, (void *)(uintptr_t)name                                                     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_token_is_what_the_whole_text_has_there, "gpt2-clm"),
        CASE(each_token_is_what_the_whole_text_has_there, "gpt2-text"),
        CASE(each_token_is_what_the_whole_text_has_there, "llama-clm"),
        CASE(each_token_is_what_the_whole_text_has_there, "qwen2-clm"),
        CASE(a_model_trains_and_predicts_between_two_feeds, "gpt2-clm"),
        CASE(a_model_trains_and_predicts_between_two_feeds, "llama-clm"),
        CASE(each_token_is_what_the_whole_text_has_there, "qwen3-clm"),
        CASE(each_token_is_what_the_whole_text_has_there, "opt-clm"),
        CASE(a_window_hides_old_tokens, "llama-clm"),
        CASE(a_window_hides_old_tokens, "gpt2-clm"),
        cmocka_unit_test(a_model_that_reads_both_ways_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
