/* rows - which rows of a data set are used, and which of them validation_split holds back.
 *
 * Threads: one. */
#ifndef WORKER_TRAIN_ROWS_H
#define WORKER_TRAIN_ROWS_H

#include "worker/data/pictures.h"

/* Rows [0, count), or, of a set of images, those with a good one. Owned by the caller. */
uint32_t *rows_usable(const Dataset *data, const Pictures *pictures, int64_t *count);

/* rows[0, count) of the data set in the order of dataset_split: those that are trained on, whose count it returns, then
 * those held back. Every data->columns of them are one example,
 * and stay together. Of questions, all windows of one are in the same part, and stand together. */
int64_t rows_split(uint32_t *rows, int64_t count, const Dataset *data, double share, uint64_t seed);

/* data.shots: rows[0, return value) are so many of each class, drawn from rows[0, count) in the order of torch's randperm at the
 * seed, and left in the order that they had. -1 with *err: a class has fewer. */
int64_t rows_of_classes(uint32_t *rows, int64_t count, const Dataset *data, const HeadArch *head, int64_t shots,
                        uint64_t seed, Err *err);

#endif
