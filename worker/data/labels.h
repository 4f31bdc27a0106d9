/* labels - what the label of a row says, as numbers.
 *
 * A class is written as its name or as its number from 0. Only worker/data includes this.
 *
 * Owner: an index is its examples'. Threads: any; an index is one's. */
#ifndef WORKER_DATA_LABELS_H
#define WORKER_DATA_LABELS_H

#include "common/model/arch.h"
#include "worker/data/records.h"

/* The names in order, as there may be thousands of them and millions of rows. Zeroed: none yet. */
typedef struct LabelIndex {
    int32_t *order; /* [labels], owned */
} LabelIndex;
void label_index_release(LabelIndex *index);

/* Number of the class, the first of that name; -1 with *bad set: there is no such label. The index is made when
 * it is first needed. */
int64_t label_class(LabelIndex *index, const ModelArch *arch, const char *label, Err *bad);

/* Says that a row has none. Returns false. */
bool label_missing(Err *bad);

/* Floats of goal that an example has: 1, or the labels of a multi-label problem; of a span 2, its ends; 0 where goals are
 * a token's. */
int64_t label_width(const ModelArch *arch);

/* The goal of a LABELLED or IMAGES row into goal[label_width]. */
MUST_USE bool label_goal(float *goal, LabelIndex *index, const ModelArch *arch, const Record *record, Err *bad);

/* The same where labels are those of several tasks and the row is of this one: its names and numbers are among its own. */
MUST_USE bool label_task_goal(float *goal, LabelIndex *index, const ModelArch *arch, const DataTask *task,
                              const Record *record, Err *bad);

#endif
