/* slots - the trainable tensors of a run, by PEFT name, in one flat float buffer.
 *
 * Model shape + LoRA settings -> the slot table and its hash: the same in every
 * program, so that the buffer's layout never travels. Order: modules in
 * named_modules order, in each lora_A, lora_B, what a method adds (methods.h), bias, saved weight. The worker's
 * gradients, the server's values, moments and files all use these offsets.
 *
 * Matching follows PEFT (tuners_utils.check_target_module_exists,
 * other.py ModulesToSaveWrapper): see slots_match.c.
 *
 * Owner: whoever opened it; const afterwards. Threads: one opens, then any read. */
#ifndef COMMON_SLOTS_SLOTS_H
#define COMMON_SLOTS_SLOTS_H

#include "common/base/text.h"
#include "common/config/config.h"
#include "common/model/arch.h"
#include "common/tensor/safetensors.h"

typedef enum {
    SLOT_LORA_A, /* [r, in]; embedding: [r, rows]; convolution: [r, channels, k, k] */
    SLOT_LORA_B, /* [out, r]; embedding: [width, r]; convolution: [out, r, 1, 1] */
    SLOT_BIAS, /* [out]: a base bias that is trained, or a saved module's */
    SLOT_WEIGHT, /* a module in modules_to_save: the base's shape */
    SLOT_LORA_BIAS, /* [out]: of B */
    SLOT_TOKENS, /* [tokens, width]: rows of the word table */
    SLOT_MAGNITUDE, /* [out], DoRA's lengths of rows; embedding: [width]; convolution: [1, out, 1, 1] */
    SLOT_LORA_E /* AdaLoRA: [r, 1], W + scale B diag(E) A; its A and B of a convolution are [r, in], [out, r] */
} SlotKind;

typedef struct Slot {
    char *name; /* key in adapter_model.safetensors, or, of a whole model, in model.safetensors */
    char *old_name; /* in adapters from before the family's renames; NULL: the same */
    SlotKind kind;
    int module; /* index in arch->modules */
    int dims;
    int64_t dim[4]; /* in memory, row-major */
    bool transposed; /* files hold dim[1], dim[0] (a Conv1D that is trained whole) */
    int64_t offset, count; /* floats in the flat buffer; offset a multiple of 16 */
    bool decay; /* AdamW's weight_decay applies (Trainer's rule) */
} Slot;

/* What is trainable of one module; -1: nothing. Indices into slots. */
typedef struct ModuleSlots {
    int a, b, e, lora_bias, magnitude, bias, weight;
    int tokens; /* rows of the word table, and of a head that is tied to it */
    int64_t r;
    int64_t triplet; /* with e: its first of the table's triplets, r of them */
    float scale; /* of B A: alpha / r, or what a method makes of them */
} ModuleSlots;

/* Of a module of which nothing is trained. */
#define MODULE_SLOTS_NONE                                                                                              \
    {                                                                                                                  \
        .a = -1, .b = -1, .e = -1, .lora_bias = -1, .magnitude = -1, .bias = -1, .weight = -1, .tokens = -1            \
    }

/* A frozen tensor that PEFT puts into the adapter all the same: the table under a
 * LoRA on embed_tokens or lm_head. */
typedef struct SavedBase {
    char *name;
    int module;
} SavedBase;

typedef struct SlotTable {
    const ModelArch *arch; /* borrowed */
    Slot *slots;
    int count;
    SavedBase *bases;
    int base_count;
    ModuleSlots *modules; /* [arch->module_count] */
    bool whole; /* every weight is trained: names and files are a model's, not an adapter's */
    int64_t *tokens; /* ids [token_count] of the words' rows that are trained, owned */
    int64_t token_count;
    int64_t size; /* floats in the flat buffer, padding included (padding stays 0) */
    int64_t trainable; /* parameters without padding */
    int64_t triplets; /* AdaLoRA: rows of A with their E and column of B, of all modules */
    uint64_t hash; /* of every name, shape, offset, decay flag, scale */
    char **targets; /* what adapter_config.json's target_modules says, sorted, owned;
                             in today's names, whatever lora.target_modules says */
    int target_count;
} SlotTable;

