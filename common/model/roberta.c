/* RoBERTa and XLM-RoBERTa: BERT with positions counted from pad_token_id + 1, and
 * a head of two layers (dense with tanh, out_proj) without BERT's pooler.
 * Source of names and defaults: Transformers 5.23, models/{roberta,xlm_roberta}. */
#include "common/model/family.h"

#include "common/base/mem.h"
#include "common/base/text.h"

static const char *const default_targets[] = { "query", "value", NULL };

static const char *const idle[] = { "pooler.*", "embeddings.position_ids", NULL };
static const char *const heads[] = { "lm_head.*", "classifier.*", "qa_outputs.*", NULL };

static const Family roberta = {
    .model_type = "roberta",
    .prefix = "roberta.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "RobertaForSequenceClassification",
                    [TASK_TOKEN_CLS] = "RobertaForTokenClassification" },
};

static const Family xlm_roberta = {
    .model_type = "xlm-roberta",
    .prefix = "roberta.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "XLMRobertaForSequenceClassification",
                    [TASK_TOKEN_CLS] = "XLMRobertaForTokenClassification" },
};

static bool read_kind(ModelArch *arch, int64_t words, Err *err)
{
    if (!bert_read(arch, words, err) || !arch_tokens(arch, 1, 0, 2, err))
        return false;
    if (arch->pad_id < 0)
        return err_set(err, ERR_INPUT, "no pad_token_id: positions are counted from it");
    arch->padding_row = arch->pad_id;
    arch->position_offset = arch->pad_id + 1;
    arch->padding_stands = true;
    if (arch->positions <= arch->position_offset)
        return err_set(err, ERR_INPUT, "max_position_embeddings %lld leaves no position behind pad_token_id %lld",
                       (long long)arch->positions, (long long)arch->pad_id);
    arch->positions -= arch->position_offset;
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

static void list_head(ModelArch *arch)
{
    if (arch->head.task->tags) {
        arch_add_head(arch, xstrdup("classifier"), true);
        return;
    }
    arch_add_head_pooler(arch, xstrdup("classifier.dense"));
    arch_add_head(arch, xstrdup("classifier.out_proj"), true);
}

static void list(ModelArch *arch)
{
    arch_add_table(arch, xstrdup("roberta.embeddings.word_embeddings"), ROLE_WORD, arch->V);
    arch_add_table(arch, xstrdup("roberta.embeddings.token_type_embeddings"), ROLE_TYPE, arch->types);
    arch_add_norm(arch, xstrdup("roberta.embeddings.LayerNorm"), -1, ROLE_EMBED_NORM);
    arch_add_table(arch, xstrdup("roberta.embeddings.position_embeddings"), ROLE_POSITION,
                   arch->positions + arch->position_offset);
    bert_list_layers(arch);
    list_head(arch);
}

const FamilyReader roberta_reader = { &roberta, bert_keys, read_roberta, list };
const FamilyReader xlm_roberta_reader = { &xlm_roberta, bert_keys, read_xlm, list };
