/* arch - what a model is, before any weight of it is read: config.json and the
 * family's description give its dimensions and the list of its modules.
 *
 * A family (BERT, GPT-2, ...) is a `Family`: a table of names, kinds and a few
 * choices; bert.c holds BERT's. Both programs need it: workers to compute,
 * the parameter server to lay out the adapter. Names are Transformers' module
 * paths in the head model ("bert.encoder.layer.0.attention.self.query").
 *
 * Owner: whoever opened it; const afterwards. Threads: one opens, then any read. */
#ifndef COMMON_MODEL_ARCH_H
#define COMMON_MODEL_ARCH_H

#include "common/base/activation.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "common/model/task.h"

#include <stdint.h>

typedef enum {
    MODULE_LINEAR,
    MODULE_EMBEDDING,
    MODULE_NORM,
    MODULE_CONV, /* kernel = stride: a linear of flattened patches; LoRA's A has the kernel's shape */
    MODULE_TENSOR /* a bare parameter, no module of named_modules: no ".weight", never a target */
} ModuleKind;

/* What a module does in its block; the compute code finds modules by (layer, role). */
typedef enum {
    ROLE_WORD,
    ROLE_POSITION,
    ROLE_TYPE,
    ROLE_EMBED_NORM,
    ROLE_Q,
    ROLE_K,
    ROLE_V,
    ROLE_ATTN_OUT,
    ROLE_ATTN_NORM,
    ROLE_FF_UP,
    ROLE_FF_DOWN,
    ROLE_FF_NORM,
    ROLE_POOLER, /* the dense layer before the head, wherever it stands */
    ROLE_HEAD,
    ROLE_QKV, /* q, k and v in one module (GPT-2), instead of ROLE_Q, _K, _V */
    ROLE_FF_GATE, /* gated MLP: act(gate) * up */
    ROLE_FINAL_NORM, /* behind the last block */
    ROLE_PATCH, /* image patches -> rows */
    ROLE_CLS, /* the row that stands before the patches */
    ROLE_Q_NORM, /* a norm of q before it turns: of every head, or of all together, as wide as it says */
    ROLE_K_NORM, /* and of k */
    ROLE_GATE_UP, /* gate and up in one module, instead of ROLE_FF_GATE, _UP */
    ROLE_ATTN_AFTER, /* a norm of what attention gives, before it meets the stream */
    ROLE_FF_AFTER, /* and of what the MLP gives */
    ROLE_EMBED_PROJECT, /* from the width of the tables to the model's */
    ROLE_SCORE_TABLE, /* [buckets of distances, heads]: what is added to the scores of all layers */
    ROLE_HEAD_NORM, /* behind ROLE_POOLER's activation */
    ROLE_DISTANCE, /* a table of distances, a row each, whose projections meet those of tokens in scores */
    ROLE_DISTANCE_NORM,
    ROLE_DISTANCE_K, /* its keys and queries, where they are not made by ROLE_K and ROLE_Q */
    ROLE_DISTANCE_Q,
    ROLE_Q_BIAS, /* of ROLE_QKV's q and v, where they are tensors of their own */
    ROLE_V_BIAS,
    ROLE_CONV, /* along the sequence, of the embeddings; behind the first block */
    ROLE_CONV_NORM,
    ROLE_IDLE, /* of the bare model, and no task here reads it (BERT's pooler): what stands on it stays as it began */
    ROLE_BUCKETS, /* what a head adds to scores by the distance of query and key; in the first block of a stack */
    ROLE_CROSS_Q, /* attention of a block to the rows of the stack that reads */
    ROLE_CROSS_K,
    ROLE_CROSS_V,
    ROLE_CROSS_OUT,
    ROLE_CROSS_NORM,
    ROLE_SOURCE_POSITION, /* outside the blocks, of the stack that reads */
    ROLE_SOURCE_EMBED_NORM,
    ROLE_SOURCE_FINAL_NORM,
    ROLE_COUNT
} Role;

