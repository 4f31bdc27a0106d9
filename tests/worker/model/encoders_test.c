/* Encoders beyond BERT: with everything dropped and everything trained, one way or the other, gradients are what the
 * loss does, through tables of distances, layers that run the same weights, projections, a convolution, means. */
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

enum { FEW = 5 };

#define SETTINGS "{\"r\": 3, \"lora_alpha\": 6, \"bias\": \"all\", "

/* The case, its LoRA settings. */
static const char *const cases[][2] = {
    { "electra-pair",
      SETTINGS "\"target_modules\": [\"query\", \"dense\", \"embeddings_project\"], \"modules_to_save\":"
               "[\"word_embeddings\", \"embeddings.LayerNorm\", \"value\"]}" },
    { "mpnet-seqcls", SETTINGS "\"target_modules\": [\"q\", \"o\"], \"modules_to_save\": [\"relative_attention_bias\","
                               "\"position_embeddings\", \"LayerNorm\"]}" },
    { "albert-seqcls", SETTINGS "\"target_modules\": [\"query\", \"key\", \"ffn\", \"embedding_hidden_mapping_in\"],"
                                "\"modules_to_save\": [\"full_layer_layer_norm\", \"word_embeddings\", \"value\","
                                "\"pooler\"]}" },
    { "modernbert-seqcls", SETTINGS "\"target_modules\": [\"Wqkv\", \"Wi\"], \"modules_to_save\": [\"head\","
                                    "\"mlp_norm\", \"attn_norm\", \"tok_embeddings\", \"embeddings.norm\"]}" },
    { "modernbert-tokcls", SETTINGS "\"target_modules\": [\"Wo\", \"head.dense\"], \"modules_to_save\": [\"Wi\","
                                    "\"final_norm\"]}" },
    { "deberta-v3-seqcls", SETTINGS "\"target_modules\": [\"query_proj\", \"key_proj\"], \"modules_to_save\":"
                                    "[\"pooler\", \"rel_embeddings\", \"encoder.LayerNorm\", \"word_embeddings\"]}" },
    { "deberta-v3-seqcls", SETTINGS "\"target_modules\": [\"value_proj\"], \"modules_to_save\": [\"pooler\","
                                    "\"query_proj\", \"key_proj\"]}" },
    { "deberta-v2-tokcls", SETTINGS "\"target_modules\": [\"pos_key_proj\", \"pos_query_proj\", \"dense\"],"
                                    "\"modules_to_save\": [\"conv\", \"rel_embeddings\", \"LayerNorm\", \"value_proj\","
                                    "\"position_embeddings\"]}" },
    { "deberta-v1-seqcls", SETTINGS "\"target_modules\": [\"in_proj\", \"pos_proj\"], \"modules_to_save\": [\"pooler\","
                                    "\"rel_embeddings\", \"LayerNorm\", \"pos_q_proj\"]}" },
};
enum { CASES = sizeof cases / sizeof *cases };

static void slopes(void **state)
{
    const char *const *of = *state;
    Subject *s = open_subject_with(golden_index(of[0]), of[1]);
    Err err = { 0 };
    ModelArch *arch = s->c.arch;
    arch->hidden_dropout = arch->attention_dropout = arch->embed_dropout = arch->inner_dropout = 0.2;
    arch->head.dropout = 0.1;
    must(slots_init(s->c.values, s->c.table, arch, &s->c.lora, 5, &err), &err);
    stir_values(s->c.values, s->c.table);
    Packed p = pack(s, &s->train, NULL, FEW);
    Model *model = open_subject_model(s, &p, 0.2);
    expect_slopes(model, arch, s->c.table, &s->weights, &p.batch, s->c.values);
    model_close(model);
    unpack(&p);
    close_subject(s);
}

int main(void)
{
    struct CMUnitTest tests[CASES];
    for (int i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){ cases[i][0], slopes, NULL, NULL, (void *)(uintptr_t)cases[i] };
    return _cmocka_run_group_tests("encoders", tests, CASES, NULL, NULL);
}
