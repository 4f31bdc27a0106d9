/* Texts that follow prompts, with an engine whose next token is a sum that can be done by hand. */
#include "worker/eval/generate.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- engines ------------------------------------------------------------------------------ */

enum { V = 50, LANES = 8 };

/* The next token is the sum of all that the lane was given, modulo V. */
typedef struct Adder {
    int64_t sum[LANES], most[LANES];
    bool taken[LANES];
    int feeds, widest;
} Adder;

static int64_t join(void *self, Adapter *adapter, int64_t most)
{
    (void)adapter;
    Adder *a = self;
    for (int64_t i = 0; i < LANES; i++)
        if (!a->taken[i]) {
            a->taken[i] = true;
            a->sum[i] = 0;
            a->most[i] = most;
            return i;
        }
    return -1;
}

static void leave(void *self, int64_t lane)
{
    Adder *a = self;
    assert_true(a->taken[lane]);
    a->taken[lane] = false;
}

static void add_up(void *self, const DecodeFeed *feed, float *logits)
{
    Adder *a = self;
    a->feeds++;
    a->widest = feed->count > a->widest ? (int)feed->count : a->widest;
    for (int64_t i = 0; i < feed->count; i++) {
        int64_t *sum = &a->sum[feed->lane[i]];
        assert_true(a->taken[feed->lane[i]]);
        for (int64_t k = feed->start[i]; k < feed->start[i + 1]; k++)
            *sum += feed->ids[k];
        a->most[feed->lane[i]] -= feed->start[i + 1] - feed->start[i];
        assert_true(a->most[feed->lane[i]] >= 0);
        for (int64_t v = 0; v < V; v++)
            logits[i * V + v] = v == *sum % V ? 5.0f : 0.01f * (float)(v % 7);
    }
}

static int64_t lanes = LANES, most_tokens = 64, turn = 0;

static void make(Generated *texts, const GenerateOptions *o, int64_t B, const int64_t *start, const int32_t *ids,
                 const int64_t *example)
{
    Err err = { 0 };
    Adder adder = { .feeds = 0 };
    const GenerateEngine engine = { &adder, V, lanes, most_tokens, NULL, join, leave, add_up, turn };
    const GeneratePrompts prompts = { B, start, ids, example, NULL };
    assert_true(generate(texts, o, &prompts, &engine, NULL, &err));
    assert_true(adder.widest <= B && adder.widest <= lanes);
    for (int i = 0; i < LANES; i++)
        assert_false(adder.taken[i]);
}

static const StringList none = { 0 };
static const int64_t starts[] = { 0, 2, 3, 6 };
static const int32_t ids[] = { 1, 2, 7, 3, 4, 40 };
static const int64_t examples[] = { 0, 1, 2 };

