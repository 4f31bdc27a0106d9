/* BERT: learned positions, post-norm blocks, a tanh pooler over the first token.
 * Source of names and defaults: Transformers 5.23, models/bert. */
#include "common/model/family.h"

#include "common/base/mem.h"

static const char *const default_targets[] = { "query", "value", NULL };

static const char *const idle[] = { "pooler.*", "embeddings.position_ids", NULL };
static const char *const heads[] = { "cls.*", "classifier.*", "qa_outputs.*", NULL };

static const Family bert = {
    .model_type = "bert",
    .title = "BERT",
    .prefix = "bert.",
    .default_targets = default_targets,
    .idle = idle,
    .heads = heads,
    .task_class = { [TASK_SEQ_CLS] = "BertForSequenceClassification",
                    [TASK_TOKEN_CLS] = "BertForTokenClassification",
                    [TASK_FEATURE_EXTRACTION] = "BertModel",
                    [TASK_QUESTION_ANS] = "BertForQuestionAnswering" },
};

static const BertDefaults defaults = { .V = 30522, .positions = 512, .types = 2, .dropout = 0.1 };

static bool read(ModelArch *arch, Err *err)
{
    if (!bert_read(arch, &defaults, err) || !arch_tokens(arch, 0, -1, -1, err))
        return false;
    arch->padding_row = arch->pad_id;
    return true;
}

static void list(ModelArch *arch)
{
    bert_list_tables(arch);
    bert_list_layers(arch);
    arch_add_idle_pooler(arch, xstrdup("bert.pooler.dense"));
    if (!arch->head.task->of_tokens && !arch->head.task->embeds) /* BertForTokenClassification has no pooler */
        arch_add_linear(arch, xstrdup("bert.pooler.dense"), -1, ROLE_POOLER, arch->C, arch->C, true);
    arch_add_head(arch, xstrdup("classifier"), true);
}

const FamilyReader bert_reader = { &bert, bert_keys, read, list };
