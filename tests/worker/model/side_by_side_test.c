/* Sublayers side by side: what each adds to the stream is what it adds alone, and gradients are what the loss does. */
#include "common/base/mem.h"
#include "tests/support/model_case.h"
#include "tests/support/slopes.h"
#include "worker/model/model_parts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FEW = 5 };

static Subject *open_beside(const char *name, const char *lora)
{
    const int g = golden_index(name);
    Subject *s = lora ? open_subject_with(g, lora) : open_subject(g);
    s->c.arch->side_by_side = true;
    return s;
}

/* Weight and bias of the first block's module are nothing. */
static void silence(Subject *s, Role role)
{
    const int m = arch_module_index(s->c.arch, 0, role);
    const Module *module = &s->c.arch->modules[m];
    char *data = s->weights.data;
    memset(data + s->weights.modules[m].weight, 0, (size_t)(module->out * module->in) * sizeof(float));
    memset(data + s->weights.modules[m].bias, 0, (size_t)module->out * sizeof(float));
}

/* The stream behind the first block, of all rows or those that are read; owned. */
static float *stream(bool attends, bool thinks, bool tail)
{
    Subject *s = open_beside("gpt2-clm", NULL);
    if (!attends)
        silence(s, ROLE_ATTN_OUT);
    if (!thinks)
        silence(s, ROLE_FF_DOWN);
    Packed p = pack(s, &s->train, NULL, FEW);
    Model *model = open_subject_model(s, &p, 0);
    Pass *pass = model->pass;
    const EmbeddingInput input = { .ids = p.batch.ids };
    const BlockCall call = { .tail = tail };
    model_begin(model, &p.batch, s->c.values, false);
    embedding_forward(&model->embedding, NULL, &input, pass);
    block_forward(&model->blocks[0], &call, pass);
    const int64_t C = s->c.arch->C;
    float *out = xcalloc((size_t)(p.batch.N * C), sizeof *out);
    if (tail)
        memcpy(out, pass->r, (size_t)(pass->reads.N * C) * sizeof *out);
    else
        pass_gather(pass, out, pass->r, C, C);
    model_close(model);
    unpack(&p);
    const int64_t floats = p.batch.N * C;
    close_subject(s);
    out = xrealloc(out, (size_t)(floats + 1) * sizeof *out);
    out[floats] = NAN; /* the end */
    return out;
}

static void each_adds_what_it_adds_alone(void **state)
{
    (void)state;
    for (int tail = 0; tail < 2; tail++) {
        float *both = stream(true, true, tail), *attention = stream(true, false, tail);
        float *mlp = stream(false, true, tail), *none = stream(false, false, tail);
        double most = 0;
        for (int64_t i = 0; !isnan(both[i]); i++) {
            const double alone = (double)attention[i] + (double)mlp[i] - (double)none[i];
            assert_float_equal(both[i], alone, 2e-5);
            most =
                fmax(most, fmin(fabs((double)attention[i] - (double)none[i]), fabs((double)mlp[i] - (double)none[i])));
        }
        assert_true(most > 0.1); /* both add something */
        free(both);
        free(attention);
        free(mlp);
        free(none);
    }
}

static void rows_of_a_tail_are_those_of_all(void **state)
{
    (void)state;
    float *all = stream(true, true, false), *tail = stream(true, true, true);
    for (int64_t i = 0; !isnan(all[i]); i++)
        assert_float_equal(tail[i], all[i], 2e-5);
    free(all);
    free(tail);
}

/* state: LoRA settings, behind the name of the case. */
static void slopes(void **state)
{
    const char *const *of = *state;
    Subject *s = open_beside(of[0], of[1]);
    Err err = { 0 };
    s->c.arch->hidden_dropout = s->c.arch->attention_dropout = 0.2;
    must(slots_init(s->c.values, s->c.table, s->c.arch, &s->c.lora, 5, &err), &err);
    stir_values(s->c.values, s->c.table);
    Packed p = pack(s, &s->train, NULL, FEW);
    Model *model = open_subject_model(s, &p, 0.2);
    expect_slopes(model, s->c.arch, s->c.table, &s->weights, &p.batch, s->c.values);
    model_close(model);
    unpack(&p);
    close_subject(s);
}

#define SETTINGS "{\"r\": 3, \"lora_alpha\": 6, "

static const char *const cases[][2] = {
    { "gpt2-clm", SETTINGS "\"target_modules\": [\"c_attn\", \"c_proj\", \"c_fc\", \"wte\"], \"bias\": \"all\","
                           "\"modules_to_save\": [\"ln_1\", \"ln_2\", \"ln_f\", \"wpe\"]}" },
    { "gpt2-seqcls", SETTINGS "\"target_modules\": [\"c_attn\", \"c_fc\"], \"modules_to_save\": [\"ln_1\"]}" },
    { "llama-clm", SETTINGS "\"target_modules\": [\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"up_proj\"]}" },
    { "llama-clm", SETTINGS "\"target_modules\": [\"down_proj\"], \"layers_to_transform\": [1],"
                            "\"modules_to_save\": [\"post_attention_layernorm\"]}" },
    { "llama-clm", SETTINGS "\"target_modules\": [\"o_proj\"], \"modules_to_save\": [\"input_layernorm\"]}" },
};
enum { CASES = sizeof cases / sizeof *cases };

int main(void)
{
    struct CMUnitTest tests[CASES + 2] = {
        cmocka_unit_test(each_adds_what_it_adds_alone),
        cmocka_unit_test(rows_of_a_tail_are_those_of_all),
    };
    for (int i = 0; i < CASES; i++)
        tests[2 + i] = (struct CMUnitTest){ cases[i][0], slopes, NULL, NULL, (void *)(uintptr_t)cases[i] };
    return _cmocka_run_group_tests("side by side", tests, CASES + 2, NULL, NULL);
}