typedef struct Module {
    char *path; /* "bert.encoder.layer.0.attention.self.query" */
    ModuleKind kind;
    Role role;
    int layer; /* -1: outside the blocks */
    int64_t out, in; /* LINEAR: weight [out,in]; EMBEDDING, TENSOR: [out rows, in width]; NORM:
                        out = width, in = 0; CONV: in = channels * kernel * kernel */
    bool bias;
    bool transposed; /* files hold [in,out] (GPT-2's Conv1D: fan_in_fan_out) */
    bool tied; /* its weight is ROLE_WORD's; files need not hold it */
    bool is_new; /* the head of the task: may be absent from the model's files */
} Module;

typedef enum { NORM_LAYER, NORM_RMS } NormKind;

/* What is added to the score of key j of a sequence, by head (Press et al. 2021): nothing, slope j, or that with
 * slope and product rounded to bfloat16 and scaled as scores are. */
typedef enum { ALIBI_NONE, ALIBI_PLAIN, ALIBI_ROUNDED } Alibi;

enum { ROPE_SETS = 2, ROPE_STANDS = -1 };

/* Which rows of the last block the head reads. */
typedef enum {
    READ_FIRST, /* [CLS] */
    READ_LAST, /* the last token of a sequence that is no padding's */
    READ_MEAN, /* the mean of all rows */
    READ_LABELLED, /* every token that has a goal */
    READ_END, /* the last token, whatever it is */
    READ_ALL /* every token, padding too: a goal is one of them */
} HeadRows;

/* A part of a module's path, and what it was in an earlier Transformers. */
typedef struct Rename {
    const char *now, *before;
} Rename;

typedef struct Family {
    const char *model_type; /* config.json's */
    const char *title; /* what people call it */
    const char *prefix; /* of the body's tensors; files may leave it out: "bert." */
    const char *span_prefix; /* of its class for spans, which is another in some: "transformer."; NULL: the same */
    const Rename *renames; /* all that fit apply, {NULL} behind them; NULL: none */
    const char *const *default_targets; /* PEFT's, NULL-terminated; NULL: must be given */
    const char *target_hint; /* what to give then: "q_lin, v_lin" */
    const char *task_class[TASK_COUNT]; /* Transformers' class by TaskType, NULL: not offered */
    /* Tensors that files may hold and no task of ours reads, as fnmatch patterns, NULL-terminated:
     * of the body, without its prefix (buffers, a pooler), and beside it (heads of Transformers'). */
    const char *const *idle, *const *heads;
    const char *const *zeros; /* and those that nothing here adds, which have to be 0 then; NULL: none */
    const char *span_head; /* its head over spans where that is not called as others' (task.h); NULL: it is */
    bool drops_spans; /* head.dropout is of spans, too */
    bool tokenizer_alone; /* its folders name a class that is not theirs: tokenizer.json is what it says */
} Family;

/* What stands behind the body: a task's outputs, which rows of the last block they read, and what they are called. */
typedef struct HeadArch {
    const Task *task;
    HeadRows rows;
    double pooler_dropout; /* of the rows that go into ROLE_POOLER */
    Activation pooler_act;
    double dropout; /* of the rows that go into ROLE_HEAD */
    int64_t labels; /* outputs; of a task that speaks: V */
    char **label_names; /* [labels], owned; of a task that speaks, or finds spans: NULL */
    bool labels_known; /* names came from run file or config.json, not "LABEL_0" */
    bool labels_open; /* neither names nor count came from anywhere: they are to be found in the data */
    ProblemType problem; /* resolved, never AUTO */
    EmbedHead embed; /* of a task that embeds: `labels` is its width, and its names NULL */
    TaskLabels
        *tasks; /* [task_count] several, one behind the other: a row's loss and guess are among the outputs of its
                          task; owned, and their names; NULL: all outputs are one task's */
    int task_count;
} HeadArch;