static void expect(Generated *text, const int32_t *want, int64_t n)
{
    assert_int_equal(text->count, n);
    if (n > 0)
        assert_memory_equal(text->ids, want, (size_t)n * sizeof *want);
    generated_release(text);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void the_likeliest_token_goes_on_until_the_most(void **state)
{
    (void)state;
    const GenerateOptions o = {
        .sample = { false, 1, 1, 1, 50, 0 }, .max_new_tokens = 4, .positions = 100, .stop = &none
    };
    Generated texts[3];
    make(texts, &o, 3, starts, ids, examples);
    expect(&texts[0], (int32_t[]){ 3, 6, 12, 24 }, 4);
    expect(&texts[1], (int32_t[]){ 7, 14, 28, 6 }, 4);
    expect(&texts[2], (int32_t[]){ 47, 44, 38, 26 }, 4);
    lanes = most_tokens = 2; /* the third waits for a lane, and comes in pieces */
    make(texts, &o, 3, starts, ids, examples);
    lanes = LANES;
    most_tokens = 64;
    expect(&texts[0], (int32_t[]){ 3, 6, 12, 24 }, 4);
    expect(&texts[1], (int32_t[]){ 7, 14, 28, 6 }, 4);
    expect(&texts[2], (int32_t[]){ 47, 44, 38, 26 }, 4);
}

/* The adder knows only what its lane was given since it was taken: nothing is missing, nothing is given twice. */
static void a_text_that_grows_past_the_turn_is_read_anew(void **state)
{
    (void)state;
    const GenerateOptions o = {
        .sample = { false, 1, 1, 1, 50, 0 }, .max_new_tokens = 4, .positions = 100, .stop = &none
    };
    Generated texts[3];
    for (turn = 1; turn < 9; turn++)
        for (lanes = most_tokens = 2; lanes <= LANES; lanes += 3, most_tokens = 64) {
            make(texts, &o, 3, starts, ids, examples);
            expect(&texts[0], (int32_t[]){ 3, 6, 12, 24 }, 4);
            expect(&texts[1], (int32_t[]){ 7, 14, 28, 6 }, 4);
            expect(&texts[2], (int32_t[]){ 47, 44, 38, 26 }, 4);
        }
    turn = 0;
    lanes = LANES;
}

static void a_text_ends_at_an_end_token_or_at_the_last_position(void **state)
{
    (void)state;
    GenerateOptions o = { .sample = { false, 1, 1, 1, 50, 0 },
                          .max_new_tokens = 9,
                          .positions = 5,
                          .stop = &none,
                          .ends = { 12, 7 },
                          .end_count = 2 };
    Generated texts[3];
    make(texts, &o, 3, starts, ids, examples);
    expect(&texts[0], (int32_t[]){ 3, 6 }, 2);
    expect(&texts[1], NULL, 0);
    expect(&texts[2], (int32_t[]){ 47, 44 }, 2);
    o.positions = 3; /* the third prompt fills them */
    make(texts, &o, 3, starts, ids, examples);
    expect(&texts[0], (int32_t[]){ 3 }, 1);
    expect(&texts[1], NULL, 0);
    expect(&texts[2], NULL, 0);
}

static void draws_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    const GenerateOptions o = {
        .sample = { true, 3.0, 1, 1, 0, 11 }, .max_new_tokens = 20, .positions = 100, .stop = &none
    };
    Generated all[3], again[3], alone;
    make(all, &o, 3, starts, ids, examples);
    make(again, &o, 3, starts, ids, examples);
    make(&alone, &o, 1, (int64_t[]){ 0, 1 }, ids + 2, examples + 1);
    assert_memory_equal(alone.ids, all[1].ids, 20 * sizeof *alone.ids);
    int differ = 0;
    for (int i = 0; i < 20; i++)
        differ += all[0].ids[i] != all[1].ids[i];
    assert_true(differ > 0);
    for (int b = 0; b < 3; b++) {
        expect(&again[b], all[b].ids, 20);
        generated_release(&all[b]);
    }
    generated_release(&alone);
}

static void prompts_that_find_no_lane_take_turns(void **state)
{
    (void)state;
    const GenerateOptions o = {
        .sample = { true, 3.0, 1, 1, 0, 11 }, .max_new_tokens = 20, .positions = 100, .stop = &none
    };
    Generated all[3], turns[3];
    make(all, &o, 3, starts, ids, examples);
    lanes = 2;
    make(turns, &o, 3, starts, ids, examples);
    lanes = LANES;
    for (int b = 0; b < 3; b++) {
        expect(&turns[b], all[b].ids, 20);
        generated_release(&all[b]);
    }
}

/* Says the ids of a text one by one, whatever it is given. */
typedef struct Speaker {
    const Encoding *text;
    int64_t at, V;
} Speaker;

static int64_t only_lane(void *self, Adapter *adapter, int64_t most)
{
    (void)self;
    (void)adapter;
    (void)most;
    return 0;
}

static void let_go(void *self, int64_t lane)
{
    (void)self;
    assert_int_equal(lane, 0);
}

