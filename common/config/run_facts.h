/* run_facts - what a run's folder, or a checkpoint of it, says of what the adapter was trained on, and of the adapter
 * itself: the numbers of lora_state.json, the digest of summary.json.
 *
 * Threads: any. */
#ifndef COMMON_CONFIG_RUN_FACTS_H
#define COMMON_CONFIG_RUN_FACTS_H

#include "common/base/err.h"

#include <stdint.h>

/* Zeroed: nothing is known. */
typedef struct RunFacts {
    bool known;
    uint64_t base; /* adapted_digest of the base */
    uint64_t data; /* digest of the training data, as they were encoded */
    int64_t eval_examples; /* rows that evaluations took */
} RunFacts;

/* An adapter of others, or one that was copied away from its run, says nothing: facts->known is false. False with
 * *err: lora_state.json is there, and damaged. */
MUST_USE bool run_facts_read(RunFacts *facts, const char *adapter, Err *err);

/* Is adapter_model.safetensors another file than the run wrote? A sentence, the caller's; NULL: it is the run's, or
 * nothing is known. */
char *run_facts_exchanged(const char *adapter);

#endif
