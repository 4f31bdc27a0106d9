/* merged_model - a base and the adapter that is to be merged into it, opened for a command that writes what comes out.
 *
 * Owner: a command. Threads: one. */
#ifndef LAUNCH_MERGED_MODEL_H
#define LAUNCH_MERGED_MODEL_H

#include "common/config/options.h"
#include "common/slots/adapted.h"
#include "common/slots/merged.h"

/* Zeroed is empty. */
typedef struct MergedModel {
    Config config; /* of the run, else of the adapter alone */
    LoraConfig lora; /* read from the adapter */
    Adapted adapted; /* files open */
    float *values; /* [adapted.table->size], owned; NULL: a whole model */
    SavedModel saved;
    Merged merged;
} MergedModel;

typedef struct MergedOptions {
    const char *adapter; /* its folder */
    const char *model; /* its base; NULL: the one that it names */
    bool whole; /* `adapter` may be a model without one: its numbers are taken as they are */
    bool other_base; /* which need not be the one that it was trained on */
    Dtype dtype; /* as saved_open has it */
    const Arguments *given; /* keys of the command line */
} MergedOptions;

/* Release it on failure, too. */
MUST_USE bool merged_model_open(MergedModel *m, const MergedOptions *options, Err *err);
void merged_model_release(MergedModel *m);

/* What was merged, a line each, when everything is written. */
void merged_model_tell(const MergedModel *m, Text *out);

#endif
