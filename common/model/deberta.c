/* DeBERTa: BERT's blocks whose scores have terms of a table of distances (He et al. 2021), embeddings without a pooler,
 * and a pooler of the head's own. q, k and v are one product by heads. deberta_v2.c is the next version, by the same
 * keys. Source of names and defaults: Transformers 5.23, models/deberta. */
#include "common/model/deberta.h"

#include "common/base/mem.h"
#include "common/base/text.h"

static const char *const default_targets[] = { "in_proj", NULL };

static const Family deberta = {
    .model_type = "deberta",
    .title = "DeBERTa v1",
    .prefix = "deberta.",
    .default_targets = default_targets,
    .idle = deberta_idle,
    .heads = deberta_heads,
    .task_class = { [TASK_SEQ_CLS] = "DebertaForSequenceClassification",
                    [TASK_TOKEN_CLS] = "DebertaForTokenClassification",
                    [TASK_FEATURE_EXTRACTION] = "DebertaModel",
                    [TASK_QUESTION_ANS] = "DebertaForQuestionAnswering" },
};

static const BertDefaults defaults = { .V = 50265, .positions = 512, .eps = 1e-7, .dropout = 0.1 };

static bool read(ModelArch *arch, Err *err)
{
    bool talks;
    arch->qkv_grouped = true;
    if (!deberta_read(arch, &defaults, err) || !arch_flag(arch, "talking_head", false, &talks, err))
        return false;
    return !talks || err_set(err, ERR_INPUT, "a deberta with 'talking_head' is not supported");
}

static void list(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F;
    const char *keys = arch->distance_span > 0 && arch->distance_keys ? "attention.self.pos_proj" : NULL;
    const char *queries = arch->distance_span > 0 && arch->distance_queries ? "attention.self.pos_q_proj" : NULL;
    const LayerModule modules[] = { { "attention.self.in_proj", ROLE_QKV, 3 * C, C, false },
                                    { keys, ROLE_DISTANCE_K, C, C, false },
                                    { queries, ROLE_DISTANCE_Q, C, C, true },
                                    { "attention.output.dense", ROLE_ATTN_OUT, C, C, true },
                                    { "attention.output.LayerNorm", ROLE_ATTN_NORM, C, 0, true },
                                    { "intermediate.dense", ROLE_FF_UP, F, C, true },
                                    { "output.dense", ROLE_FF_DOWN, C, F, true },
                                    { "output.LayerNorm", ROLE_FF_NORM, C, 0, true } };
    deberta_list_tables(arch);
    for (int layer = 0; layer < arch->layers; layer++) {
        const Role roles[] = { ROLE_Q_BIAS, ROLE_V_BIAS };
        for (int i = 0; i < 2; i++)
            arch_add(arch, xprintf("deberta.encoder.layer.%d.attention.self.%s", layer, i == 0 ? "q_bias" : "v_bias"),
                     &(Module){ .kind = MODULE_TENSOR, .role = roles[i], .layer = layer, .out = C, .in = 1 });
        arch_add_layer(arch, "deberta.encoder.layer", layer, modules, LENGTH(modules));
    }
    deberta_list_distances(arch);
    deberta_list_head(arch);
}

const FamilyReader deberta_reader = { &deberta, deberta_keys, read, list };
