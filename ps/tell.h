/* tell - what is said of a run to the person who started it: an evaluation in one short line, and at the
 * end three lines: how good, what it cost, where it is and what comes next.
 *
 * Threads: one. */
#ifndef PS_TELL_H
#define PS_TELL_H

#include "common/metrics/metrics.h"
#include "ps/run_state.h"

void tell_evaluation(const Run *run, const Figure *figures, int count);

/* Behind run_finish. */
void tell_end(const Run *run);

#endif
