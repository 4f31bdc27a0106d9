/* opened - a model that can be computed: what `adapted` has of it, its tokenizer, and its weights where the caller wants
 * them.
 *
 * Owner: a job, a session. Threads: one while it opens, const afterwards. */
#ifndef WORKER_OPEN_OPENED_H
#define WORKER_OPEN_OPENED_H

#include "common/slots/adapted.h"
#include "worker/model/weights.h"
#include "worker/tokenizer/tokenizer.h"

/* Zeroed is empty. */
typedef struct Opened {
    Adapted adapted;
    Tokenizer *tokenizer; /* NULL: a model of images */
    Stage stage; /* what of the model is held */
    Weights weights; /* of the stage */
} Opened;

/* All but the weights' data; the files are open. What was opened is the caller's to release, on failure too. */
MUST_USE bool opened_open(Opened *opened, const AdaptedOptions *options, Err *err);

/* The same, of stage `index` of `count`; not to be moved then. */
MUST_USE bool opened_open_stage(Opened *opened, const AdaptedOptions *options, int index, int count, Err *err);
void opened_release(Opened *opened); /* not data */

/* Loads share `part` of `parts` into data[weights.bytes], which is lent until the release. */
MUST_USE bool opened_load(Opened *opened, void *data, int part, int parts, Err *err);

/* What of the base's files is this share's to name (weights_digest); the files are open. */
uint64_t opened_digest(Opened *opened, int part, int parts);

/* Behind the load of all parts, and before anybody computes: takes from the matrices what the adapter of `lora` began
 * with, where that came from them (common/slots/inits.h); every parts-th module from `part` on. */
MUST_USE bool opened_shift(Opened *opened, const LoraConfig *lora, uint64_t seed, int part, int parts, Err *err);

#endif
