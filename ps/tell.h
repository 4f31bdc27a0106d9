/* tell - what is said of a run to the person who started it: an evaluation in one short line, and at the
 * end three lines: how good, what it cost, where it is and what comes next.
 *
 * Threads: one. */
#ifndef PS_TELL_H
#define PS_TELL_H

#include "common/base/text.h"
#include "common/metrics/metrics.h"
#include "ps/run_state.h"

void tell_evaluation(const Run *run, const Figure *figures, int count);

/* Behind run_finish. */
void tell_end(const Run *run);

/* "999 bytes", "1.2 kB", "34 MB": three digits at the most. */
void tell_bytes(Text *out, double bytes);
/* "12 s", "3 min 20 s", "2 h 5 min". */
void tell_time(Text *out, double seconds);
/* A word of a shell's command line, in quotes where it needs them. */
void tell_word(Text *out, const char *word);

#endif
