/* class_weights - train.class_weights: what the loss of a class counts, as torch.nn.CrossEntropyLoss(weight=) has it.
 *
 * In the run file: a list in the order of the labels; a map of all labels, by their names or their numbers from 0; or
 * `balanced`, which is counted in what is trained on.
 *
 * Threads: any. */
#ifndef COMMON_MODEL_CLASS_WEIGHTS_H
#define COMMON_MODEL_CLASS_WEIGHTS_H

#include "common/model/arch.h"

bool class_weights_are_given(const json_t *given); /* NULL and an empty map are not */
bool class_weights_are_balanced(const json_t *given);

/* Do such weights mean something here? False: the goals are no classes, a label is missing or unknown, a weight is no number
 * from 0, or all are 0. Labels that are still to be found in the data are not asked for. */
MUST_USE bool class_weights_check(const json_t *given, const ModelArch *arch, Err *err);

/* weights[labels] <- a list or map that class_weights_check has taken. */
void class_weights_read(double *weights, const json_t *given, const ModelArch *arch);

/* weights[labels] <- scikit-learn's `balanced`: n / (labels * count[l]), n the sum of counts. False: a label has none. */
MUST_USE bool class_weights_balance(double *weights, const int64_t *count, const ModelArch *arch, Err *err);

#endif
