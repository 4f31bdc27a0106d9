/* contenders - the ways of training that `lora compare` knows: a row each, of what it changes in a run file.
 *
 * Owner: none, a constant table. Threads: any. */
#ifndef LAUNCH_TRIALS_CONTENDERS_H
#define LAUNCH_TRIALS_CONTENDERS_H

#include "common/config/config.h"
#include "launch/command_words.h"

typedef struct Contender Contender;

/* NULL with *err: there is none of this name. */
const Contender *contender_find(const char *name, Err *err);
const char *contender_name(const Contender *contender);

/* "lora, dora, ...": all of them, for help. */
void contender_names(Text *out);

/* KEY=VALUE behind what is in `changes`: the run of `config` by this way. Of its LoRA keys stay those that the way knows
 * (rank, scale, modules); a rank of AdaLoRA is made from lora.r; every weight learns at a tenth of the rate. */
void contender_changes(const Contender *contender, const Config *config, CommandWords *changes);

#endif
