/* rates - learning rate and weight decay of each slot: one rate for all and Trainer's decay, or LoRA+'s four groups
 * (peft/optimizers/loraplus.py): A and all else; tables of an adapted embedding, with a rate of their own; B and what
 * has one dimension, at ratio times the rate; of these, without decay, norms and what is called a bias.
 *
 * Owner: the run. Threads: any read. */
#ifndef PS_RATES_H
#define PS_RATES_H

#include "common/optim/plateau.h"
#include "common/slots/slots.h"

typedef struct SlotRate {
    double times; /* the schedule's rate is multiplied with it */
    double weight_decay;
    double now; /* the learning rate of the step that is made */
} SlotRate;

/* [table->count]; free() it. */
SlotRate *rates_new(const SlotTable *table, const TrainConfig *train);

/* now, of each: highest, the schedule's rate, times the slot's share, reduced so many times (plateau.h). */
void rates_set(SlotRate *rates, int count, const Schedule *schedule, double highest, int64_t reduced);

#endif
