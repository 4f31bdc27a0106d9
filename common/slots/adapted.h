/* adapted - a model and what is trained of it: its description, the slot table, its files. The server, the workers
 * and whoever only asks open it here, so that all mean the same.
 *
 * Owner: whoever opened it. Threads: const after opening. */
#ifndef COMMON_SLOTS_ADAPTED_H
#define COMMON_SLOTS_ADAPTED_H

#include "common/slots/slots.h"
#include "common/tensor/safetensors.h"

typedef struct AdaptedOptions {
    const char *model; /* folder or hub name */
    const json_t *model_config; /* put over config.json; NULL: nothing */
    TaskType task;
    const StringList *labels; /* may be empty */
    int64_t label_count; /* where labels are empty; 0: from the model */
    ProblemType problem;
    double label_smoothing; /* of a loss that has to be one of classes */
    const json_t *class_weights; /* of that loss; may be NULL */
    EmbedHead embed; /* of a task that embeds; zeroed: as the folder says */
    const DataTasks *tasks; /* whose classes the labels are; NULL, or none: one task's */
    Precision precision; /* of what is not trained */
    const LoraConfig *lora; /* NULL: no slot table */
    const char *lora_from; /* folder that `lora` was read from, said where it does not fit; NULL: a run file */
} AdaptedOptions;

/* Zeroed is empty. */
typedef struct Adapted {
    ModelArch *arch;
    SlotTable *table; /* NULL: without LoRA */
    SafeTensors *files; /* NULL: not open */
} Adapted;

/* As the run file says; borrows it. */
AdaptedOptions adapted_of(const Config *config);

/* What a run file says of embeddings. */
EmbedHead adapted_embed(const Config *config);

/* Description and slot table. On failure *adapted is empty. */
MUST_USE bool adapted_open(Adapted *adapted, const AdaptedOptions *options, Err *err);
void adapted_release(Adapted *adapted); /* safe twice */

/* The tensors, as they are; base_check and weights_plan see whether they are the model's. */
MUST_USE bool adapted_open_files(Adapted *adapted, Err *err);
void adapted_close_files(Adapted *adapted); /* a mapping of them all, which nobody needs once they are loaded */

/* Of all that decides the numbers of the base: weights and config.json. The files are open. */
uint64_t adapted_digest(const Adapted *adapted);
uint64_t adapted_digest_with(const Adapted *adapted, uint64_t files); /* safetensors_digest is known */

#endif
