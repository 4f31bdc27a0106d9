/* What Llama's relatives share with it: keys of config.json, windows, blocks. */
#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/rope.h"

#include <string.h>

const char *const llama_targets[] = { "q_proj", "v_proj", NULL };

/* clang-format off */
const char *const llama_keys[] = {
    "attention_bias", "attention_dropout", "bos_token_id", "classifier_dropout", "eos_token_id", "head_dim",
    "hidden_act", "hidden_dropout", "hidden_size", "initializer_range", "intermediate_size", "layer_types",
    "max_position_embeddings", "max_window_layers", "mlp_bias", "num_attention_heads", "num_hidden_layers",
    "num_key_value_heads", "pad_token_id", "rms_norm_eps", "rope_parameters", "rope_scaling", "rope_theta",
    "sliding_window", "tie_word_embeddings", "token_classification_bias", "use_sliding_window", "vocab_size", NULL
    };
/* clang-format on */

const char *const llama_idle[] = { "*rotary_emb.inv_freq", NULL };
const char *const llama_heads[] = { "lm_head.*", "score.*", "qa_outputs.*", NULL };

/* ---- reading -------------------------------------------------------------------- */

static bool read_heads(ModelArch *arch, const LlamaDefaults *d, Err *err)
{
    const json_t *K = json_object_get(arch->config, "num_key_value_heads");
    const int64_t count = json_is_null(K) || d->K == 0 ? arch->H : d->K;
    const json_t *D = json_object_get(arch->config, "head_dim");
    const bool own_size = d->D > 0 || (D && !json_is_null(D));
    if (!own_size && !arch_heads(arch, "hidden_size", "num_attention_heads", err))
        return false;
    if (!arch_size(arch, "head_dim", d->D > 0 ? d->D : arch->D, &arch->D, err) ||
        !arch_size(arch, "num_key_value_heads", count, &arch->K, err))
        return false;
    if (own_size)
        arch_scale(arch);
    return arch->H % arch->K == 0 ||
           err_set(err, ERR_INPUT, "num_attention_heads %lld is no multiple of num_key_value_heads %lld",
                   (long long)arch->H, (long long)arch->K);
}

static bool read_sizes(ModelArch *arch, const LlamaDefaults *d, Err *err)
{
    return arch_size(arch, "hidden_size", d->C > 0 ? d->C : 4096, &arch->C, err) &&
           arch_layers(arch, "num_hidden_layers", d->layers > 0 ? d->layers : 32, err) &&
           arch_size(arch, "num_attention_heads", d->H > 0 ? d->H : 32, &arch->H, err) &&
           arch_size(arch, "intermediate_size", d->F, &arch->F, err) &&
           arch_size(arch, "vocab_size", d->V, &arch->V, err) &&
           arch_size(arch, "max_position_embeddings", d->positions, &arch->positions, err) && read_heads(arch, d, err);
}

/* Flags that listing the modules asks for again. */
static bool check_biases(const ModelArch *arch, Err *err)
{
    bool is;
    return arch_flag(arch, "attention_bias", false, &is, err) && arch_flag(arch, "mlp_bias", false, &is, err) &&
           arch_flag(arch, "token_classification_bias", true, &is, err);
}

bool llama_read(ModelArch *arch, const LlamaDefaults *d, Err *err)
{
    arch_decoder(arch);
    arch->norm = d->eps_key ? NORM_LAYER : NORM_RMS;
    arch->gated = true;
    arch->rope = true;
    if (!read_sizes(arch, d, err) || (d->part > 0 && !rope_read_part(arch, "partial_rotary_factor", d->part, err)) ||
        !rope_check(arch, err) || !arch_norms(arch, d->eps_key ? d->eps_key : "rms_norm_eps", d->eps, err) ||
        !arch_tokens(arch, d->pad, d->bos, d->eos, err) ||
        !arch_activation(arch, d->act_key ? d->act_key : "hidden_act", d->act ? d->act : "silu", &arch->act, err) ||
        !arch_dropout(arch, "attention_dropout", 0.0, &arch->attention_dropout, err) ||
        (arch->head.task->tags && !arch_token_dropout(arch, err)))
        return false;
    arch->padding_row = arch->pad_id;
    return check_biases(arch, err) && arch_flag(arch, "tie_word_embeddings", d->tied, &arch->tied, err);
}

bool llama_read_window(const ModelArch *arch, int64_t fallback, int64_t *window, Err *err)
{
    const json_t *value = json_object_get(arch->config, "sliding_window");
    *window = 0;
    return json_is_null(value) || (!value && fallback == 0) || arch_size(arch, "sliding_window", fallback, window, err);
}

/* layer_types, where it is there, says which layers have the window. */
bool llama_read_layer_types(ModelArch *arch, const json_t *types, int64_t window, Err *err)
{
    if (!json_is_array(types) || (int64_t)json_array_size(types) != arch->layers)
        return err_set(err, ERR_INPUT, "'layer_types' is not a list of %lld names", (long long)arch->layers);
    for (int64_t l = 0; l < arch->layers; l++) {
        const char *type = json_string_value(json_array_get(types, (size_t)l));
        const bool slides = type && strcmp(type, "sliding_attention") == 0;
        if (!slides && !(type && strcmp(type, "full_attention") == 0))
            return err_set(err, ERR_INPUT, "layer_types '%s' is not supported", type ? type : "");
        if (slides && window == 0)
            return err_set(err, ERR_INPUT,
                           "layer_types has 'sliding_attention', but there is no "
                           "sliding_window in use");
        arch->windows[l] = slides ? window : 0;
    }
    return true;
}

