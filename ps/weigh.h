/* weigh - is a push to be believed? What train.on_nan says of one whose gradient or loss is absurd (common/slots/absurd):
 *
 *   stop        the run ends, with 5
 *   skip        it counts; a step whose sum is absurd is not applied (advance.h)
 *   quarantine  its worker is refused, and others compute the pieces; when theirs are absurd, too, it is not the
 *               machine's fault, and the run ends
 *
 * Each time it is said who sent it, and of which tensor and micro-batches.
 *
 * Threads: the server's. */
#ifndef PS_WEIGH_H
#define PS_WEIGH_H

#include "ps/core.h"

typedef struct Run Run;

PushVerdict weigh_push(Run *run, const PushSum *push, const char **text);

/* NULL, or why the sums of a whole step cannot be applied; the caller's. */
char *weigh_step(const Run *run, const StepSums *sums);

#endif
