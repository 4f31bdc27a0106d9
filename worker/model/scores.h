/* scores - what heads add to the scores of attention (pass.h): slopes, the rows of a table that all blocks share, or those
 * of a table of each stack.
 *
 * Owner: the Model. Threads: its caller's one. */
#ifndef WORKER_MODEL_SCORES_H
#define WORKER_MODEL_SCORES_H

#include "worker/model/model_parts.h"

void scores_layout(Model *model, Layout *layout);

/* All that values do not change. */
void scores_fill(Model *model);

/* The shared table's, by the values in the pass; and from their gradient to its own. */
void scores_beside(Model *model, const Model *base); /* of a model beside another, which has the room */
void scores_bind(Model *model);
void scores_pull(const Model *model);

#endif
