/* config - the run file: one table of keys, one struct of values.
 *
 * Every key of the run file is a row of `config_keys` (config_table.c): dotted
 * name, type, field, default as text, what is allowed, help. Defaults, the YAML
 * file and --key=value all go through the same parser and the same checks, and
 * each key remembers who set it, so that any later complaint can say
 * "run.yaml:12: lora.r". --help, --print-config and the comparison of two runs
 * are made from the same rows. Keys of later versions are in the table too and
 * are refused by name.
 *
 * Owner: a program's main; const after config_load. Modules below the commands
 * get options of their own, never Config. Threads: one while it is loaded, then any. */
#ifndef COMMON_CONFIG_CONFIG_H
#define COMMON_CONFIG_CONFIG_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/text.h"
#include "common/optim/schedule.h"

#include <stdint.h>

typedef enum {
    TASK_SEQ_CLS,
    TASK_TOKEN_CLS,
    TASK_CAUSAL_LM,
    TASK_IMAGE_CLS,
    TASK_SEQ_2_SEQ_LM,
    TASK_FEATURE_EXTRACTION,
    TASK_QUESTION_ANS,
    TASK_COUNT
} TaskType;
typedef enum { PROBLEM_AUTO, PROBLEM_SINGLE_LABEL, PROBLEM_REGRESSION, PROBLEM_MULTI_LABEL } ProblemType;
typedef enum { MODE_LORA, MODE_FULL } TrainMode;
typedef enum { BIAS_NONE, BIAS_ALL, BIAS_LORA_ONLY } BiasMode;
/* How A and B begin (common/slots/inits.h). Behind the last: INIT_PISSA_NITER + N rounds. */
typedef enum {
    INIT_TRUE,
    INIT_FALSE,
    INIT_GAUSSIAN,
    INIT_ORTHOGONAL,
    INIT_PISSA,
    INIT_OLORA,
    INIT_PISSA_NITER
} InitMode;
/* What matrices of the base are stored as, that nobody trains (worker/model/weights.h). */
typedef enum { PRECISION_FP32, PRECISION_BF16, PRECISION_INT8, PRECISION_NF4 } Precision;
/* FEATURE_EXTRACTION (common/model/embed.h): AUTO is what the model's folder says. */
typedef enum { POOLING_AUTO, POOLING_MEAN, POOLING_CLS, POOLING_LAST } Pooling;
typedef enum { NORMALIZE_AUTO, NORMALIZE_NO, NORMALIZE_YES } Normalize;
typedef enum { EMBED_NEGATIVES, EMBED_COSENT, EMBED_COSINE, EMBED_TRIPLET } EmbedLossKind;
typedef enum { DISTANCE_EUCLIDEAN, DISTANCE_COSINE } EmbedDistance;
typedef enum { WHEN_NO, WHEN_STEPS, WHEN_EPOCH } When;
typedef enum { PS_SYNC, PS_SSP, PS_ASYNC } PsMode; /* when an update is made (ps/rounds.h) */
typedef enum { WIRE_FP32, WIRE_BF16, WIRE_INT8 } WireDtype; /* of gradients that travel (common/slots/sums.h) */
typedef enum { ON_DISK_CONTINUE, ON_DISK_PAUSE, ON_DISK_STOP } OnDiskFull;
typedef enum { ON_NAN_STOP, ON_NAN_SKIP, ON_NAN_QUARANTINE } OnNan;
typedef enum { OPTIM_ADAMW, OPTIM_SGD } Optim;
/* What an outer step learns from an episode (worker/train/episode.h). */
typedef enum { META_NONE, META_REPTILE, META_FOMAML } MetaAlgorithm;

/* names[0, count), owned. */
typedef struct StringList {
    char **items;
    int count;
} StringList;

/* An ordered map from a pattern to a number (rank_pattern, alpha_pattern). */
typedef struct PatternMap {
    char **keys;
    double *values;
    int count;
} PatternMap;

/* How often the rows of several tasks come: as often as they are there, by a power of that, alike. */
typedef enum { SAMPLING_PROPORTIONAL, SAMPLING_TEMPERATURE, SAMPLING_EQUAL } TaskSampling;

/* One of `tasks`: its columns, its classes among all. */
typedef struct DataTask {
    char *name, *text, *text_pair, *label; /* owned; text_pair may be NULL */
    int64_t first, labels; /* in Config.labels */
    double weight; /* of its rows in the loss */
} DataTask;

