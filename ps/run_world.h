/* run_world - what run.c and run_world.c share: records of the log, and the changes they stand for.
 */
#ifndef PS_RUN_WORLD_H
#define PS_RUN_WORLD_H

#include "ps/run_state.h"

typedef struct WalHead {
    uint64_t id;
    uint64_t configuration; /* config_digest */
    uint64_t initial; /* XXH3 of the first values */
    int64_t base; /* version that the log starts from */
} WalHead;

typedef struct WalBegin {
    HelloFacts facts;
    int64_t M, total; /* steps of the run, when this log was started */
} WalBegin;

typedef struct WalStep { /* the gradient's sums follow */
    int64_t step, count, tokens;
    double loss, seconds;
} WalStep;

/* total: steps of the run; 0: as its configuration says. */
void run_take_facts(Run *run, const HelloFacts *facts, int64_t M, int64_t total);
int64_t run_length(const Run *run); /* steps that the configuration asks for, once the facts are taken */
void run_apply_step(Run *run, const WalStep *step, const float *gradient);
void run_take_evaluation(Run *run, json_t *entry); /* takes entry */

/* Appends to the log where it still can; a failure is said, and the run goes on without. */
void run_record(Run *run, WalType type, const WalPart *parts, int count, bool sync);

/* The log anew from the version that is reached, in place of the one that is there. */
MUST_USE bool run_start_log(Run *run, Err *err);

/* run_model.c: the model of the configuration, and, once its labels are known, the first values. Again for
 * a run that has begun, whose run.yaml says the labels. */
MUST_USE bool run_open_model(Run *run, Err *err);
MUST_USE bool run_reopen_model(Run *run, Err *err);

/* Renews run->text from the configuration and writes run.yaml. */
MUST_USE bool run_write_text(Run *run, Err *err);

/* going.c, in the order of opening. */
MUST_USE bool going_compare(Run *run, Err *err); /* with run.yaml; ERR_INPUT names the keys */
MUST_USE bool going_settle(Run *run, Err *err); /* behind the replay: the length of now */
MUST_USE bool going_complete(Run *run, Err *err); /* instead, where it is complete: stays so, or goes on */

#endif