static void speak(void *self, const DecodeFeed *feed, float *logits)
{
    Speaker *s = self;
    assert_int_equal(feed->count, 1);
    for (int64_t v = 0; v < s->V; v++)
        logits[v] = v == s->text->ids[s->at] ? 1.0f : 0.0f;
    s->at++;
}

static void a_stop_string_is_the_end_of_a_text(void **state)
{
    (void)state;
    Err err = { 0 };
    Tokenizer *tokenizer = tokenizer_open("tests/golden/gpt2-clm/model", &err);
    assert_non_null(tokenizer);
    const char *says = "the garden is red. the bridge is blue";
    Encoding e = { 0 };
    assert_true(tokenizer_encode(tokenizer, says, strlen(says), NULL, 0, 0, &e, &err));
    char *word = xstrdup("bridge");
    StringList stop = { &word, 1 };
    Speaker speaker = { &e, 0, tokenizer_size(tokenizer) };
    const GenerateEngine engine = { &speaker, speaker.V, 1, 1, NULL, only_lane, let_go, speak, 0 };
    const GenerateOptions o = {
        .sample = { false, 1, 1, 1, 50, 0 }, .max_new_tokens = e.count, .positions = 1000, .stop = &stop
    };
    const GeneratePrompts prompts = { 1, (int64_t[]){ 0, 1 }, e.ids, examples, NULL };
    Generated text;
    Text words = { 0 };
    assert_true(generate(&text, &o, &prompts, &engine, tokenizer, &err));
    tokenizer_decode(tokenizer, text.ids, text.count, true, &words);
    assert_string_equal(words.data, "the garden is red. the bridge");
    generated_release(&text);
    text_release(&words);
    encoding_release(&e);
    tokenizer_close(tokenizer);
    free(word);
}

static void end_tokens_come_from_the_model(void **state)
{
    (void)state;
    char folder[] = "/tmp/generate_test_XXXXXX";
    Err err = { 0 };
    const char *config = "{\"eos_token_id\": 9}", *generation = "{\"eos_token_id\": [4, 5, 4]}";
    assert_non_null(mkdtemp(folder));
    char *a = path_join(folder, "config.json"), *b = path_join(folder, "generation_config.json");
    Tokenizer *tokenizer = tokenizer_open("tests/golden/gpt2-clm/model", &err);
    assert_non_null(tokenizer);
    const int32_t eos = tokenizer_special(tokenizer, "eos_token");
    const DataConfig data = { .max_new_tokens = 8, .top_k = 3, .temperature = 0.5, .do_sample = true };
    const ModelArch arch = { .folder = folder, .head.task = task_get(TASK_CAUSAL_LM) };
    GenerateOptions o;
    assert_true(file_write(a, config, strlen(config), &err));
    assert_true(generate_options(&o, &data, 42, &arch, 64, tokenizer, &err));
    assert_int_equal(o.end_count, 2);
    assert_int_equal(o.ends[0], 9);
    assert_int_equal(o.ends[1], eos);
    assert_true(file_write(b, generation, strlen(generation), &err));
    assert_true(generate_options(&o, &data, 42, &arch, 64, tokenizer, &err));
    assert_int_equal(o.end_count, 3);
    assert_int_equal(o.ends[0], 4);
    assert_int_equal(o.ends[1], 5);
    assert_int_equal(o.sample.top_k, 3);
    assert_int_equal(o.max_new_tokens, 8);
    tokenizer_close(tokenizer);
    assert_true(folder_remove(folder, &err));
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_likeliest_token_goes_on_until_the_most),
        cmocka_unit_test(a_text_that_grows_past_the_turn_is_read_anew),
        cmocka_unit_test(a_text_ends_at_an_end_token_or_at_the_last_position),
        cmocka_unit_test(draws_do_not_depend_on_the_batch),
        cmocka_unit_test(prompts_that_find_no_lane_take_turns),
        cmocka_unit_test(a_stop_string_is_the_end_of_a_text),
        cmocka_unit_test(end_tokens_come_from_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
