/* Gradients of every family with everything trained that can be, dropout on, beside differences of the
 * loss; and the same in pieces, and at first values. What the golden cases do not train is covered here. */
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/support/model_case.h"
#include "tests/support/slopes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FEW = 6, MANY = 160 };

typedef struct Everything {
    const char *name, *lora; /* lora NULL: every weight */
    int64_t window; /* of every other layer; 0: none */
} Everything;

#define TRIPLETS "\"peft_type\": \"ADALORA\", \"init_r\": 3, \"lora_alpha\": 5, "
#define SETTINGS "\"r\": 3, \"lora_alpha\": 6, "

static const Everything cases[] = {
    { "bert-tokcls",
      "{" SETTINGS "\"target_modules\": [\"query\", \"key\", \"value\", \"word_embeddings\"], \"bias\": \"all\","
      "\"modules_to_save\": [\"LayerNorm\", \"position_embeddings\", \"intermediate.dense\", \"output.dense\"]}",
      0 },
    { "roberta-pair",
      "{" SETTINGS "\"target_modules\": \"all-linear\", \"bias\": \"all\","
      "\"modules_to_save\": [\"LayerNorm\", \"word_embeddings\", \"position_embeddings\"]}",
      0 },
    { "distilbert-regress",
      "{" SETTINGS "\"target_modules\": [\"q_lin\", \"k_lin\", \"v_lin\", \"out_lin\", \"lin1\", \"lin2\"],"
      "\"bias\": \"all\", \"modules_to_save\": [\"LayerNorm\", \"sa_layer_norm\"]}",
      0 },
    { "gpt2-clm",
      "{" SETTINGS "\"target_modules\": [\"c_attn\", \"c_proj\", \"c_fc\", \"wte\"], \"bias\": \"all\","
      "\"modules_to_save\": [\"ln_1\", \"ln_2\", \"ln_f\", \"wpe\"]}",
      0 },
    { "gpt2-text", "{" SETTINGS "\"target_modules\": [\"c_fc\"], \"modules_to_save\": [\"c_attn\", \"lm_head\"]}", 0 },
    { "gpt2-seqcls",
      "{" SETTINGS "\"target_modules\": [\"c_attn\", \"c_proj\"], \"modules_to_save\": [\"wte\", \"ln_f\"]}", 0 },
    { "llama-clm",
      "{" SETTINGS "\"target_modules\": [\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"gate_proj\", \"up_proj\","
      "\"down_proj\", \"lm_head\"], \"modules_to_save\": [\"input_layernorm\", \"post_attention_layernorm\", \"norm\"]}",
      0 },
    { "qwen2-clm",
      "{" SETTINGS "\"target_modules\": [\"v_proj\", \"up_proj\"], \"bias\": \"all\","
      "\"modules_to_save\": [\"gate_proj\", \"q_proj\"]}",
      5 },
    { "qwen3-clm",
      "{" SETTINGS "\"target_modules\": [\"q_proj\", \"v_proj\", \"o_proj\", \"down_proj\"],"
      "\"modules_to_save\": [\"q_norm\", \"k_norm\", \"k_proj\", \"input_layernorm\", \"lm_head\"]}",
      0 },
    { "qwen3-clm", "{" SETTINGS "\"target_modules\": [\"lm_head\"], \"modules_to_save\": [\"q_norm\", \"k_norm\"]}",
      7 },
    { "opt-clm",
      "{" SETTINGS
      "\"target_modules\": [\"q_proj\", \"v_proj\", \"out_proj\", \"fc1\", \"fc2\", \"embed_tokens\"], \"bias\": \"all\","
      "\"modules_to_save\": [\"self_attn_layer_norm\", \"embed_positions\", \"k_proj\", \"lm_head\"]}",
      0 },
    { "bert-tokcls",
      "{" SETTINGS "\"use_dora\": true, \"target_modules\": [\"query\", \"value\", \"output.dense\","
      "\"word_embeddings\", \"position_embeddings\", \"token_type_embeddings\"], \"bias\": \"all\"}",
      0 },
    { "gpt2-clm",
      "{" SETTINGS "\"use_dora\": true, \"use_rslora\": true, \"target_modules\": [\"c_attn\", \"c_proj\", \"wte\"],"
      "\"rank_pattern\": {\"c_proj\": 2}}",
      0 },
    { "llama-clm",
      "{" SETTINGS "\"use_dora\": true, \"target_modules\": [\"q_proj\", \"v_proj\", \"o_proj\", \"gate_proj\","
      "\"up_proj\", \"down_proj\", \"lm_head\"], \"modules_to_save\": [\"k_proj\"]}",
      0 },
    { "vit-imgcls",
      "{" SETTINGS "\"use_dora\": true, \"target_modules\": [\"q_proj\", \"k_proj\", \"v_proj\", \"fc2\","
      "\"projection\"], \"modules_to_save\": [\"classifier\"]}",
      0 },
    /* some of q, k and v alone: the last block makes fewer q than k and v */
    { "llama-clm", "{" SETTINGS "\"use_dora\": true, \"target_modules\": [\"q_proj\"]}", 0 },
    { "distilbert-regress", "{" SETTINGS "\"use_dora\": true, \"target_modules\": [\"v_lin\"]}", 0 },
    { "llama-clm", "{" SETTINGS "\"lora_bias\": true, \"target_modules\": [\"k_proj\"]}", 0 },
    { "distilbert-regress", "{" TRIPLETS "\"target_modules\": [\"q_lin\"]}", 0 },
    { "gpt2-clm", "{" SETTINGS "\"target_modules\": [\"c_attn\"], \"trainable_token_indices\": [444, 5, 0, 264]}", 0 },
    { "bert-tokcls",
      "{" SETTINGS "\"target_modules\": [\"value\"], \"trainable_token_indices\": {\"word_embeddings\": [2, 1, 3]}}",
      0 },
    { "llama-clm",
      "{" SETTINGS "\"lora_bias\": true, \"target_modules\": [\"q_proj\", \"v_proj\", \"up_proj\", \"down_proj\","
      "\"lm_head\"]}",
      0 },
    { "gpt2-clm",
      "{" SETTINGS "\"lora_bias\": true, \"target_modules\": [\"c_attn\", \"c_proj\", \"c_fc\"], \"bias\": \"all\"}",
      0 },
    { "vit-imgcls",
      "{" SETTINGS "\"lora_bias\": true, \"target_modules\": [\"q_proj\", \"fc1\", \"projection\"],"
      "\"modules_to_save\": [\"classifier\"]}",
      0 },
    { "vit-imgcls",
      "{" SETTINGS
      "\"target_modules\": [\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"fc1\", \"fc2\", \"projection\"],"
      "\"bias\": \"all\", \"modules_to_save\": [\"classifier\", \"layernorm_before\", \"layernorm\"]}",
      0 },
    { "bert-tokcls", "{" TRIPLETS "\"target_modules\": [\"query\", \"value\", \"dense\"], \"bias\": \"all\"}", 0 },
    { "gpt2-clm", "{" TRIPLETS "\"target_modules\": [\"c_attn\", \"c_proj\", \"lm_head\"]}", 0 },
    { "vit-imgcls",
      "{" TRIPLETS "\"target_modules\": [\"k_proj\", \"fc2\", \"projection\"], \"modules_to_save\": [\"classifier\"]}",
      0 },
    { "distilbert-regress", NULL, 0 },
    { "gpt2-clm", NULL, 0 },
    { "llama-clm", NULL, 0 },
    { "vit-imgcls", NULL, 0 },
};
enum { CASES = sizeof cases / sizeof *cases };

