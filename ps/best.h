/* best - which evaluation is the best, and the checkpoint of it.
 *
 * Threads: one. */
#ifndef PS_BEST_H
#define PS_BEST_H

#include "ps/run_state.h"

void best_rank(Run *run, double figure, int64_t step); /* an evaluation that was made just now */
void best_rank_again(Run *run); /* from the history: by the metric, among what is kept where that counts */
bool best_is_due(const Run *run); /* this version is the best, has to be kept, and has no checkpoint */
void best_load(Run *run); /* the best values that are kept, when they are asked for */

#endif