/* Which of all labels are a task's: [begin, end). */
typedef struct TaskLabels {
    char *name;
    int64_t begin, end;
} TaskLabels;

/* The task that a label is of. */
const TaskLabels *task_of_label(const TaskLabels *tasks, int64_t label);

/* All of them (config_tasks.h); empty: the run has one task. */
typedef struct DataTasks {
    DataTask *items;
    int count;
    int *train_of, *validation_of; /* the task of each file of data.train, of data.validation */
} DataTasks;

typedef struct DataConfig {
    StringList train, validation, test; /* files, absolute */
    double validation_split; /* 0: none */
    TaskSampling sampling; /* of several tasks */
    double sampling_temperature;
    char *text, *text_pair, *label; /* text_pair may be NULL */
    char *prompt, *completion; /* CAUSAL_LM: both or neither (NULL); SEQ_2_SEQ_LM: source and target, both */
    char *messages; /* CAUSAL_LM; may be NULL */
    char *tokens, *tags; /* TOKEN_CLS */
    StringList columns; /* FEATURE_EXTRACTION: texts of a row, in the order of the loss */
    char *score; /* of a pair; NULL: none */
    char *question, *context, *answers; /* QUESTION_ANS */
    int64_t doc_stride; /* tokens that a window shares with the next */
    bool padded, impossible; /* pad_to_max_length, version_2_with_negative */
    int64_t n_best, longest_answer; /* n_best_size, max_answer_length */
    double null_threshold; /* null_score_diff_threshold */
    int64_t max_length;
    int64_t max_target_length; /* SEQ_2_SEQ_LM: tokens of a target; max_length is its source's */
    int64_t block_size; /* CAUSAL_LM on plain text, or of packs; -1: none */
    bool packing;
    char *template_text, *system; /* NULL: none */
    bool shuffle;
    int64_t limit; /* -1: all */
    int64_t shots; /* training rows of each class; -1: all */
    bool skip_bad_rows;
    bool random_crop, random_flip; /* IMAGE_CLS, while training */
    bool generate; /* evaluations also generate */
    int64_t max_new_tokens, top_k; /* top_k 0: all */
    bool do_sample;
    double temperature, top_p, repetition_penalty;
    StringList stop_strings;
} DataConfig;

typedef enum { METHOD_LORA, METHOD_ADALORA } MethodType;

/* AdaLoRA's own settings (peft, AdaLoraConfig). */
typedef struct AdaLora {
    int64_t init_r, target_r; /* triplets of a module: at the start, at the end on average */
    int64_t tinit, tfinal, deltaT; /* steps before the first mask, behind the last, between two */
    int64_t total_step; /* -1: those of the run */
    double beta1, beta2, orth_reg_weight;
} AdaLora;

typedef struct LoraConfig {
    TrainMode mode; /* train.mode: full has no LoRA, and the rest is as by default */
    MethodType method;
    AdaLora ada;
    json_t *rank_masks; /* AdaLoRA, of an adapter that was read: its rank_pattern, module.lora_E -> list of bools;
                           owned; NULL: all are there */
    int64_t r;
    double alpha, dropout;
    json_t *tokens; /* trainable_token_indices: a list, or {module: list}; NULL or empty: none; owned */
    bool use_rslora, use_dora, lora_bias; /* common/slots/methods.h */
    /* empty, with target_regex NULL and all_linear false: the family's default */
    StringList target_modules;
    char *target_regex; /* NULL: a list */
    bool all_linear;
    StringList exclude_modules;
    char *exclude_regex;
    StringList modules_to_save;
    int64_t *layers_to_transform; /* NULL: all layers */
    int layers_count;
    PatternMap rank_pattern, alpha_pattern;
    BiasMode bias;
    InitMode init;
    char *init_adapter; /* folder, NULL: none */
    bool other_head; /* ignore_mismatched_sizes: a head of other labels than init_adapter's begins anew */
    bool published; /* an adapter's own settings: names that mean nothing are no error, its tensors tell */
} LoraConfig;

/* FEATURE_EXTRACTION */
typedef struct EmbedConfig {
    Pooling pooling;
    Normalize normalize;
    EmbedLossKind loss;
    double scale, margin;
    EmbedDistance distance;
} EmbedConfig;

/* The same, and the rows that it is learnt from. */
typedef struct EmbedHead {
    EmbedConfig how;
    int64_t columns; /* texts of a row */
    bool scored; /* rows have a number */
    int64_t batch; /* rows whose losses are one, in evaluations too */
} EmbedHead;