static Subject *open_case(const Everything *e)
{
    return open_subject_with(golden_index(e->name), e->lora);
}

static Subject *open_everything(const Everything *e, double dropout)
{
    Subject *s = open_case(e);
    ModelArch *arch = s->c.arch;
    arch->embed_dropout = arch->hidden_dropout = arch->attention_dropout = dropout;
    arch->head.pooler_dropout = arch->head.dropout = dropout;
    if (e->window > 0 && !arch->windows)
        arch->windows = xcalloc((size_t)arch->layers, sizeof *arch->windows);
    for (int64_t l = 0; e->window > 0 && l < arch->layers; l += 2)
        arch->windows[l] = e->window;
    Err err = { 0 };
    must(slots_init(s->c.values, s->c.table, arch, &s->c.lora, 5, &err), &err);
    stir_values(s->c.values, s->c.table);
    return s;
}

static void slopes(void **state)
{
    const double dropouts[] = { 0, 0.2 };
    for (int i = 0; i < 2; i++) {
        Subject *s = open_everything(*state, dropouts[i]);
        Packed p = pack(s, &s->train, NULL, FEW);
        Model *model = open_subject_model(s, &p, dropouts[i]);
        expect_slopes(model, s->c.arch, s->c.table, &s->weights, &p.batch, s->c.values);
        model_close(model);
        unpack(&p);
        close_subject(s);
    }
}

/* Rows alone, in another order, add up to the gradient of all together: masks belong to the rows. Of language models there
 * are so many that a head over the vocabulary takes them in several goes. */
