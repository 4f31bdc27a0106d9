/* RoBERTa and XLM-RoBERTa: BERT with positions counted from pad_token_id + 1, and
 * a head of two layers (dense with tanh, out_proj) without BERT's pooler.
 * Source of names and defaults: Transformers 5.23, models/{roberta,xlm_roberta}. */
#include "common/model/family.h"

#include "common/base/mem.h"

static const char *const default_targets[] = { "query", "value", NULL };

static const char *const idle[] = { "pooler.*", "embeddings.position_ids", NULL };
static const char *const heads[] = { "lm_head.*", "classifier.*", "qa_outputs.*", NULL };

static const Family roberta = {
    .model_type = "roberta",
    .title = "RoBERTa",
    .prefix = "roberta.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "RobertaForSequenceClassification",
                    [TASK_TOKEN_CLS] = "RobertaForTokenClassification",
                    [TASK_FEATURE_EXTRACTION] = "RobertaModel",
                    [TASK_QUESTION_ANS] = "RobertaForQuestionAnswering" },
};

static const Family xlm_roberta = {
    .model_type = "xlm-roberta",
    .title = "XLM-R",
    .prefix = "roberta.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "XLMRobertaForSequenceClassification",
                    [TASK_TOKEN_CLS] = "XLMRobertaForTokenClassification",
                    [TASK_FEATURE_EXTRACTION] = "XLMRobertaModel",
                    [TASK_QUESTION_ANS] = "XLMRobertaForQuestionAnswering" },
};

static bool read_kind(ModelArch *arch, int64_t words, Err *err)
{
    const BertDefaults defaults = { .V = words, .positions = 512, .types = 2, .dropout = 0.1 };
    if (!bert_read(arch, &defaults, err) || !arch_tokens(arch, 1, 0, 2, err) || !bert_read_places(arch, err))
        return false;
    arch->head.pooler_dropout = arch->head.dropout;
    return true;
}

static bool read_roberta(ModelArch *arch, Err *err)
{
    return read_kind(arch, 50265, err);
}

static bool read_xlm(ModelArch *arch, Err *err)
{
    return read_kind(arch, 30522, err);
}

static void list(ModelArch *arch)
{
    arch_add_table(arch, xstrdup("roberta.embeddings.word_embeddings"), ROLE_WORD, arch->V);
    arch_add_table(arch, xstrdup("roberta.embeddings.token_type_embeddings"), ROLE_TYPE, arch->types);
    arch_add_norm(arch, xstrdup("roberta.embeddings.LayerNorm"), -1, ROLE_EMBED_NORM);
    arch_add_table(arch, xstrdup("roberta.embeddings.position_embeddings"), ROLE_POSITION,
                   arch->positions + arch->position_offset);
    bert_list_layers(arch);
    arch_add_idle_pooler(arch, xstrdup("roberta.pooler.dense"));
    arch_add_head_two(arch);
}

const FamilyReader roberta_reader = { &roberta, bert_keys, read_roberta, list };
const FamilyReader xlm_roberta_reader = { &xlm_roberta, bert_keys, read_xlm, list };
