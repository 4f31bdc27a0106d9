/* Decoding token by token beside the same model over whole texts, with the golden language models' trained
 * adapters. */
#include "worker/model/decode.h"

#include "common/base/mem.h"
#include "tests/support/model_case.h"
#include "worker/kernels/gemm.h"

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
    Adapter *adapter;
    int64_t lane[LANES]; /* of each text */
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
    t.adapter = adapter_open(t.model, &(AdapterOptions){ .values = t.s->c.values }, &err);
    must(t.adapter != NULL, &err);
    t.logits = xcalloc((size_t)(LANES * arch->V), sizeof *t.logits);
    return t;
}

static void close_texts(Texts *t)
{
    adapter_close(t->adapter);
    decode_close(t->decoder);
    model_close(t->model);
    unpack(&t->p);
    close_subject(t->s);
    free(t->expected);
    free(t->logits);
}

/* Empty lanes for the texts. */
static void join(Texts *t)
{
    for (int b = 0; b < LANES; b++) {
        t->lane[b] = decode_join(t->decoder, t->adapter, ROOM);
        assert_true(t->lane[b] >= 0);
    }
    assert_int_equal(decode_join(t->decoder, t->adapter, 1), -1);
}

static void leave(Texts *t)
{
    for (int b = 0; b < LANES; b++)
        decode_leave(t->decoder, t->lane[b]);
}