/* NULL with *err: nothing is left to adapt, a list entry of a run matches nothing (names
 * near misses; PEFT ignores it in silence, we do for published adapters only), rank above
 * what the module allows is fine. SEQ_CLS and
 * TOKEN_CLS add "classifier" and "score" to modules_to_save, as PEFT does.
 * Names of target_modules and exclude_modules may be those of before a rename. */
MUST_USE SlotTable *slots_open(const ModelArch *arch, const LoraConfig *lora, Err *err);
void slots_close(SlotTable *table);

/* First values: init_lora_weights for A and B (inits.h), the base's own values for
 * biases and saved modules (a new head: N(0, initializer_range), bias 0), from counters keyed by seed and slot
 * name. A head that nothing holds and nothing trains is an error; or, with lora->init_adapter, that
 * folder's tensors (old and new names understood; missing, unexpected and
 * wrongly shaped ones are errors that name them; with lora->other_head a head of another shape begins anew).
 * values[0, table->size). */
MUST_USE bool slots_init(float *values, const SlotTable *table, const ModelArch *arch, const LoraConfig *lora,
                         uint64_t seed, Err *err);

/* FOLDER/adapter_model.safetensors; where it is not, the error says how to make it of what is. */
MUST_USE SafeTensors *slots_open_adapter(const char *folder, Err *err);

/* values[0, size) <- FOLDER/adapter_model.safetensors, strictly. A table that came
 * along has to be the model's own. */
MUST_USE bool slots_read_adapter(float *values, const SlotTable *table, const char *folder, Err *err);

/* The same, but a new head that has another shape there stays as it is in `values`. */
MUST_USE bool slots_read_body(float *values, const SlotTable *table, const char *folder, Err *err);

/* What of an adapter goes into a file; lent. */
typedef struct AdapterForm {
    const float *values; /* [table->size] */
    const float *first; /* the values that the run began with, where they were taken off the base (inits_shift): the
                           file is a plain LoRA of rank 2 r that takes them off; NULL: nothing was */
    const bool *kept; /* [table->triplets] AdaLoRA: which are in the file, as rank_pattern says; NULL: all */
    int64_t total_step; /* AdaLoRA: where lora.total_step says none */
} AdapterForm;

/* FOLDER/adapter_model.safetensors and adapter_config.json, as PEFT writes them. */
MUST_USE bool slots_write_adapter(const char *folder, const AdapterForm *form, const SlotTable *table,
                                  const LoraConfig *lora, const char *model_name, Err *err);

/* The folder of what is trained, as a run writes it: of an adapter (slots_write_adapter), or of a model that is trained
 * whole (common/model/model_folder, for which the base has to be there). exact: as F32, to go on from; else a model's
 * tensors have the dtypes of the base's. model_name: the base. */
MUST_USE bool slots_write(const char *folder, const AdapterForm *form, const SlotTable *table, const LoraConfig *lora,
                          const char *model_name, bool exact, Err *err);

/* values[0, size) out of such a folder, strictly. */
MUST_USE bool slots_read(float *values, const SlotTable *table, const char *folder, Err *err);

/* Its file of values. */
const char *slots_file(const SlotTable *table);

/* FOLDER/adapter_config.json, whole; json_decref it. NULL with *err set; a folder without one is told so. */
MUST_USE json_t *adapter_config_open(const char *folder, Err *err);

/* A run's LoRA settings read back from an adapter's adapter_config.json, for
 * eval and predict without a run file. Release with lora_config_release. */
MUST_USE bool lora_config_read(LoraConfig *lora, const char *folder, Err *err);
void lora_config_release(LoraConfig *lora);

/* `lora targets`: every module that is or could be adapted, shapes, shares, near misses. */
void slots_describe(const SlotTable *table, const ModelArch *arch, Text *out);

#endif
