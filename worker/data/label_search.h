/* label_search - what the labels of training data are, for runs and models that do not say.
 *
 * Owner: the caller, of the names found. Threads: any. */
#ifndef WORKER_DATA_LABEL_SEARCH_H
#define WORKER_DATA_LABEL_SEARCH_H

#include "worker/data/dataset.h"

typedef struct LabelsFound {
    StringList names; /* sorted, as numbers when all are whole; owned. Empty: only `count` is known */
    int64_t count; /* labels; 0: no row has one */
    ProblemType problem; /* AUTO: one class a row (or tag, or image); MULTI_LABEL: rows have lists */
} LabelsFound;

/* Goes through the files of the options (LABELLED, WORDS, IMAGES). False with *err: a row that cannot be
 * read; labels that are all alike; numbers with decimals, which may be classes or values to learn: the user
 * has to say. `problem`: what the run says, or AUTO. Release *found in any case. */
MUST_USE bool label_search(LabelsFound *found, const DatasetOptions *options, ProblemType problem, Err *err);
void labels_found_release(LabelsFound *found);

#endif