/* The body, and the head of the task. */
typedef struct ModelArch {
    const Family *family;
    char *folder; /* resolved model folder */
    json_t *config; /* config.json with the overrides put in; owned */
    HeadArch head;
    const char *prefix; /* of the body's modules in the task's class; of the bare model "" */
    int64_t source_layers; /* of a model of two stacks (an encoder that reads, a decoder that writes): the first blocks,
                              which are the encoder's; 0: there is one stack */
    int64_t start_id; /* the token that a target begins behind, with two stacks */
    int64_t buckets, bucket_distance; /* of ROLE_BUCKETS: distances from there on share the last; 0: none */
    int64_t C, layers, H, D, F, V; /* width, blocks, heads, head size, feed-forward width, vocabulary (0: images) */
    int *physical; /* [layers] which layer's modules a block runs, where several run the same; NULL: each its own */
    int64_t table_width; /* of the embeddings' rows, where ROLE_EMBED_PROJECT widens them; 0: C */
    bool project_first; /* before their norm, not behind it and the dropout */
    int64_t K; /* key/value heads; H/K query heads share one. H*D need not be C */
    int64_t positions, types; /* longest sequence; rows of the token type table, 0: none */
    int64_t position_offset; /* row of the position table for the first token (RoBERTa: pad_id + 1; OPT: 2) */
    bool padding_masked; /* rows of padding are 0 where they come in, and see all rows of theirs alike (DeBERTa) */
    bool padding_stands; /* a pad_id among the tokens has the row before that, and is not counted (RoBERTa) */
    NormKind norm;
    bool norm_bare; /* layer norms have no bias */
    bool gain_from_one; /* norms multiply by 1 + their weight */
    bool pre_norm; /* x += f(norm(x)) instead of x = norm(x + f(x)); where a sublayer has no norm before it, f(x) */
    bool side_by_side; /* and attention and MLP read the same x: x += f(norm1(x)) + g(norm2(x)) */
    bool gated; /* MLP with ROLE_FF_GATE */
    bool causal;
    bool layers_chosen; /* by model_config: files may hold more */
    int64_t *
        windows; /* [layers]: row i sees keys above i - window, and, not causal, below i + window; 0: all. NULL: all 0 */
    bool rope; /* rotary positions (arch_rope) instead of a table */
    int64_t rotated; /* of a head's D the first that turn; 0: all */
    bool rope_neighbours; /* pairs are (2j, 2j + 1), not (j, j + half) */
    int8_t *rope_sets; /* [layers] the set of frequencies a layer turns by, or ROPE_STANDS; NULL: all by set 0 */
    Alibi alibi;
    double *scales; /* [layers] of the attention's scores */
    int64_t score_furthest; /* from this distance on all have the last rows of ROLE_SCORE_TABLE */
    bool distance_keys, distance_queries; /* scores have terms q . k(distance), k . q(distance) */
    int64_t distance_span, distance_buckets; /* ROLE_DISTANCE has 2 span rows; buckets 0: a distance each */
    int64_t distance_furthest; /* of buckets */
    int64_t conv_kernel; /* of ROLE_CONV, an odd number */
    Activation conv_act;
    double score_cap; /* scores become cap tanh(s / cap), before any is hidden; 0: none */
    bool qkv_grouped; /* rows of ROLE_QKV: of every key head its heads of q, then k, then v; else q | k | v */
    double embed_scale; /* of the words' rows */
    bool embed_scale_behind; /* behind the noise of training, too */
    double residual_scale; /* of what a sublayer adds to the stream */
    double logit_scale, logit_cap; /* of the vocabulary: scale first; cap 0: none */
    double norm_eps, initializer_range;
    Activation act;
    double embed_dropout, hidden_dropout, attention_dropout;
    double final_dropout; /* behind final norms */
    bool attention_stays; /* hidden_dropout is of what the MLP gives alone */
    bool mlp_stays; /* or of what attention gives alone */
    double inner_dropout; /* of what goes into ROLE_FF_DOWN */
    int64_t image_size, patch, channels; /* 0: texts */
    int64_t pad_id, bos_id, eos_id; /* -1: none */
    int64_t padding_row; /* of the word table, without a gradient (padding_idx); -1: none */
    bool tied; /* lm_head and the word table are one tensor */
    Module *modules; /* in named_modules order */
    int module_count;
} ModelArch;

