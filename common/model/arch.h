/* arch - what a model is, before any weight of it is read: config.json and the
 * family's description give its dimensions and the list of its modules.
 *
 * A family (BERT, later others) is a `Family`: a table of names, kinds and a
 * few choices; bert.c holds BERT's. Both programs need it: workers to compute,
 * the parameter server to lay out the adapter. Names are Transformers' module
 * paths in the head model ("bert.encoder.layer.0.attention.self.query").
 *
 * Owner: whoever opened it; const afterwards. */
#ifndef COMMON_MODEL_ARCH_H
#define COMMON_MODEL_ARCH_H

#include "common/base/err.h"
#include "common/config/config.h"

#include <stdint.h>

typedef enum {
    ACT_GELU,
    ACT_GELU_TANH,
    ACT_GELU_FAST,
    ACT_QUICK_GELU,
    ACT_RELU,
    ACT_SILU,
    ACT_TANH
} Activation;

typedef enum { MODULE_LINEAR, MODULE_EMBEDDING, MODULE_NORM } ModuleKind;

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
    ROLE_POOLER,
    ROLE_HEAD,
    ROLE_COUNT
} Role;

typedef struct Module {
    char *path; /* "bert.encoder.layer.0.attention.self.query" */
    ModuleKind kind;
    Role role;
    int layer;       /* -1: outside the blocks */
    int64_t out, in; /* LINEAR: weight [out,in]; EMBEDDING: [out rows, in width]; NORM: out = width,
                        in = 0 */
    bool bias;
    bool is_new; /* the head of the task: may be absent from the model's files */
} Module;

typedef struct Family {
    const char *model_type;             /* config.json's */
    const char *prefix;                 /* of the body's tensors; files may leave it out: "bert." */
    const char *const *default_targets; /* PEFT's, NULL-terminated; NULL: must be given */
    const char *task_class[4];          /* Transformers' class by TaskType, NULL: not offered */
} Family;

typedef struct ModelArch {
    const Family *family;
    char *folder;   /* resolved model folder */
    json_t *config; /* config.json with the overrides put in; owned */
    TaskType task;
    int64_t C, layers, H, D, F,
        V;                    /* width, blocks, heads, head size, feed-forward width, vocabulary */
    int64_t positions, types; /* rows of the position and token type tables */
    double norm_eps, initializer_range;
    Activation act;
    double hidden_dropout, attention_dropout, head_dropout;
    int64_t pad_id;
    int64_t labels;      /* outputs of the head */
    char **label_names;  /* [labels], owned */
    bool labels_known;   /* names came from run file or config.json, not "LABEL_0" */
    ProblemType problem; /* resolved, never AUTO */
    Module *modules;     /* in named_modules order */
    int module_count;
} ModelArch;

/* `model` of a run file -> folder: itself when it is one, else the snapshot of
 * that hub name in the local cache (HF_HUB_CACHE, else HF_HOME/hub, else
 * ~/.cache/huggingface/hub; refs/main or the newest snapshot). Owned by the
 * caller; NULL with what was looked at in the error. */
MUST_USE char *model_find(const char *model, Err *err);

/* Reads FOLDER/config.json, puts `overrides` in, checks everything it needs.
 * labels: names or, where empty, `label_count`, else config.json's id2label
 * (which may be only LABEL_0..: labels_known is then false), else 2. */
MUST_USE ModelArch *arch_open(const char *folder, const json_t *overrides, TaskType task,
                              const StringList *labels, int64_t label_count, ProblemType problem,
                              Err *err);
void arch_close(ModelArch *arch);

/* The module with this role in this layer (-1 outside), or NULL. */
const Module *arch_module(const ModelArch *arch, int layer, Role role);
int arch_module_index(const ModelArch *arch, int layer, Role role); /* -1: none */

/* Parameters of the whole model with its head. */
int64_t arch_parameters(const ModelArch *arch);

#endif
