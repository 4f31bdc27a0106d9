/* The next token, beside Transformers' logits processors (fixtures/processors.jsonl: random logits,
 * what RepetitionPenalty, Temperature, TopK and TopP in this order left of them). */
#include "worker/eval/sample.h"

#include "common/base/file.h"
#include "common/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 64 };

typedef struct Row {
    float logits[MOST];
    int32_t ids[MOST];
    int64_t V, n;
    SampleOptions o;
} Row;

static Row read_row(const json_t *json)
{
    Row r = { 0 };
    Err err = { 0 };
    const json_t *logits = json_object_get(json, "logits"), *ids = json_object_get(json, "ids");
    r.V = (int64_t)json_array_size(logits);
    r.n = (int64_t)json_array_size(ids);
    for (int64_t i = 0; i < r.V; i++)
        r.logits[i] = (float)json_number_value(json_array_get(logits, (size_t)i));
    for (int64_t i = 0; i < r.n; i++)
        r.ids[i] = (int32_t)json_integer_value(json_array_get(ids, (size_t)i));
    r.o = (SampleOptions){ .temperature = json_get_real(json, "temperature", 0, &err),
                           .top_p = json_get_real(json, "top_p", 0, &err),
                           .repetition_penalty = json_get_real(json, "repetition_penalty", 0, &err),
                           .top_k = json_get_int(json, "top_k", 0, &err) };
    assert_int_equal(err.kind, ERR_NONE);
    return r;
}

static void candidates_are_those_of_transformers(void **state)
{
    (void)state;
    Err err = { 0 };
    size_t size;
    char *text = file_read("tests/worker/eval/fixtures/processors.jsonl", &size, &err);
    assert_non_null(text);
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *json = json_loadb(at, (size_t)(end - at), 0, NULL);
        const Row r = read_row(json);
        Sampler s = { .o = r.o };
        assert_int_equal(sampler_next(&s, r.logits, r.V, r.ids, r.n, 0),
                         json_integer_value(json_object_get(json, "greedy")));
        s.o.do_sample = true;
        sampler_process(&s, r.logits, r.V, r.ids, r.n);
        const json_t *tokens = json_object_get(json, "tokens"), *values = json_object_get(json, "values");
        assert_int_equal(s.count, json_array_size(tokens));
        for (int64_t i = 0; i < s.count; i++) {
            assert_int_equal(s.tokens[i].id, json_integer_value(json_array_get(tokens, (size_t)i)));
            assert_float_equal(s.tokens[i].logit, (float)json_number_value(json_array_get(values, (size_t)i)), 1e-5f);
        }
        sampler_release(&s);
        json_decref(json);
    }
    free(text);
}

static void draws_follow_the_probabilities_and_the_seed(void **state)
{
    (void)state;
    const float logits[] = { 0.0f, 1.0f, 2.0f, -1.0f }; /* softmax: .087 .237 .644 .032 */
    const double want[] = { 0.0871, 0.2369, 0.6439, 0.0321 };
    int counts[4] = { 0 }, differ = 0;
    const SampleOptions plain = { .do_sample = true, .temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = 7 };
    Sampler a = { .o = plain }, b = { .o = plain };
    b.o.seed = 8;
    for (int64_t example = 0; example < 20000; example++) {
        const int32_t id = sampler_next(&a, logits, 4, NULL, 0, example);
        counts[id]++;
        assert_int_equal(sampler_next(&a, logits, 4, NULL, 0, example), id);
        differ += sampler_next(&b, logits, 4, NULL, 0, example) != id;
    }
    for (int i = 0; i < 4; i++)
        assert_float_equal((float)counts[i] / 20000.0f, (float)want[i], 0.015f);
    assert_true(differ > 5000);
    sampler_release(&a);
    sampler_release(&b);
}

static void the_lower_of_two_equal_tokens_is_taken(void **state)
{
    (void)state;
    const float logits[] = { 0.0f, 3.0f, 3.0f };
    Sampler s = { .o = { .temperature = 1, .top_p = 1, .repetition_penalty = 1, .top_k = 50 } };
    assert_int_equal(sampler_next(&s, logits, 3, NULL, 0, 0), 1);
    sampler_release(&s);
}