/* `model` of a run file -> folder: itself when it is one, else the snapshot of
 * that hub name in the local cache (HF_HUB_CACHE, else HF_HOME/hub, else
 * ~/.cache/huggingface/hub; refs/main or the newest snapshot). Owned by the
 * caller; NULL with what was looked at in the error. */
MUST_USE char *model_find(const char *model, Err *err);

/* The task of a class of Transformers ("BertForTokenClassification"); false: of none here. */
bool arch_class_task(const char *class_name, TaskType *task);

/* All there are, by i from 0 on; NULL behind the last. */
const Family *arch_family_at(int i);

/* Of a config.json's model_type; NULL: none here. */
const Family *arch_family(const char *model_type);

/* Reads FOLDER/config.json, puts `overrides` in, checks everything it needs.
 * labels: names or, where empty, `label_count`, else config.json's id2label
 * (which may be only LABEL_0..: labels_known is then false), else 2. */
MUST_USE ModelArch *arch_open(const char *folder, const json_t *overrides, TaskType task, const StringList *labels,
                              int64_t label_count, ProblemType problem, Err *err);
void arch_close(ModelArch *arch);

/* Of a task that embeds: how. pooling and normalize are resolved. */
void arch_embed(ModelArch *arch, const EmbedHead *embed);

/* Its labels are those of these tasks, one behind the other (config_tasks.h); none: nothing changes. */
void arch_part_labels(ModelArch *arch, const DataTasks *tasks);

/* What `path` was called before the family's renames; owned; NULL: nothing else. */
char *arch_old_path(const ModelArch *arch, const char *path);

/* The module with this role in this layer (-1 outside), or NULL. */
const Module *arch_module(const ModelArch *arch, int layer, Role role);
int arch_module_index(const ModelArch *arch, int layer, Role role); /* -1: none */

/* Of a head's D those that turn, an even number. */
int64_t arch_rotated(const ModelArch *arch);

/* The set of frequencies that a layer turns by; ROPE_STANDS: none. */
int arch_rope_set(const ModelArch *arch, int64_t layer);

/* Rotary positions of a set for sequences of up to `length` tokens: angle of position t, pair j is
 * t * inverse[j], j < R/2 (R: arch_rotated; pairs are (j, j + R/2), or neighbours); cosines and sines are multiplied
 * by the return value. Depends on length only for rope_type "dynamic" and "longrope".
 * Source: modeling_rope_utils.py. */
double arch_rope(const ModelArch *arch, int set, int64_t length, double *inverse);

/* Whether all sequences of a batch turn as the longest of them does ("longrope"), not each by its own length. */
bool arch_rope_of_batch(const ModelArch *arch);

/* Width of the rows of the embeddings' tables. */
int64_t arch_table_width(const ModelArch *arch);

/* Which layer's modules a block runs. */
int arch_physical(const ModelArch *arch, int64_t layer);

/* The row of ROLE_SCORE_TABLE for a key that stands so far behind its query (below 0: before it). */
int64_t arch_score_row(const ModelArch *arch, int64_t distance);

/* The row of ROLE_DISTANCE for a query that stands so far behind its key (below 0: before it). */
int64_t arch_distance_row(const ModelArch *arch, int64_t distance);

/* The slope of each head, out[H] (Press et al. 2021). */
void arch_alibi_slopes(const ModelArch *arch, float *out);

/* The row of ROLE_BUCKETS for key - query (Raffel et al. 2020); both_ways: keys behind the query have rows of their
 * own. */
int64_t arch_bucket(const ModelArch *arch, bool both_ways, int64_t distance);

/* The first block of the stack that writes: behind source_layers. */
static inline bool arch_is_source(const ModelArch *arch, int64_t layer)
{
    return layer < arch->source_layers;
}

/* Parameters of the whole model with its head. */
int64_t arch_parameters(const ModelArch *arch);

/* Of config.json with the overrides, but what says nothing about the numbers (who saved it, names of
 * labels, the dtype of the files). */
uint64_t arch_digest(const ModelArch *arch);

#endif
