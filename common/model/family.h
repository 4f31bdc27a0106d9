/* family - what a family's file gives to arch.c: its description, its reading
 * of config.json and its list of modules. Only common/model includes this.
 *
 * To add a family: a file like bert.c, and its row in arch.c's table.
 *
 * Threads: the one that opens the ModelArch. */
#ifndef COMMON_MODEL_FAMILY_H
#define COMMON_MODEL_FAMILY_H

#include "common/model/arch.h"

typedef struct FamilyReader {
    const Family *family;
    /* Keys of config.json that a run may override besides those that are there. */
    const char *const *keys; /* NULL-terminated */
    /* Dimensions, activation, dropouts from arch->config. */
    bool (*read)(ModelArch *arch, Err *err);
    /* All modules, in Transformers' named_modules order, by arch_add. */
    void (*list)(ModelArch *arch);
} FamilyReader;

extern const FamilyReader albert_reader, bart_reader, bert_reader, bloom_reader, cohere_reader, deberta_reader,
    deberta_v2_reader, distilbert_reader, electra_reader, falcon_reader, gemma_reader, gemma2_reader,
    gemma3_text_reader, gpt2_reader, gpt_neox_reader, gptj_reader, granite_reader, llama_reader, mistral_reader,
    modernbert_reader, mpnet_reader, olmo2_reader, opt_reader, phi_reader, phi3_reader, qwen2_reader, qwen3_reader,
    roberta_reader, smollm3_reader, stablelm_reader, t5_reader, vit_reader, xlm_roberta_reader;

/* ---- reading config.json: the fallback is Transformers' ------------------------ */

/* A positive whole number. */
MUST_USE bool arch_size(const ModelArch *arch, const char *key, int64_t fallback, int64_t *out, Err *err);

/* The number of blocks -> arch->layers. */
MUST_USE bool arch_layers(ModelArch *arch, const char *key, int64_t fallback, Err *err);

/* A probability below 1. */
MUST_USE bool arch_dropout(const ModelArch *arch, const char *key, double fallback, double *out, Err *err);

/* Training leaves no layer out. */
MUST_USE bool arch_no_layerdrop(const ModelArch *arch, const char *key, Err *err);

MUST_USE bool arch_flag(const ModelArch *arch, const char *key, bool fallback, bool *out, Err *err);

/* The deviation of a new head's first values; key: "initializer_range" in most families. */
MUST_USE bool arch_initializer(ModelArch *arch, const char *key, Err *err);

/* norm_eps, and initializer_range. */
MUST_USE bool arch_norms(ModelArch *arch, const char *eps_key, double eps, Err *err);

/* hidden_act's name, by Transformers' ACT2CLS. */
MUST_USE bool arch_activation(const ModelArch *arch, const char *key, const char *fallback, Activation *act, Err *err);

MUST_USE bool arch_activation_named(const char *name, const char *key, Activation *act, Err *err);

/* decoder_start_token_id -> start_id. */
MUST_USE bool arch_start(ModelArch *arch, int64_t fallback, Err *err);

/* pad_token_id, bos_token_id, eos_token_id (of a list the first; null: -1). */
MUST_USE bool arch_tokens(ModelArch *arch, int64_t pad, int64_t bos, int64_t eos, Err *err);

/* D = C / H, K = H and scales of 1 / sqrt(D); checks that H divides C. */
MUST_USE bool arch_heads(ModelArch *arch, const char *width_key, const char *heads_key, Err *err);

/* Blocks of two stacks -> layers, source_layers. As many as the other where the second key is not there, or null. */
MUST_USE bool arch_stacks(ModelArch *arch, const char *source_key, const char *key, int64_t fallback, Err *err);

/* scales[layer] = 1 / sqrt(D), or as it is said */
void arch_scale(ModelArch *arch);
void arch_scale_by(ModelArch *arch, double scale);

/* image_size, patch_size, num_channels, and with them the positions. */
MUST_USE bool arch_image(ModelArch *arch, int64_t size, int64_t patch, Err *err);

/* The dropout before a head that reads tokens, of families without a key of their own. */
MUST_USE bool arch_token_dropout(ModelArch *arch, Err *err);

/* Refuses a decoder of an encoder family: it attends causally, or to another model. */
MUST_USE bool arch_no_decoder(const ModelArch *arch, Err *err);

/* BERT's keys and blocks, which its relatives have too: what a config.json without the key means. All but the special
 * tokens. */
typedef struct BertDefaults {
    int64_t V, positions, types; /* types 0: there is no such key */
    int64_t C, H, layers, F; /* 0: 768, 12, 12, 3072 */
    int64_t table_width; /* embedding_size; 0: there is no such key */
    double eps; /* 0: 1e-12 */
    double dropout; /* hidden and attention's */
    const char *act; /* NULL: gelu */
} BertDefaults;
MUST_USE bool bert_read(ModelArch *arch, const BertDefaults *defaults, Err *err);
MUST_USE bool bert_read_sizes(ModelArch *arch, const BertDefaults *defaults, Err *err); /* of it the first part */
extern const char *const bert_keys[];