/* Logits of all tokens behind the processors, by their ids. */
static void processed(float *by_id, Sampler *s, const float *logits, int64_t V, const int32_t *ids, int64_t n)
{
    sampler_process(s, logits, V, ids, n);
    assert_int_equal(s->count, V);
    for (int64_t i = 0; i < V; i++)
        by_id[s->tokens[i].id] = s->tokens[i].logit;
}

/* mu[j] - c[j] frequency - (c[j] > 0) presence of OpenAI's reference, where c counts what was written. */
static void penalties_count_what_was_written_and_not_the_prompt(void **state)
{
    (void)state;
    const float logits[] = { 0.5f, 1.0f, -2.0f, 3.0f, 0.0f };
    const int32_t ids[] = { 4, 4, 0, 1, 3, 1, 1, 9, -1 }; /* the prompt is 4 4 0 */
    const int count[] = { 0, 3, 0, 1, 0 };
    Sampler s = { .o = { .do_sample = true,
                         .temperature = 1,
                         .top_p = 1,
                         .repetition_penalty = 1,
                         .presence_penalty = 0.75,
                         .frequency_penalty = -0.5 },
                  .prompt = 3 };
    float got[5];
    for (int turn = 0; turn < 2; turn++) { /* nothing stays of a turn */
        processed(got, &s, logits, 5, ids, 9);
        for (int i = 0; i < 5; i++)
            assert_float_equal(got[i], logits[i] - (float)(count[i] * -0.5 + (count[i] > 0 ? 0.75 : 0)), 1e-6f);
    }
    processed(got, &s, logits, 5, ids, 3); /* there is no text yet */
    assert_memory_equal(got, logits, sizeof logits);
    sampler_release(&s);
}

static void a_bias_is_added_before_the_penalties(void **state)
{
    (void)state;
    const float logits[] = { 1.0f, 2.0f, -1.0f };
    const int32_t ids[] = { 2, 1 };
    const TokenBias bias[] = { { 2, 5.0f }, { 0, -100.0f } };
    Sampler s = { .o = { .temperature = 1, .top_p = 1, .repetition_penalty = 2, .bias = bias, .bias_count = 2 } };
    assert_int_equal(sampler_next(&s, logits, 3, NULL, 0, 0), 2);
    float got[3];
    s.o.do_sample = true;
    processed(got, &s, logits, 3, ids, 2);
    assert_float_equal(got[0], -99.0f, 1e-6f);
    assert_float_equal(got[1], 1.0f, 1e-6f);
    assert_float_equal(got[2], 2.0f, 1e-6f);
    sampler_release(&s);
}

/* probs < min_p * max(probs) go, as in Transformers' MinPLogitsWarper: here .644 .237 .087 .032. */
static void min_p_is_a_share_of_the_likeliest(void **state)
{
    (void)state;
    const float logits[] = { 0.0f, 1.0f, 2.0f, -1.0f };
    const struct {
        double min_p;
        int64_t count;
    } cases[] = { { 0, 4 }, { 0.049, 4 }, { 0.051, 3 }, { 0.134, 3 }, { 0.137, 2 }, { 0.37, 1 }, { 1, 1 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Sampler s = {
            .o = { .do_sample = true, .temperature = 1, .top_p = 1, .repetition_penalty = 1, .min_p = cases[i].min_p }
        };
        sampler_process(&s, logits, 4, NULL, 0);
        assert_int_equal(s.count, cases[i].count);
        assert_int_equal(s.tokens[0].id, 2);
        sampler_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_are_those_of_transformers),
        cmocka_unit_test(draws_follow_the_probabilities_and_the_seed),
        cmocka_unit_test(the_lower_of_two_equal_tokens_is_taken),
        cmocka_unit_test(penalties_count_what_was_written_and_not_the_prompt),
        cmocka_unit_test(a_bias_is_added_before_the_penalties),
        cmocka_unit_test(min_p_is_a_share_of_the_likeliest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