bool llama_read_layer_windows(ModelArch *arch, Err *err)
{
    int64_t window = 0;
    bool slides;
    if (!arch_flag(arch, "use_sliding_window", false, &slides, err) ||
        (slides && !llama_read_window(arch, 4096, &window, err)))
        return false;
    const int64_t full = json_get_int(arch->config, "max_window_layers", 28, err);
    if (err->kind != ERR_NONE)
        return false;
    arch->windows = xcalloc((size_t)arch->layers, sizeof *arch->windows);
    const json_t *types = json_object_get(arch->config, "layer_types");
    if (types && !json_is_null(types))
        return llama_read_layer_types(arch, types, window, err);
    for (int64_t l = 0; l < arch->layers; l++)
        arch->windows[l] = l >= full ? window : 0;
    return true;
}

bool llama_read_windows(ModelArch *arch, int64_t fallback, bool (*slides)(const ModelArch *, int64_t layer), Err *err)
{
    int64_t window;
    if (!llama_read_window(arch, fallback, &window, err))
        return false;
    arch->windows = xcalloc((size_t)arch->layers, sizeof *arch->windows);
    const json_t *types = json_object_get(arch->config, "layer_types");
    if (types && !json_is_null(types))
        return llama_read_layer_types(arch, types, window, err);
    for (int64_t l = 0; l < arch->layers; l++)
        arch->windows[l] = slides(arch, l) ? window : 0;
    return true;
}

/* ---- listing ---------------------------------------------------------------------- */

static void add_table(ModelArch *arch, int layer, const LayerModule *modules, int count)
{
    arch_add_layer(arch, "model.layers", layer, modules, count);
}

static void list_products(ModelArch *arch, int layer, const LlamaLayer *has)
{
    const int64_t C = arch->C, F = arch->F, Q = arch->H * arch->D, K = arch->K * arch->D;
    const bool each = has->head_norms == HEAD_NORMS_EACH, bias = has->qkv_bias;
    const LayerModule apart[] = {
        { "self_attn.q_proj", ROLE_Q, Q, C, bias },
        { "self_attn.k_proj", ROLE_K, K, C, bias },
        { "self_attn.v_proj", ROLE_V, K, C, bias },
        { "self_attn.o_proj", ROLE_ATTN_OUT, C, Q, has->out_bias },
        { has->head_norms ? "self_attn.q_norm" : NULL, ROLE_Q_NORM, each ? arch->D : Q, 0, false },
        { has->head_norms ? "self_attn.k_norm" : NULL, ROLE_K_NORM, each ? arch->D : K, 0, false },
        { "mlp.gate_proj", ROLE_FF_GATE, F, C, has->mlp_bias },
        { "mlp.up_proj", ROLE_FF_UP, F, C, has->mlp_bias },
        { "mlp.down_proj", ROLE_FF_DOWN, C, F, has->mlp_bias },
    };
    const LayerModule fused[] = {
        { "self_attn.o_proj", ROLE_ATTN_OUT, C, Q, has->out_bias },
        { "self_attn.qkv_proj", ROLE_QKV, Q + 2 * K, C, bias },
        { "mlp.gate_up_proj", ROLE_GATE_UP, 2 * F, C, has->mlp_bias },
        { "mlp.down_proj", ROLE_FF_DOWN, C, F, has->mlp_bias },
    };
    if (has->fused)
        add_table(arch, layer, fused, LENGTH(fused));
    else
        add_table(arch, layer, apart, LENGTH(apart));
}

static void list_norms(ModelArch *arch, int layer, LlamaNorms where)
{
    const int64_t C = arch->C;
    const bool before = where == LLAMA_BEFORE, around = where == LLAMA_AROUND, behind = around || where == LLAMA_BEHIND;
    const LayerModule norms[] = {
        { where != LLAMA_BEHIND ? "input_layernorm" : NULL, ROLE_ATTN_NORM, C, 0, false },
        { before ? "post_attention_layernorm" : NULL, ROLE_FF_NORM, C, 0, false },
        { behind ? "post_attention_layernorm" : NULL, ROLE_ATTN_AFTER, C, 0, false },
        { around ? "pre_feedforward_layernorm" : NULL, ROLE_FF_NORM, C, 0, false },
        { behind ? "post_feedforward_layernorm" : NULL, ROLE_FF_AFTER, C, 0, false },
    };
    add_table(arch, layer, norms, LENGTH(norms));
}

void llama_list(ModelArch *arch, const LlamaLayer *has)
{
    arch_add_table(arch, xstrdup("model.embed_tokens"), ROLE_WORD, arch->V);
    for (int layer = 0; layer < arch->layers; layer++) {
        list_products(arch, layer, has);
        list_norms(arch, layer, has->norms);
    }
    arch_add_norm(arch, xstrdup("model.norm"), -1, ROLE_FINAL_NORM);
    if (arch->head.task->speaks)
        arch_add_lm_head(arch, false);
    else
        arch_add_head(arch, xstrdup("score"),
                      arch->head.task->tags && arch_says(arch, "token_classification_bias", true));
}
