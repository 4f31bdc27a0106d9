/* labels - what the label of a row says, as numbers.
 *
 * A class is written as its name or as its number from 0. Only worker/data includes this.
 *
 * Threads: any. */
#ifndef WORKER_DATA_LABELS_H
#define WORKER_DATA_LABELS_H

#include "common/model/arch.h"
#include "worker/data/records.h"

/* Number of the class; -1 with *bad set: there is no such label. */
int64_t label_class(const ModelArch *arch, const char *label, Err *bad);

/* Floats of goal that an example has: 1, or the labels of a multi-label problem; 0 where goals are a
 * token's. */
int64_t label_width(const ModelArch *arch);

/* The goal of a LABELLED or IMAGES row into goal[label_width]. */
MUST_USE bool label_goal(float *goal, const ModelArch *arch, const Record *record, Err *bad);

#endif
