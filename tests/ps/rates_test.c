/* Learning rate and decay of each slot: Trainer's one group of rates, and LoRA+'s four. */
#include "ps/rates.h"

#include "tests/support/slots_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const TrainConfig plus = {
    .learning_rate = 2e-3, .loraplus_lr_ratio = 16, .loraplus_lr_embedding = 4e-4, .loraplus_weight_decay = 0.05
};

/* One slot's of a BERT, or of a Llama. */
static void expect(const Case *c, const SlotRate *rates, const char *bare, double times, double decay)
{
    const Slot *slot = find_slot(c->table, bare);
    if (!slot)
        fail_msg("no slot %s", bare);
    const SlotRate rate = rates[slot - c->table->slots];
    if (rate.times != times || rate.weight_decay != decay)
        fail_msg("%s: %g times, decay %g", bare, rate.times, rate.weight_decay);
}

static void plain_slots_have_one_rate_and_trainers_decay(void **state)
{
    (void)state;
    Case c;
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS,
              "{\"r\": 2, \"target_modules\": [\"query\", \"word_embeddings\"], \"bias\": \"all\"}");
    SlotRate *rates = rates_new(c.table, &(TrainConfig){ .learning_rate = 1e-3, .weight_decay = 0.1 });
    int decays = 0;
    for (int i = 0; i < c.table->count; i++) {
        assert_true(rates[i].times == 1.0);
        assert_true(rates[i].weight_decay == (c.table->slots[i].decay ? 0.1 : 0.0));
        decays += rates[i].weight_decay > 0;
    }
    assert_true(decays > 0 && decays < c.table->count);
    free(rates);
    close_case(&c);
}

#define LAYER "bert.encoder.layer.0."

static void loraplus_has_four_groups(void **state)
{
    (void)state;
    Case c;
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS,
              "{\"r\": 2, \"target_modules\": [\"query\", \"word_embeddings\"], \"bias\": \"all\","
              " \"modules_to_save\": [\"classifier\", \"attention.output.LayerNorm\"]}");
    SlotRate *rates = rates_new(c.table, &plus);
    expect(&c, rates, LAYER "attention.self.query.lora_A.weight", 1, 0.05);
    expect(&c, rates, LAYER "attention.self.query.lora_B.weight", 16, 0.05);
    expect(&c, rates, LAYER "attention.self.query.base_layer.bias", 16, 0);
    expect(&c, rates, LAYER "attention.output.LayerNorm.weight", 16, 0);
    expect(&c, rates, LAYER "attention.output.LayerNorm.bias", 16, 0);
    expect(&c, rates, "bert.embeddings.word_embeddings.lora_embedding_A", 4e-4 / 2e-3, 0.05);
    expect(&c, rates, "bert.embeddings.word_embeddings.lora_embedding_B", 4e-4 / 2e-3, 0.05);
    expect(&c, rates, "classifier.weight", 1, 0.05);
    expect(&c, rates, "classifier.bias", 16, 0);
    free(rates);
    close_case(&c);
}

/* An embedding's tables reach min_lr before the others do. */
static void every_group_is_reduced_and_ends_at_min_lr(void **state)
{
    (void)state;
    Case c;
    open_with(&c, "bert-seqcls", TASK_SEQ_CLS, "{\"r\": 2, \"target_modules\": [\"query\", \"word_embeddings\"]}");
    SlotRate *rates = rates_new(c.table, &plus);
    const Schedule schedule = { .kind = RATE_REDUCE_ON_PLATEAU, .factor = 0.5, .min_lr = 3e-4, .eps = 1e-8 };
    const struct {
        const char *name;
        double rate[3]; /* reduced 0, 1, 2 times */
    } rows[] = {
        { LAYER "attention.self.query.lora_A.weight", { 2e-3, 1e-3, 5e-4 } },
        { LAYER "attention.self.query.lora_B.weight", { 32e-3, 16e-3, 8e-3 } },
        { "bert.embeddings.word_embeddings.lora_embedding_A", { 4e-4, 3e-4, 3e-4 } },
    };
    for (int reduced = 0; reduced < 3; reduced++) {
        rates_set(rates, c.table->count, &schedule, 2e-3, reduced);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            assert_float_equal(rates[find_slot(c.table, rows[i].name) - c.table->slots].now, rows[i].rate[reduced],
                               1e-15);
    }
    free(rates);
    close_case(&c);
}

/* PEFT asks for nn.LayerNorm, which Llama's is not. */
static void other_norms_decay_in_loraplus(void **state)
{
    (void)state;
    Case c;
    open_with(&c, "llama-clm", TASK_CAUSAL_LM,
              "{\"r\": 2, \"target_modules\": [\"q_proj\"], \"modules_to_save\": [\"input_layernorm\"]}");
    SlotRate *rates = rates_new(c.table, &plus);
    expect(&c, rates, "model.layers.0.input_layernorm.weight", 16, 0.05);
    expect(&c, rates, "model.layers.0.self_attn.q_proj.lora_A.weight", 1, 0.05);
    free(rates);
    close_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_slots_have_one_rate_and_trainers_decay),
        cmocka_unit_test(loraplus_has_four_groups),
        cmocka_unit_test(every_group_is_reduced_and_ends_at_min_lr),
        cmocka_unit_test(other_norms_decay_in_loraplus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