static void pieces(void **state)
{
    Subject *s = open_everything(*state, 0.2);
    const int rows = s->c.arch->head.task->speaks ? MANY : FEW;
    const size_t bytes = (size_t)s->c.table->size * sizeof(float);
    float *whole = xmalloc(bytes), *part = xmalloc(bytes), *sum = xcalloc(1, bytes);
    Packed all = pack(s, &s->train, NULL, rows);
    Model *model = open_subject_model(s, &all, 0.1);
    const BatchLoss loss = model_train(model, &all.batch, s->c.values, whole, 9);
    double parts = 0;
    int64_t count = 0;
    for (int b = rows - 1; b >= 0; b--) {
        Packed one = pack(s, &s->train, &b, 1);
        one.example[0] = b;
        const BatchLoss l = model_train(model, &one.batch, s->c.values, part, 9);
        parts += l.sum;
        count += l.count;
        for (int64_t i = 0; i < s->c.table->size; i++)
            sum[i] += part[i];
        unpack(&one);
    }
    assert_int_equal(count, loss.count);
    assert_float_equal(parts, loss.sum, 1e-5 * loss.sum);
    for (int i = 0; i < s->c.table->count; i++) {
        const Slot *slot = &s->c.table->slots[i];
        const double off = difference(sum + slot->offset, whole + slot->offset, slot->count);
        if (!is_noise(s->c.arch, slot) && !(off < 2e-5))
            fail_msg("%s: the pieces' sum is off by %g", slot->name, off);
    }
    model_close(model);
    unpack(&all);
    close_subject(s);
    free(whole);
    free(part);
    free(sum);
}

/* The same call gives the same bits whatever came between, and nothing writes between tensors. */
static void bits(void **state)
{
    Subject *s = open_everything(*state, 0.2);
    const size_t bytes = (size_t)s->c.table->size * sizeof(float);
    float *once = xmalloc(bytes), *again = xmalloc(bytes);
    Packed p = pack(s, &s->train, NULL, FEW), other = pack(s, &s->dev, NULL, 2);
    Model *model = open_subject_model(s, &p, 0.1);
    const double loss = model_train(model, &p.batch, s->c.values, once, 4).sum;
    model_train(model, &other.batch, s->c.values, again, 5);
    model_predict(model, &other.batch, s->c.values, NULL);
    assert_true(model_train(model, &p.batch, s->c.values, again, 4).sum == loss);
    assert_memory_equal(once, again, bytes);
    for (int i = 0; i < s->c.table->count; i++) {
        const Slot *slot = &s->c.table->slots[i];
        memset(once + slot->offset, 0, (size_t)slot->count * sizeof *once);
    }
    for (int64_t i = 0; i < s->c.table->size; i++)
        assert_true(once[i] == 0);
    model_close(model);
    unpack(&p);
    unpack(&other);
    close_subject(s);
    free(once);
    free(again);
}

/* What is trained whole starts as what is frozen, and a LoRA as nothing. Of language models, whose head is not new. */
static void first_values(void **state)
{
    Subject *s = open_case(*state);
    const ModelArch *arch = s->c.arch;
    Err err = { 0 };
    must(slots_init(s->c.values, s->c.table, arch, &s->c.lora, 5, &err), &err);
    Packed p = pack(s, &s->dev, NULL, FEW);
    Model *model = open_subject_model(s, &p, 0);
    const int64_t count = p.batch.N * arch->V;
    float *base = xcalloc((size_t)count, sizeof *base), *first = xcalloc((size_t)count, sizeof *first);
    model_predict(model, &p.batch, NULL, base);
    model_predict(model, &p.batch, s->c.values, first);
    assert_true(difference(first, base, count) < 1e-5);
    model_close(model);
    unpack(&p);
    close_subject(s);
    free(base);
    free(first);
}

int main(void)
{
    struct CMUnitTest tests[4 * CASES];
    size_t count = 3 * CASES;
    for (int i = 0; i < CASES; i++) {
        const bool speaks = strstr(cases[i].name, "-clm") || strstr(cases[i].name, "-text");
        if (speaks && cases[i].lora) /* where every weight is trained there is no base */
            tests[count++] =
                (struct CMUnitTest){ cases[i].name, first_values, NULL, NULL, (void *)(uintptr_t)&cases[i] };
        tests[2 * CASES + i] = (struct CMUnitTest){ cases[i].name, bits, NULL, NULL, (void *)(uintptr_t)&cases[i] };
        tests[2 * i] = (struct CMUnitTest){ cases[i].name, slopes, NULL, NULL, (void *)(uintptr_t)&cases[i] };
        tests[2 * i + 1] = (struct CMUnitTest){ cases[i].name, pieces, NULL, NULL, (void *)(uintptr_t)&cases[i] };
    }
    return _cmocka_run_group_tests("slopes", tests, count, NULL, NULL);
}