typedef struct TrainConfig {
    char *output_dir;
    int64_t batch_size;
    double num_train_epochs;
    int64_t max_steps; /* -1: by epochs */
    double learning_rate, weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm;
    double label_smoothing; /* label_smoothing_factor */
    json_t
        *class_weights; /* a list, a map, or the text "balanced" (common/model/class_weights.h); owned; empty: none */
    double neftune_alpha; /* 0: off */
    double loraplus_lr_ratio; /* 0: plain; else LoRA+ (ps/rates.h) */
    double loraplus_lr_embedding, loraplus_weight_decay;
    RateKind schedule;
    json_t *schedule_options; /* lr_scheduler_kwargs, owned; may be empty */
    int64_t warmup_steps;
    double warmup_ratio;
    uint64_t seed;
    Precision precision;
    bool checkpointing; /* gradient_checkpointing */
    int64_t logging_steps;
    When eval_strategy;
    int64_t eval_steps; /* -1: logging_steps */
    When save_strategy;
    int64_t save_steps, save_total_limit; /* -1: no limit */
    bool load_best_model_at_end;
    char *metric_for_best_model;
    int64_t early_stopping_patience; /* -1: off */
    bool tensorboard; /* ps/tensorboard.h */
    OnNan on_nan; /* ps/weigh.h */
    Optim optim;
    EmbedConfig embed;
} TrainConfig;

/* Learning to learn over several tasks (config_meta.h). */
typedef struct MetaConfig {
    MetaAlgorithm algorithm;
    int64_t episodes; /* of a step */
    int64_t inner_steps; /* of an episode */
    double inner_learning_rate;
    Optim inner_optim;
} MetaConfig;

typedef struct PsConfig {
    char *address; /* NULL: loopback, free port */
    PsMode mode;
    int64_t staleness; /* PS_SSP: steps that are open behind the next one */
    WireDtype wire_dtype;
    bool shared_memory;
    double heartbeat, lease_timeout, patience;
    int64_t durable_every;
    int64_t log_steps; /* -1: auto */
    char *keys; /* folder (common/wire/keys.h); NULL: none */
    bool insecure;
    char *http; /* HOST:PORT; NULL: no status page */
    OnDiskFull on_disk_full; /* what follows when the log cannot be written, for whatever reason */
} PsConfig;

typedef struct ParallelConfig {
    int64_t threads; /* -1: cores of the node / ranks on it */
    char *arithmetic; /* "auto", "x86-64-v3", "x86-64-v3/Zen" */
    char *fingerprint; /* of it, 16 digits; NULL until the run begins */
    int64_t micro_batches; /* -1: auto */
    int64_t micro_batch_tokens; /* -1: auto (config_piece_tokens) */
    char *memory; /* NULL: what there is */
    int64_t data; /* ranks of a job that work side by side, on what they hold; -1: as many as there are */
    int64_t pipeline; /* stages of a replica; -1: auto */
} ParallelConfig;

typedef struct Config {
    char *model; /* folder or hub name as written; folders made absolute */
    json_t *model_config; /* object of overrides, owned; may be empty */
    TaskType task;
    StringList labels; /* names; empty: from model or data */
    int64_t label_count; /* 0: unknown */
    ProblemType problem_type;
    DataConfig data;
    json_t *tasks_given; /* map of names to data sets, owned; may be empty */
    DataTasks tasks; /* what it says */
    LoraConfig lora;
    TrainConfig train;
    MetaConfig meta;
    PsConfig ps;
    ParallelConfig parallel;
    char *source; /* the run file's path, or "" */
    char *notes; /* lines on names that stood for keys, or changed nothing */
    struct ConfigOrigin *origins; /* one a key: who set it; owned */
} Config;

/* Where a configuration comes from. Relative paths of the file are relative to
 * the file's folder; those of overrides, and of a text (which config_print
 * wrote with absolute ones), to the working directory. A relative `model` of a
 * text is a hub name. */
typedef struct ConfigSources {
    const char *file; /* run file; NULL: defaults and overrides only */
    /* YAML text instead of a file (a run sent by the PS); `file` then only names it */
    const char *text;
    /* "lora.r=16", "labels=a,b", "lora.rank_pattern={q: 4}"; the leading -- is gone */
    const char *const *overrides;
    int override_count;
} ConfigSources;

