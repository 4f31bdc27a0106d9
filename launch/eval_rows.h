/* eval_rows - what `lora eval` measures on: named files, or the rows that validation_split held back, which must be
 * those that the adapter's run held back.
 *
 * Owner: cmd_eval.c. Threads: one. */
#ifndef LAUNCH_EVAL_ROWS_H
#define LAUNCH_EVAL_ROWS_H

#include "common/config/options.h"
#include "worker/data/pictures.h"

typedef struct EvalRows {
    const StringList *files; /* of the configuration, lent */
    const char *key; /* of the run file, that names them */
    double share; /* of the rows, that was held back from training; 0: all rows */
    uint64_t seed; /* of that split */
    uint32_t *row; /* [count], owned */
    int64_t count, all;
} EvalRows;

/* The run that an adapter is of. */
typedef struct EvalRun {
    const char *adapter; /* NULL: the base alone */
    bool other_base;
} EvalRun;

/* data.test, else data.validation, else what validation_split holds back; but first what the command line names.
 * False with *err: nothing is named, or keys say other rows than the run held back. */
MUST_USE bool eval_rows_choose(EvalRows *rows, const Config *config, const Arguments *given, const EvalRun *run,
                               Err *err);

/* The rows of the opened data, said on stderr. False with *err: what the run held back of them cannot be told, as
 * they are not the data that it was trained on. */
MUST_USE bool eval_rows_take(EvalRows *rows, const Dataset *data, const Pictures *pictures, const Config *config,
                             const EvalRun *run, Err *err);
void eval_rows_release(EvalRows *rows);

#endif
