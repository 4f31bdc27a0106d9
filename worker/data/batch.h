/* batch - rows of a data set laid end to end, as the model takes them. */
#ifndef WORKER_DATA_BATCH_H
#define WORKER_DATA_BATCH_H

#include "worker/data/dataset.h"
#include "worker/model/model.h"

/* Room for the largest; reused. Zeroed is empty. */
typedef struct BatchRoom {
    int64_t *start, *example;
    int32_t *ids, *types;
    float *goal;
} BatchRoom;

MUST_USE bool batch_room(BatchRoom *room, int64_t tokens, int64_t examples, int64_t goal_width, Err *err);
void batch_release(BatchRoom *room);

/* Borrows room until the next call. */
Batch batch_fill(BatchRoom *room, const Dataset *data, const uint32_t *rows, int64_t count);

#endif
