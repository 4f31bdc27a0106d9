/* rates - learning rate and weight decay of each slot: one rate for all and Trainer's decay, or LoRA+'s four groups
 * (peft/optimizers/loraplus.py): A and all else; tables of an adapted embedding, with a rate of their own; B and what
 * has one dimension, at ratio times the rate; of these, without decay, norms and what is called a bias.
 *
 * Owner: the run. Threads: any read. */
#ifndef PS_RATES_H
#define PS_RATES_H

#include "common/slots/slots.h"

typedef struct SlotRate {
    double times; /* the step's learning rate is multiplied with it */
    double weight_decay;
} SlotRate;

/* [table->count]; free() it. */
SlotRate *rates_new(const SlotTable *table, const TrainConfig *train);

#endif
