/* labels - of a run whose file and model do not name any: then a worker does, who has data.
 *
 * Threads: one. */
#ifndef PS_LABELS_H
#define PS_LABELS_H

#include "common/base/err.h"

typedef struct Run Run;

/* Neither run file nor model name them. */
bool labels_wanted(const Run *run);

/* text: the run file with those that a worker found, which are the run's from then on. False: it is no run file of
 * ours, or the model cannot have such labels; nothing changed. */
MUST_USE bool labels_take(Run *run, const char *text, Err *err);

#endif