/* Tokens [from, end) of each text that has some go to its lane; what comes out is what the whole text has there. */
static void feed(Texts *t, const int64_t from[LANES], const int64_t end[LANES])
{
    const int64_t V = t->s->c.arch->V;
    int64_t lane[LANES], text[LANES], start[LANES + 1] = { 0 };
    int32_t ids[LANES * ROOM];
    DecodeFeed f = { .lane = lane, .start = start, .ids = ids };
    for (int b = 0; b < LANES; b++) {
        const int64_t n = end[b] - from[b];
        if (n <= 0)
            continue;
        memcpy(ids + start[f.count], t->p.ids + t->p.start[b] + from[b], (size_t)n * sizeof *ids);
        lane[f.count] = t->lane[b];
        text[f.count] = b;
        start[f.count + 1] = start[f.count] + n;
        f.count++;
    }
    if (f.count == 0)
        return;
    decode_feed(t->decoder, &f, t->logits);
    for (int64_t i = 0; i < f.count; i++) {
        const float *wanted = t->expected + (t->p.start[text[i]] + end[text[i]] - 1) * V;
        const double off = difference(t->logits + i * V, wanted, V);
        if (!(off < 1e-5))
            fail_msg("text %lld, token %lld: logits are off by %g of the largest", (long long)text[i],
                     (long long)end[text[i]], off);
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
    join(t);
    for (bool more = true; more;) {
        feed(t, from, end);
        more = false;
        for (int b = 0; b < LANES; b++) {
            from[b] = end[b];
            end[b] = end[b] + piece < length(t, b) ? end[b] + piece : length(t, b);
            more = more || end[b] > from[b];
        }
    }
    leave(t);
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
    const int64_t start[] = { 0, 4 }, next[] = { 0, 1 };
    float *alone = xcalloc(1, gradient), *between = xcalloc(1, gradient), *logits = xcalloc(1, outputs);
    float *calm = xcalloc((size_t)V, sizeof *calm);
    int64_t lane = decode_join(t.decoder, t.adapter, ROOM);
    model_train(t.model, &t.p.batch, t.s->c.values, alone, 3);
    decode_feed(t.decoder, &(DecodeFeed){ 1, &lane, start, t.p.ids, NULL, NULL }, t.logits);
    decode_feed(t.decoder, &(DecodeFeed){ 1, &lane, next, t.p.ids + 4, NULL, NULL }, calm);
    decode_leave(t.decoder, lane);
    lane = decode_join(t.decoder, t.adapter, ROOM);
    decode_feed(t.decoder, &(DecodeFeed){ 1, &lane, start, t.p.ids, NULL, NULL }, t.logits);
    model_train(t.model, &t.p.batch, t.s->c.values, between, 3);
    assert_memory_equal(between, alone, gradient);
    model_predict(t.model, &t.p.batch, t.s->c.values, logits);
    assert_memory_equal(logits, t.expected, outputs);
    decode_feed(t.decoder, &(DecodeFeed){ 1, &lane, next, t.p.ids + 4, NULL, NULL }, t.logits);
    assert_memory_equal(t.logits, calm, (size_t)V * sizeof *calm);
    free(alone);
    free(between);
    free(logits);
    free(calm);
    close_texts(&t);
}

/* ---- company ------------------------------------------------------------------------------- */

enum { CROWD = 7, LONG = 70 }; /* lanes; tokens of a text, more than a page has */

/* Texts of any tokens, so that they are longer than the golden ones. */
static void invent(int32_t ids[CROWD][LONG], int64_t V)
{
    for (int i = 0; i < CROWD; i++)
        for (int k = 0; k < LONG; k++)
            ids[i][k] = (int32_t)((k * 131 + i * 37 + k * k * i) % V);
}

/* The model's slots filled with numbers of seed `which`. */
static float *some_values(const Subject *s, int which)
{
    float *values = xcalloc((size_t)s->c.table->size, sizeof *values);
    for (int64_t i = 0; i < s->c.table->size; i++)
        values[i] = s->c.values[i] + (float)((i * 7 + which * 13) % 11 - 5) * 0.01f;
    return values;
}

/* logits[V] of the whole text, alone in one piece. */
static void read_alone(float *logits, Decoder *d, Adapter *adapter, const int32_t *ids)
{
    const int64_t lane = decode_join(d, adapter, LONG), start[] = { 0, LONG };
    decode_feed(d, &(DecodeFeed){ 1, &lane, start, ids, NULL, NULL }, logits);
    decode_leave(d, lane);
}

/* All texts beside each other, in pieces of sizes of their own, by adapters of their own; each joins late. */
static void read_together(float *logits, Decoder *d, Adapter *const *adapter, int32_t ids[CROWD][LONG], int64_t V)
{
    int64_t lane[CROWD], read[CROWD] = { 0 };
    float *out = xcalloc((size_t)(CROWD * V), sizeof *out);
    for (int step = 0, open = CROWD; open > 0; step++) {
        int64_t fed[CROWD], start[CROWD + 1] = { 0 }, whole[CROWD], count = 0;
        int32_t pieces[CROWD * LONG];
        int text[CROWD];
        for (int i = 0; i < CROWD; i++) {
            const int64_t left = LONG - read[i], piece = 1 + (i * 5 + step) % 23, n = piece < left ? piece : left;
            if (step < i / 2 || left == 0)
                continue;
            if (read[i] == 0)
                lane[i] = decode_join(d, adapter[i], LONG);
            memcpy(pieces + start[count], ids[i] + read[i], (size_t)n * sizeof *pieces);
            start[count + 1] = start[count] + n;
            whole[count] = LONG;
            text[count] = i;
            fed[count++] = lane[i];
            read[i] += n;
        }
        decode_feed(d, &(DecodeFeed){ count, fed, start, pieces, whole, NULL }, out);
        for (int64_t k = 0; k < count; k++)
            if (read[text[k]] == LONG) {
                memcpy(logits + text[k] * V, out + k * V, (size_t)V * sizeof *out);
                decode_leave(d, fed[k]);
                open--;
            }
    }
    free(out);
}

/* lora NULL: the golden adapter's settings. */
static void company_in(const char *name, const char *lora, int threads)
{
    Err err = { 0 };
    Subject *s = lora ? open_subject_with(golden_index(name), lora) : open_subject(golden_index(name));
    const ModelOptions o = {
        .most_tokens = CROWD * LONG, .most_sequences = CROWD, .longest = LONG, .threads = threads
    };
    gemm_set_threads(threads);
    Model *model = model_open(s->c.arch, s->c.table, &s->weights, &o, &err);
    must(model != NULL, &err);
    Decoder *d = decode_open(model, &(DecodeOptions){ .lanes = CROWD, .longest = LONG }, &err);
    must(d != NULL, &err);
    const int64_t V = s->c.arch->V;
    float *values[3] = { some_values(s, 0), some_values(s, 1), NULL };
    Adapter *three[3], *adapter[CROWD];
    for (int a = 0; a < 3; a++) {
        three[a] = adapter_open(model, &(AdapterOptions){ .values = values[a] }, &err);
        must(three[a] != NULL, &err);
    }
    for (int i = 0; i < CROWD; i++)
        adapter[i] = three[i % 3];
    int32_t ids[CROWD][LONG];
    float *together = xcalloc((size_t)(CROWD * V), sizeof *together), *alone = xcalloc((size_t)V, sizeof *alone);
    invent(ids, V);
    read_together(together, d, adapter, ids, V);
    gemm_set_threads(1);
    for (int i = 0; i < CROWD; i++) {
        read_alone(alone, d, adapter[i], ids[i]);
        assert_memory_equal(together + i * V, alone, (size_t)V * sizeof *alone);
    }
    assert_int_equal(decode_promised(d), 0);
    for (int a = 0; a < 3; a++) {
        adapter_close(three[a]);
        free(values[a]);
    }
    decode_close(d);
    model_close(model);
    close_subject(s);
    free(together);
    free(alone);
}

/* To the bit: whoever is beside it, by whatever adapter, however the prompt is cut, on however many threads. */
static void a_text_does_not_know_its_company(void **state)
{
    company_in(*state, NULL, 1);
    company_in(*state, NULL, 3);
}

static void nor_by_an_adapter_of_more_than_loras(void **state)
{
    (void)state;
    company_in("gpt2-clm", "{\"r\": 3, \"target_modules\": [\"c_attn\"], \"bias\": \"all\"}", 2);
    company_in("llama-clm", "{\"r\": 3, \"target_modules\": [\"q_proj\", \"lm_head\"]}", 2);
    company_in("llama-clm", "{\"r\": 3, \"target_modules\": [\"v_proj\"], \"modules_to_save\": [\"lm_head\"]}", 2);
}

static void a_lane_gets_all_that_it_was_promised(void **state)
{
    (void)state;
    Texts t = open_texts("gpt2-clm", 0);
    Err err = { 0 };
    /* room for 2 pages; a text of 65 tokens needs them both */
    Decoder *d = decode_open(t.model, &(DecodeOptions){ .lanes = LANES, .longest = ROOM, .tokens = 128 }, &err);
    must(d != NULL, &err);
    assert_int_equal(decode_room(d), 128);
    const int64_t lane = decode_join(d, t.adapter, 65);
    assert_true(lane >= 0);
    assert_int_equal(decode_join(d, t.adapter, 1), -1);
    decode_leave(d, lane);
    assert_true(decode_join(d, t.adapter, 64) >= 0);
    assert_true(decode_join(d, t.adapter, 1) >= 0);
    assert_int_equal(decode_join(d, t.adapter, 1), -1);
    assert_int_equal(decode_promised(d), 128);
    decode_close(d);
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
        CASE(each_token_is_what_the_whole_text_has_there, "gpt2-tokens"),
        CASE(each_token_is_what_the_whole_text_has_there, "gpt2-dora"),
        CASE(a_window_hides_old_tokens, "llama-clm"),
        CASE(a_window_hides_old_tokens, "gpt2-clm"),
        CASE(a_text_does_not_know_its_company, "gpt2-clm"),
        CASE(a_text_does_not_know_its_company, "llama-clm"),
        CASE(a_text_does_not_know_its_company, "qwen2-clm"),
        CASE(a_text_does_not_know_its_company, "opt-clm"),
        cmocka_unit_test(nor_by_an_adapter_of_more_than_loras),
        cmocka_unit_test(a_lane_gets_all_that_it_was_promised),
        cmocka_unit_test(a_model_that_reads_both_ways_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
