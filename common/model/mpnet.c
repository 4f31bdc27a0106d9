/* MPNet: RoBERTa's places and head without token types; a table of distances is added to the scores of all layers.
 * Source of names and defaults: Transformers 5.23, models/mpnet. */
#include "common/model/family.h"

#include "common/base/mem.h"
#include "common/base/text.h"

enum { PADDING = 1, BUCKETS = 32 }; /* of the code, whatever config.json says */

/* clang-format off */
static const char *const keys[] = {
    "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range",
    "intermediate_size", "layer_norm_eps", "max_position_embeddings", "num_attention_heads", "num_hidden_layers",
    "pad_token_id", "relative_attention_num_buckets", "vocab_size", NULL };
/* clang-format on */

static const char *const idle[] = { "pooler.*", "embeddings.position_ids", NULL };
static const char *const heads[] = { "lm_head.*", "classifier.*", "qa_outputs.*", NULL };

static const Family mpnet = {
    .model_type = "mpnet",
    .title = "MPNet",
    .prefix = "mpnet.",
    .target_hint = "q, k, v, o",
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_FEATURE_EXTRACTION] = "MPNetModel",
                    [TASK_SEQ_CLS] = "MPNetForSequenceClassification",
                    [TASK_TOKEN_CLS] = "MPNetForTokenClassification",
                    [TASK_QUESTION_ANS] = "MPNetForQuestionAnswering" },
};

static const BertDefaults defaults = { .V = 30527, .positions = 512, .dropout = 0.1 };

static bool read(ModelArch *arch, Err *err)
{
    int64_t buckets;
    if (!bert_read(arch, &defaults, err) || !arch_tokens(arch, PADDING, 0, 2, err) ||
        !arch_size(arch, "relative_attention_num_buckets", BUCKETS, &buckets, err))
        return false;
    if (buckets != BUCKETS)
        return err_set(err, ERR_INPUT, "'relative_attention_num_buckets' is %lld, allowed is %d", (long long)buckets,
                       BUCKETS);
    arch->pad_id = PADDING;
    arch->head.dropout = arch->head.pooler_dropout = arch->hidden_dropout;
    arch->score_furthest = 128;
    return bert_read_places(arch, err);
}

static void list(ModelArch *arch)
{
    const int64_t C = arch->C, F = arch->F;
    const LayerModule modules[] = { { "attention.attn.q", ROLE_Q, C, C, true },
                                    { "attention.attn.k", ROLE_K, C, C, true },
                                    { "attention.attn.v", ROLE_V, C, C, true },
                                    { "attention.attn.o", ROLE_ATTN_OUT, C, C, true },
                                    { "attention.LayerNorm", ROLE_ATTN_NORM, C, 0, true },
                                    { "intermediate.dense", ROLE_FF_UP, F, C, true },
                                    { "output.dense", ROLE_FF_DOWN, C, F, true },
                                    { "output.LayerNorm", ROLE_FF_NORM, C, 0, true } };
    arch_add_table(arch, xstrdup("mpnet.embeddings.word_embeddings"), ROLE_WORD, arch->V);
    arch_add_table(arch, xstrdup("mpnet.embeddings.position_embeddings"), ROLE_POSITION,
                   arch->positions + arch->position_offset);
    arch_add_norm(arch, xstrdup("mpnet.embeddings.LayerNorm"), -1, ROLE_EMBED_NORM);
    for (int layer = 0; layer < arch->layers; layer++)
        arch_add_layer(arch, "mpnet.encoder.layer", layer, modules, LENGTH(modules));
    arch_add(
        arch, xstrdup("mpnet.encoder.relative_attention_bias"),
        &(Module){ .kind = MODULE_EMBEDDING, .role = ROLE_SCORE_TABLE, .layer = -1, .out = BUCKETS, .in = arch->H });
    arch_add_idle_pooler(arch, xstrdup("mpnet.pooler.dense"));
    arch_add_head_two(arch);
}

const FamilyReader mpnet_reader = { &mpnet, keys, read, list };
