/* batch_room - rows of a data set laid end to end, as the model takes them.
 *
 * Owner: whoever holds the BatchRoom; a Batch borrows it until the next is filled. Threads: one a BatchRoom. */
#ifndef WORKER_DATA_BATCH_ROOM_H
#define WORKER_DATA_BATCH_ROOM_H

#include "worker/data/dataset.h"
#include "worker/model/batch.h"

/* Room for the largest; reused. Zeroed is empty. */
typedef struct BatchRoom {
    int64_t *start, *example;
    int64_t *real; /* of windows (questions.h) */
    int32_t *ids, *types, *token_goal;
    uint32_t *row; /* as example */
    float *goal, *pixels;
} BatchRoom;

/* The most that a batch to come holds. */
typedef struct BatchSize {
    int64_t tokens, examples, goal_width;
    int64_t pixels; /* floats of an image; 0: texts */
} BatchSize;

MUST_USE bool batch_room(BatchRoom *room, const BatchSize *size, Err *err);
void batch_release(BatchRoom *room);

/* Borrows room until the next call. width: rows of windows are padded to it; 0, and of others: to nothing. Images have no pixels yet (pictures.h fills them in). */
Batch batch_fill(BatchRoom *room, const Dataset *data, const uint32_t *rows, int64_t count, int64_t width);

#endif
