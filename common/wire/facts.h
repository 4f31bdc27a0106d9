/* facts - what all who compute a run must have alike, and the number that names it.
 *
 * Threads: any. */
#ifndef COMMON_WIRE_FACTS_H
#define COMMON_WIRE_FACTS_H

#include "common/wire/message.h"

/* What is computed in a run: its configuration (config_digest), model, data, and how they are cut.
 * Server and workers each take it from what they have; never 0, which stands for "not known yet". */
uint64_t facts_plan(const HelloFacts *facts, uint64_t configuration, int64_t micro_batches);

/* "x86-64-v3/Zen" is of x86-64-v3: another core of that level, where the usual one cannot be used. */
bool facts_of_level(const char *name, const char *level);

/* NULL when a worker with these facts computes the same as the one that the run began with, else a
 * sentence that says what differs, with both values and hosts; the caller's. */
char *facts_differ(const HelloFacts *worker, const HelloFacts *run);

#endif
