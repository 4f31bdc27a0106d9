/* Gradient checkpointing: with dropout everywhere, every gradient of every golden model is, to the bit, the one without it,
 * and takes less memory. */
#include "common/base/mem.h"
#include "tests/support/model_case.h"
#include "tests/support/slopes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEP = 6, ROWS = 9 };

static ModelOptions options_of(const Packed *p, bool checkpointing)
{
    int64_t longest = 0;
    for (int64_t b = 0; b < p->batch.B; b++)
        longest = p->start[b + 1] - p->start[b] > longest ? p->start[b + 1] - p->start[b] : longest;
    return (ModelOptions){ .most_tokens = p->batch.N,
                           .most_sequences = p->batch.B,
                           .longest = longest,
                           .training = true,
                           .checkpointing = checkpointing,
                           .threads = 1,
                           .lora_dropout = 0.1,
                           .seed = 3 };
}

/* The loss; the gradient of the second of two steps, as the first leaves its own behind. */
static double train(const Subject *s, const Packed *p, bool checkpointing, float *grad)
{
    Err err = { 0 };
    const ModelOptions o = options_of(p, checkpointing);
    Model *model = model_open(s->c.arch, s->c.table, &s->weights, &o, &err);
    must(model != NULL, &err);
    model_train(model, &p->batch, s->c.values, grad, STEP - 1);
    const double loss = model_train(model, &p->batch, s->c.values, grad, STEP).sum;
    model_close(model);
    return loss;
}

static void blocks_computed_again_give_the_same_bits(void **state)
{
    Subject *s = open_subject((int)(intptr_t)*state);
    s->c.arch->hidden_dropout = s->c.arch->attention_dropout = 0.2;
    stir_values(s->c.values, s->c.table);
    const size_t bytes = (size_t)s->c.table->size * sizeof(float);
    float *kept = xmalloc(bytes), *again = xmalloc(bytes);
    Packed p = pack(s, &s->train, NULL, ROWS);
    const double loss = train(s, &p, false, kept);
    assert_true(train(s, &p, true, again) == loss);
    assert_memory_equal(again, kept, bytes);
    unpack(&p);
    free(kept);
    free(again);
    close_subject(s);
}

/* The activations of a model of many layers: less than half. */
static void it_takes_less_memory(void **state)
{
    (void)state;
    static const char *const names[] = { "bert-seqcls", "llama-clm" };
    for (size_t i = 0; i < LENGTH(names); i++) {
        Subject *s = open_subject_with(golden_index(names[i]), "{\"r\": 4, \"target_modules\": \"all-linear\"}");
        Packed p = pack(s, &s->train, NULL, ROWS);
        ModelOptions few = options_of(&p, false), many = options_of(&p, true);
        few.most_tokens = many.most_tokens = 4096;
        const int64_t kept = model_bytes(s->c.arch, s->c.table, &s->weights, &few);
        few.training = false;
        const int64_t room = model_bytes(s->c.arch, s->c.table, &s->weights, &few);
        const int64_t again = model_bytes(s->c.arch, s->c.table, &s->weights, &many);
        assert_true(again < kept); /* of two layers one is kept anyway */
        assert_true(again > room);
        unpack(&p);
        close_subject(s);
    }
}

int main(void)
{
    struct CMUnitTest tests[GOLDEN_ALL + 1];
    for (int g = 0; g < GOLDEN_ALL; g++)
        tests[g] = (struct CMUnitTest){ golden[g].name, blocks_computed_again_give_the_same_bits, NULL, NULL,
                                        (void *)(intptr_t)g };
    tests[GOLDEN_ALL] = (struct CMUnitTest){ "memory", it_takes_less_memory, NULL, NULL, NULL };
    return _cmocka_run_group_tests("again", tests, GOLDEN_ALL + 1, NULL, NULL);
}
