/* settings - what the run file says, as the options of the modules below.
 *
 * Owner: the Config, whose texts the options borrow. Threads: any. */
#ifndef WORKER_TRAIN_SETTINGS_H
#define WORKER_TRAIN_SETTINGS_H

#include "worker/data/dataset.h"
#include "worker/eval/spans.h"
#include "worker/model/model.h"

/* How the files of a run are read; borrows the config and the list. */
DatasetOptions settings_data(const Config *config, const StringList *files);

/* QUESTION_ANS: how answers are chosen. */
SpansOptions settings_spans(const Config *config);

/* Of training and of evaluations. */
LossOptions settings_loss(const Config *config);

#endif
