/* resume - lora_state.json: what of a run goes on counting, and whose it is. `own` is one that was read, `trainer`
 * the trainer_state.json beside it; both json_decref.
 *
 * Threads: one. */
#ifndef PS_RESUME_H
#define PS_RESUME_H

#include "ps/run_state.h"

#define RESUME_FILE "lora_state.json"

typedef struct FileDigest {
    const char *name;
    uint64_t digest;
} FileDigest;

MUST_USE bool resume_write(const Run *run, const json_t *trainer, const char *folder, const FileDigest *files,
                           int count, Err *err);
MUST_USE json_t *resume_open(const char *folder, Err *err); /* NULL: not there, or not whole */
MUST_USE json_t *resume_open_trainer(const json_t *own, const char *folder, Err *err);
json_t *resume_counts(const Run *run); /* what goes on counting, as resume_take_state reads it; json_decref */
const char *resume_foreign(const Run *run, const json_t *own); /* NULL: it is this run's; else why not */
MUST_USE bool resume_is_whole(const json_t *own, const char *folder, const char *name, uint64_t digest, Err *err);
MUST_USE bool resume_take_kept(Run *run, const json_t *own, Err *err); /* AdaLoRA: which triplets, with the values */
MUST_USE bool resume_take_state(Run *run, const json_t *own, Err *err); /* all but the history */

/* Of a run that is complete: its id into *run, what its first worker had, how it was cut and how long it was. */
MUST_USE bool resume_identify(Run *run, int64_t *M, int64_t *steps, const json_t *own, Err *err);
MUST_USE bool resume_facts(HelloFacts *facts, const json_t *own, Err *err);

#endif
