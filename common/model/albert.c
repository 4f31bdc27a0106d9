/* ALBERT: BERT's blocks over tables of a width of their own; a few layers of modules run many times.
 * Source of names and defaults: Transformers 5.23, models/albert. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>

/* clang-format off */
static const char *const keys[] = {
    "attention_probs_dropout_prob", "classifier_dropout_prob", "embedding_size", "hidden_act", "hidden_dropout_prob",
    "hidden_size", "initializer_range", "inner_group_num", "intermediate_size", "layer_norm_eps",
    "max_position_embeddings", "num_attention_heads", "num_hidden_groups", "num_hidden_layers", "pad_token_id",
    "position_embedding_type", "type_vocab_size", "vocab_size", NULL };
/* clang-format on */

static const char *const idle[] = { "pooler.*", "embeddings.position_ids", NULL };
static const char *const heads[] = { "predictions.*", "sop_classifier.*", "classifier.*", "qa_outputs.*", NULL };

static const Family albert = {
    .model_type = "albert",
    .title = "ALBERT",
    .prefix = "albert.",
    .target_hint = "query, key, value, dense, ffn, ffn_output",
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "AlbertForSequenceClassification",
                    [TASK_TOKEN_CLS] = "AlbertForTokenClassification",
                    [TASK_FEATURE_EXTRACTION] = "AlbertModel",
                    [TASK_QUESTION_ANS] = "AlbertForQuestionAnswering" },
};

static const BertDefaults defaults = {
    .V = 30000,
    .positions = 512,
    .types = 2,
    .C = 4096,
    .H = 64,
    .F = 16384,
    .table_width = 128,
    .act = "gelu_new",
};

/* num_hidden_layers times a group runs, all its layers; heads were counted for as many. */
static bool read_runs(ModelArch *arch, Err *err)
{
    const int64_t turns = arch->layers;
    int64_t groups, inner;
    if (!arch_size(arch, "num_hidden_groups", 1, &groups, err) || !arch_size(arch, "inner_group_num", 1, &inner, err))
        return false;
    if (groups > turns || inner > 64)
        return err_set(err, ERR_INPUT, "%lld groups of %lld layers for %lld turns", (long long)groups, (long long)inner,
                       (long long)turns);
    arch->layers = turns * inner;
    arch->physical = xcalloc((size_t)arch->layers, sizeof *arch->physical);
    for (int64_t l = 0; l < arch->layers; l++) {
        const int64_t turn = l / inner;
        const int group = (int)((double)turn / ((double)turns / (double)groups));
        arch->physical[l] = group * (int)inner + (int)(l % inner);
    }
    free(arch->scales);
    arch_scale(arch);
    return true;
}

static bool read(ModelArch *arch, Err *err)
{
    if (!bert_read(arch, &defaults, err) || !arch_tokens(arch, 0, 2, 3, err) || !read_runs(arch, err) ||
        !arch_dropout(arch, "classifier_dropout_prob", 0.1, &arch->head.dropout, err))
        return false;
    arch->padding_row = arch->pad_id;
    arch->mlp_stays = true;
    return true;
}

static void list_group(ModelArch *arch, int group, int inner)
{
    const int64_t C = arch->C, F = arch->F;
    const LayerModule modules[] = { { "full_layer_layer_norm", ROLE_FF_NORM, C, 0, true },
                                    { "attention.query", ROLE_Q, C, C, true },
                                    { "attention.key", ROLE_K, C, C, true },
                                    { "attention.value", ROLE_V, C, C, true },
                                    { "attention.dense", ROLE_ATTN_OUT, C, C, true },
                                    { "attention.LayerNorm", ROLE_ATTN_NORM, C, 0, true },
                                    { "ffn", ROLE_FF_UP, F, C, true },
                                    { "ffn_output", ROLE_FF_DOWN, C, F, true } };
    char *stack = xprintf("albert.encoder.albert_layer_groups.%d.albert_layers", group);
    for (int k = 0; k < inner; k++) {
        const int first = arch->module_count;
        arch_add_layer(arch, stack, k, modules, LENGTH(modules));
        for (int i = first; i < arch->module_count; i++)
            arch->modules[i].layer = group * inner + k;
    }
    free(stack);
}

static void list(ModelArch *arch)
{
    const json_t *inner = json_object_get(arch->config, "inner_group_num");
    const int each = json_is_integer(inner) ? (int)json_integer_value(inner) : 1;
    const int groups = (arch->physical[arch->layers - 1] + 1) / each;
    bert_list_tables(arch);
    arch_add_linear(arch, xstrdup("albert.encoder.embedding_hidden_mapping_in"), -1, ROLE_EMBED_PROJECT, arch->C,
                    arch->table_width, true);
    for (int group = 0; group < groups; group++)
        list_group(arch, group, each);
    arch_add_idle_pooler(arch, xstrdup("albert.pooler"));
    if (!arch->head.task->of_tokens && !arch->head.task->embeds)
        arch_add_linear(arch, xstrdup("albert.pooler"), -1, ROLE_POOLER, arch->C, arch->C, true);
    arch_add_head(arch, xstrdup("classifier"), true);
}

const FamilyReader albert_reader = { &albert, keys, read, list };
