/* references - rows of a data set that ask the same: one text is written for them, beside all that they want.
 *
 * What a row asks are its tokens before the last stretch that is learnt; what it wants is the rest. So E2E's
 * rows of one meaning are the references of one text, as its authors measure.
 *
 * Owner: whoever evaluates with data.generate. Threads: const after opening. */
#ifndef WORKER_EVAL_REFERENCES_H
#define WORKER_EVAL_REFERENCES_H

#include "worker/data/dataset.h"

typedef struct References {
    const Dataset *data; /* borrowed */
    int64_t *next; /* [data->count] the next row of `rows` that asks the same; REFERENCES_LAST: none. Owned */
    bool *first; /* [data->count] no row of `rows` before it asks the same; within `next` */
} References;

enum { REFERENCES_LAST = -1 };

/* Of a language model's rows[count], which are all different; rows NULL: of all in order. */
MUST_USE bool references_open(References *references, const Dataset *data, const uint32_t *rows, int64_t count,
                              Err *err);
void references_release(References *references);

/* Tokens that the row asks with. */
int64_t references_prompt(const Dataset *data, int64_t row);

#endif
