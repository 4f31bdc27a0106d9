/* absurd - gradients that cannot be: not finite, or so large that AdamW's square of them is not.
 *
 * Threads: any; absurd_slot uses all of OpenMP's. */
#ifndef COMMON_SLOTS_ABSURD_H
#define COMMON_SLOTS_ABSURD_H

#include "common/slots/slots.h"

/* The root of the largest float: the square of what is larger is infinite. */
#define ABSURD 1.8446743e19

/* First slot with an entry that is not finite, or larger than ABSURD divided by `weight`; NULL: there is none.
 * sums[table->size]. */
const Slot *absurd_slot(const SlotTable *table, const float *sums, double weight);
bool absurd_loss(double sum, double weight);

#endif
