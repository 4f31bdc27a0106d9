#include "common/model/deberta.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const char *const deberta_keys[] = {
    "attention_head_size", "attention_probs_dropout_prob", "cls_dropout", "conv_act", "conv_groups",
    "conv_kernel_size", "embedding_size", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range",
    "intermediate_size", "layer_norm_eps", "max_position_embeddings", "max_relative_positions", "norm_rel_ebd",
    "num_attention_heads", "num_hidden_layers", "pad_token_id", "pooler_dropout", "pooler_hidden_act",
    "pooler_hidden_size", "pos_att_type", "position_biased_input", "position_buckets", "relative_attention",
    "share_att_key", "talking_head", "type_vocab_size", "vocab_size", NULL };
/* clang-format on */

const char *const deberta_idle[] = { "embeddings.position_ids", "embeddings.position_embeddings.weight", NULL };
const char *const deberta_heads[] = { "lm_predictions.*", "mask_predictions.*", "cls.*", "pooler.*",
                                      "classifier.*",     "qa_outputs.*",       NULL };

/* ---- terms of distances ------------------------------------------------------------------------ */

static bool take_term(ModelArch *arch, const char *name, Err *err)
{
    bool *term = strcmp(name, "c2p") == 0   ? &arch->distance_keys
                 : strcmp(name, "p2c") == 0 ? &arch->distance_queries
                                            : NULL;
    if (!term || *term)
        return err_set(err, ERR_INPUT, "pos_att_type '%s' is not supported, only 'c2p' and 'p2c', once each", name);
    *term = true;
    return true;
}

/* null, "p2c|c2p", or a list */
static bool read_terms(ModelArch *arch, Err *err)
{
    const json_t *value = json_object_get(arch->config, "pos_att_type");
    bool ok = !value || json_is_null(value) || json_is_string(value) || json_is_array(value);
    if (!ok)
        return err_set(err, ERR_INPUT, "'pos_att_type' is no text and no list");
    for (size_t i = 0; ok && i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        ok = take_term(arch, name ? name : "", err);
    }
    char *text = json_is_string(value) ? xstrdup(json_string_value(value)) : NULL, *rest = text;
    for (char *name = text; ok && rest && (name = strsep(&rest, "| "));)
        if (*name) {
            for (char *c = name; *c; c++)
                *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
            ok = take_term(arch, name, err);
        }
    free(text);
    return ok;
}

static bool read_distances(ModelArch *arch, Err *err)
{
    bool are;
    const int64_t furthest = json_get_int(arch->config, "max_relative_positions", -1, err);
    const int64_t buckets = json_get_int(arch->config, "position_buckets", -1, err);
    if (err->kind != ERR_NONE || !arch_flag(arch, "relative_attention", false, &are, err) || !read_terms(arch, err))
        return false;
    const int terms = 1 + (arch->distance_keys ? 1 : 0) + (arch->distance_queries ? 1 : 0);
    for (int64_t l = 0; l < arch->layers; l++)
        arch->scales[l] = 1 / sqrt((double)(arch->D * terms));
    arch->distance_furthest = furthest < 1 ? arch->positions : furthest;
    arch->distance_buckets = buckets > 0 && !arch->qkv_grouped ? buckets : 0;
    arch->distance_span = !are ? 0 : arch->distance_buckets > 0 ? buckets : arch->distance_furthest;
    if (arch->distance_span > 1 << 20 || arch->distance_furthest < 2 ||
        (arch->distance_buckets > 0 && (buckets < 4 || arch->distance_furthest - 1 <= buckets / 2)))
        return err_set(err, ERR_INPUT, "position_buckets %lld of max_relative_positions %lld are not supported",
                       (long long)buckets, (long long)arch->distance_furthest);
    return true;
}

/* ---- the rest -------------------------------------------------------------------------------------- */

static bool read_embeddings(ModelArch *arch, Err *err)
{
    bool placed;
    arch->types = json_get_int(arch->config, "type_vocab_size", 0, err);
    if (err->kind != ERR_NONE || !arch_flag(arch, "position_biased_input", true, &placed, err) ||
        !arch_size(arch, "embedding_size", arch->C, &arch->table_width, err))
        return false;
    arch->project_first = true;
    return (arch->types >= 0 && arch->types < 1 << 20) || err_set(err, ERR_INPUT, "'type_vocab_size' is out of range");
}

/* Of a key that is there but for this value. */
static bool check_size(const ModelArch *arch, const char *key, int64_t only, Err *err)
{
    int64_t size;
    if (!arch_size(arch, key, only, &size, err))
        return false;
    return size == only ||
           err_set(err, ERR_INPUT, "'%s' is %lld, allowed is %lld", key, (long long)size, (long long)only);
}

static bool read_head(ModelArch *arch, Err *err)
{
    arch->head.dropout = arch->hidden_dropout;
    return (arch->head.task->of_tokens ||
            arch_dropout(arch, "cls_dropout", arch->hidden_dropout, &arch->head.dropout, err)) &&
           arch_activation(arch, "pooler_hidden_act", "gelu", &arch->head.pooler_act, err) &&
           arch_dropout(arch, "pooler_dropout", 0, &arch->head.pooler_dropout, err) &&
           check_size(arch, "pooler_hidden_size", arch->C, err) &&
           check_size(arch, "attention_head_size", arch->D, err);
}

bool deberta_read(ModelArch *arch, const BertDefaults *defaults, Err *err)
{
    if (!bert_read(arch, defaults, err) || !arch_tokens(arch, 0, -1, -1, err) || !read_distances(arch, err) ||
        !read_embeddings(arch, err) || !read_head(arch, err))
        return false;
    arch->padding_row = arch->pad_id;
    arch->padding_masked = true;
    return true;
}

void deberta_list_tables(ModelArch *arch)
{
    arch_add_table(arch, xstrdup("deberta.embeddings.word_embeddings"), ROLE_WORD, arch->V);
    if (arch_says(arch, "position_biased_input", true))
        arch_add_table(arch, xstrdup("deberta.embeddings.position_embeddings"), ROLE_POSITION, arch->positions);
    if (arch->types > 0)
        arch_add_table(arch, xstrdup("deberta.embeddings.token_type_embeddings"), ROLE_TYPE, arch->types);
    if (arch->table_width != arch->C)
        arch_add_linear(arch, xstrdup("deberta.embeddings.embed_proj"), -1, ROLE_EMBED_PROJECT, arch->C,
                        arch->table_width, false);
    arch_add_embed_norm(arch, xstrdup("deberta.embeddings.LayerNorm"));
}

void deberta_list_distances(ModelArch *arch)
{
    if (arch->distance_span > 0)
        arch_add(arch, xstrdup("deberta.encoder.rel_embeddings"),
                 &(Module){ .kind = MODULE_EMBEDDING,
                            .role = ROLE_DISTANCE,
                            .layer = -1,
                            .out = 2 * arch->distance_span,
                            .in = arch->C });
}

void deberta_list_head(ModelArch *arch)
{
    if (!arch->head.task->of_tokens)
        arch_add_head_pooler(arch, xstrdup("pooler.dense"), true);
    arch_add_head(arch, xstrdup("classifier"), true);
}