/* Positions that are counted from pad_id + 1, whose row is the padding's. */
MUST_USE bool bert_read_places(ModelArch *arch, Err *err);
void bert_list_tables(ModelArch *arch); /* words, positions, types, their norm */
void bert_list_layers(ModelArch *arch);

/* Of the bare model, that files need not hold and nobody reads: nothing, where the task has another. */
void arch_add_idle_pooler(ModelArch *arch, char *path);

/* A factor above 0. */
MUST_USE bool arch_factor(const ModelArch *arch, const char *key, double fallback, double *out, Err *err);

/* A bound above 0; null, and where the fallback is 0 nothing, is 0: none. */
MUST_USE bool arch_cap(const ModelArch *arch, const char *key, double fallback, double *out, Err *err);

/* What config.json says, or the fallback; of a flag that reading has checked. */
bool arch_says(const ModelArch *arch, const char *key, bool fallback);

/* Pre-norm blocks that see what is before them, and the head's rows of such a model. */
void arch_decoder(ModelArch *arch);

/* Llama's keys and blocks, which its relatives have too: what a config.json without the key means. */
typedef struct LlamaDefaults {
    int64_t F, K, D, V, positions; /* K 0: as many as H; D 0: C / H */
    int64_t pad, bos, eos;
    int64_t C, H, layers; /* 0: 4096, 32, 32 */
    const char *act_key, *act; /* NULL: "hidden_act", silu */
    const char *eps_key; /* NULL: "rms_norm_eps", of RMSNorms; else layer norms */
    double eps;
    double part; /* partial_rotary_factor; 0: heads turn whole, and there is no such key */
    bool tied;
} LlamaDefaults;

typedef enum { HEAD_NORMS_NONE, HEAD_NORMS_EACH, HEAD_NORMS_TOGETHER } HeadNorms;

/* Where a layer's norms stand, and so what they are called. */
typedef enum {
    LLAMA_BEFORE, /* input_layernorm, post_attention_layernorm, each before a sublayer */
    LLAMA_ONE, /* input_layernorm for both, side by side */
    LLAMA_BEHIND, /* post_attention_layernorm, post_feedforward_layernorm behind bodies */
    LLAMA_AROUND /* before and behind each body */
} LlamaNorms;

/* What a layer has. */
typedef struct LlamaLayer {
    bool qkv_bias, out_bias, mlp_bias;
    HeadNorms head_norms; /* of q and k */
    LlamaNorms norms;
    bool fused; /* qkv_proj, gate_up_proj */
} LlamaLayer;

extern const char *const llama_keys[], *const llama_targets[], *const llama_idle[], *const llama_heads[];
MUST_USE bool llama_read(ModelArch *arch, const LlamaDefaults *defaults, Err *err);
/* sliding_window: the fallback (0: none) where the key is not there; null: 0. */
MUST_USE bool llama_read_window(const ModelArch *arch, int64_t fallback, int64_t *window, Err *err);
MUST_USE bool llama_read_layer_windows(ModelArch *arch, Err *err); /* Qwen's: layer_types, max_window_layers */

/* Windows of sliding_window tokens (null: none) in the layers that layer_types says, else in those that `slides` says. */
MUST_USE bool llama_read_windows(ModelArch *arch, int64_t fallback, bool (*slides)(const ModelArch *, int64_t layer),
                                 Err *err);
MUST_USE bool llama_read_layer_types(ModelArch *arch, const json_t *types, int64_t window,
                                     Err *err); /* arch->windows is there */
void llama_list(ModelArch *arch, const LlamaLayer *has);

/* ---- listing modules: each takes `path` ------------------------------------------ */

void arch_add(ModelArch *arch, char *path, const Module *module);
void arch_add_linear(ModelArch *arch, char *path, int layer, Role role, int64_t out, int64_t in, bool bias);
void arch_add_table(ModelArch *arch, char *path, Role role, int64_t rows); /* an embedding */
void arch_add_norm(ModelArch *arch, char *path, int layer, Role role); /* biased: NORM_LAYER */
void arch_add_embed_norm(ModelArch *arch, char *path); /* as wide as the tables, where it stands before a projection */

/* A layer by a table, under STACK.layer. (NAME NULL: a row that is not there; in 0: a norm). */
typedef struct LayerModule {
    const char *name;
    Role role;
    int64_t out, in;
    bool bias; /* of a norm: as arch_add_norm, whatever it says */
} LayerModule;
void arch_add_layer(ModelArch *arch, const char *stack, int layer, const LayerModule *modules, int count);

/* Of one stack of two: its blocks are counted from 0 in paths, from `first` in the model. */
void arch_add_block(ModelArch *arch, const char *stack, int number, int first, const LayerModule *modules, int count);

/* The task's, new; of a task with a name for it (task.h) that, and with a bias. */
void arch_add_head(ModelArch *arch, char *path, bool bias);
void arch_add_head_pooler(ModelArch *arch, char *path,
                          bool bias); /* the square layer before it, where that is new too */
void arch_add_head_norm(ModelArch *arch, char *path); /* behind that */
void arch_add_head_two(
    ModelArch *arch); /* classifier.dense and out_proj, of a task that reads sequences; else classifier */
void arch_add_lm_head(ModelArch *arch, bool bias); /* tied as arch->tied says */

#endif