/* Reads, overrides, checks ranges and contradictions. Of data.validation and data.validation_split, one that an
 * override gives takes the place of the other in the file. eval_strategy is WHEN_NO
 * where nobody set it and there is no validation data; eval_steps follow
 * logging_steps where they matter. On failure *config is empty.
 * `config_release` is safe on zeroed memory. */
MUST_USE bool config_load(Config *config, const ConfigSources *sources, Err *err);
/* The same without the check of keys against each other: for what a worker's command line alone says. */
MUST_USE bool config_load_keys(Config *config, const ConfigSources *sources, Err *err);
void config_release(Config *config);

/* What a training run needs besides: training data and a folder for results.
 * (An evaluation does without.) */
MUST_USE bool config_check_training(const Config *config, Err *err);

/* The effective run file, every key, as YAML that config_load reads back to
 * the same values. Paths absolute. */
void config_print(const Config *config, Text *out);

/* A text as YAML, in quotes where it needs them. */
void config_print_text(const char *text, Text *out);

/* The value of one key, as config_print has it. */
void config_print_key(const Config *config, const char *key, Text *out);

/* Did somebody set it? Else it has its default. */
bool config_is_given(const Config *config, const char *key);

/* "run.yaml:12: lora.r", "--lora.r", or "lora.r (default)": for err_at. */
const char *config_where(const Config *config, const char *key, char *room, size_t size);
bool config_at_keys(const Config *config, const char *a, const char *b,
                    Err *err); /* of *err, which is set: both; false */

/* Of the keys that say how an adapter is made (lora.*, LoRA+'s) those with another value than by default: a line "KEY=DEFAULT"
 * each, which as overrides take them back. */
void config_plain_adapter(const Config *config, Text *out);

typedef enum {
    COMPARE_FOLDER, /* going on in a folder: all but what may be changed then (KEY_GOING, KEY_ALIKE) */
    COMPARE_WORKER, /* of a worker and its run: all but where model and data lie (their digests tell), and
                       what concerns the server alone (KEY_GOING) */
    COMPARE_GOING, /* only what may be changed when a run goes on */
    COMPARE_ROWS, /* only what decides which rows are held back (KEY_ROWS), but where they lie */
    COMPARE_READING /* only how rows are read and encoded, but where they lie */
} ConfigCompare;

/* True when none of the keys differ that are looked at (addresses, output_dir and liveness settings never
 * are). Else `out` lists them with both values: "lora.r (8 here, 16 there); ...", for COMPARE_GOING
 * "train.max_steps (16 before, now 8)". Long values are cut around where they part. */
bool config_same_run(const Config *here, const Config *there, ConfigCompare by, Text *out);

/* Of all keys that make a run, as they are printed, but those that are only known when it begins.
 * alike: with those that may change when it goes on, for all workers (KEY_ALIKE: its length, what is generated). */
uint64_t config_digest(const Config *config, bool alike);

/* What a run fixes when it begins (the micro-batches of `auto`, its arithmetic, labels found in the data), as
 * it stands in `begun`. */
MUST_USE bool config_take_begun(Config *config, const Config *begun, Err *err);

/* labels and problem_type of `from`, as far as `config` does not say. */
/* Tokens of a piece where they are not fixed yet. */
enum { CONFIG_PIECE_TOKENS = 4096 };
int64_t config_piece_tokens(const Config *config);

/* Takes the size of pieces that another has fixed. */
MUST_USE bool config_take_pieces(Config *config, const Config *from, Err *err);

/* Takes what each machine says for itself: its threads, its memory, its part of the model. */
MUST_USE bool config_take_own(Config *config, const Config *own, Err *err);

MUST_USE bool config_take_labels(Config *config, const Config *from, Err *err);

/* The rows, for --help: "key  default  allowed  help". */
void config_help(Text *out);

/* Of a metric: losses, perplexity and squared errors. (Trainer takes all but losses for the more the
 * better.) */
bool config_less_is_better(const char *metric);

/* Sets one key after loading (parallel.micro_batches: auto -> 8), checked. */
MUST_USE bool config_set(Config *config, const char *key, const char *value, Err *err);

/* Several at once, "KEY=VALUE" each: those that are only right together. */
MUST_USE bool config_set_all(Config *config, const char *const *overrides, int count, Err *err);

const char *config_task_name(TaskType task); /* "SEQ_CLS" */
bool config_is_language(TaskType task); /* what is learnt are words */

#endif
