/* What BERT's relatives share with it: keys of config.json, tables, blocks. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"

#include <string.h>

/* clang-format off */
const char *const bert_keys[] = {
    "attention_probs_dropout_prob", "classifier_dropout", "hidden_act", "hidden_dropout_prob", "hidden_size",
    "initializer_range", "intermediate_size", "layer_norm_eps", "max_position_embeddings", "num_attention_heads",
    "num_hidden_layers", "pad_token_id", "position_embedding_type", "type_vocab_size", "vocab_size", NULL };
/* clang-format on */

bool bert_read_sizes(ModelArch *arch, const BertDefaults *d, Err *err)
{
    return arch_size(arch, "hidden_size", d->C > 0 ? d->C : 768, &arch->C, err) &&
           arch_layers(arch, "num_hidden_layers", d->layers > 0 ? d->layers : 12, err) &&
           arch_size(arch, "num_attention_heads", d->H > 0 ? d->H : 12, &arch->H, err) &&
           arch_size(arch, "intermediate_size", d->F > 0 ? d->F : 3072, &arch->F, err) &&
           arch_size(arch, "vocab_size", d->V, &arch->V, err) &&
           arch_size(arch, "max_position_embeddings", d->positions, &arch->positions, err) &&
           (d->types == 0 || arch_size(arch, "type_vocab_size", d->types, &arch->types, err)) &&
           (d->table_width == 0 || arch_size(arch, "embedding_size", d->table_width, &arch->table_width, err)) &&
           arch_heads(arch, "hidden_size", "num_attention_heads", err);
}

/* Relative positions add a term to each score. */
static bool check_positions(const ModelArch *arch, Err *err)
{
    const char *kind = json_get_string(arch->config, "position_embedding_type", "absolute", err);
    if (err->kind != ERR_NONE || strcmp(kind, "absolute") == 0)
        return err->kind == ERR_NONE;
    return err_set(err, ERR_INPUT, "position_embedding_type '%s' is not supported, only 'absolute'", kind);
}

bool bert_read(ModelArch *arch, const BertDefaults *d, Err *err)
{
    arch->head.rows = arch->head.task->of_tokens ? READ_LABELLED : READ_FIRST;
    arch->head.pooler_act = ACT_TANH;
    if (!bert_read_sizes(arch, d, err) || !check_positions(arch, err) || !arch_no_decoder(arch, err) ||
        !arch_norms(arch, "layer_norm_eps", d->eps > 0 ? d->eps : 1e-12, err) ||
        !arch_activation(arch, "hidden_act", d->act ? d->act : "gelu", &arch->act, err) ||
        !arch_dropout(arch, "hidden_dropout_prob", d->dropout, &arch->hidden_dropout, err) ||
        !arch_dropout(arch, "attention_probs_dropout_prob", d->dropout, &arch->attention_dropout, err) ||
        !arch_dropout(arch, "classifier_dropout", arch->hidden_dropout, &arch->head.dropout, err))
        return false;
    arch->embed_dropout = arch->hidden_dropout;
    return true;
}

bool bert_read_places(ModelArch *arch, Err *err)
{
    if (arch->pad_id < 0)
        return err_set(err, ERR_INPUT, "no pad_token_id: positions are counted from it");
    arch->padding_row = arch->pad_id;
    arch->position_offset = arch->pad_id + 1;
    arch->padding_stands = true;
    if (arch->positions <= arch->position_offset)
        return err_set(err, ERR_INPUT, "max_position_embeddings %lld leaves no position behind pad_token_id %lld",
                       (long long)arch->positions, (long long)arch->pad_id);
    arch->positions -= arch->position_offset;
    return true;
}

static char *name(const ModelArch *arch, int layer, const char *rest)
{
    return xprintf("%sencoder.layer.%d.%s", arch->family->prefix, layer, rest);
}

static void list_layer(ModelArch *arch, int layer)
{
    const int64_t C = arch->C, F = arch->F;
    arch_add_linear(arch, name(arch, layer, "attention.self.query"), layer, ROLE_Q, C, C, true);
    arch_add_linear(arch, name(arch, layer, "attention.self.key"), layer, ROLE_K, C, C, true);
    arch_add_linear(arch, name(arch, layer, "attention.self.value"), layer, ROLE_V, C, C, true);
    arch_add_linear(arch, name(arch, layer, "attention.output.dense"), layer, ROLE_ATTN_OUT, C, C, true);
    arch_add_norm(arch, name(arch, layer, "attention.output.LayerNorm"), layer, ROLE_ATTN_NORM);
    arch_add_linear(arch, name(arch, layer, "intermediate.dense"), layer, ROLE_FF_UP, F, C, true);
    arch_add_linear(arch, name(arch, layer, "output.dense"), layer, ROLE_FF_DOWN, C, F, true);
    arch_add_norm(arch, name(arch, layer, "output.LayerNorm"), layer, ROLE_FF_NORM);
}

void bert_list_layers(ModelArch *arch)
{
    for (int layer = 0; layer < arch->layers; layer++)
        list_layer(arch, layer);
}

void bert_list_tables(ModelArch *arch)
{
    const char *prefix = arch->family->prefix;
    arch_add_table(arch, xprintf("%sembeddings.word_embeddings", prefix), ROLE_WORD, arch->V);
    arch_add_table(arch, xprintf("%sembeddings.position_embeddings", prefix), ROLE_POSITION, arch->positions);
    arch_add_table(arch, xprintf("%sembeddings.token_type_embeddings", prefix), ROLE_TYPE, arch->types);
    arch_add_embed_norm(arch, xprintf("%sembeddings.LayerNorm", prefix));
}
