/* layouts - the numbers of stages that a run's nodes can hold its model in, each with what it takes (layout.h), and which
 * of them is best. For `lora plan`, and for a job whose parallel.pipeline is auto.
 *
 * Owner: whoever asked. Threads: any. */
#ifndef WORKER_TRAIN_LAYOUTS_H
#define WORKER_TRAIN_LAYOUTS_H

#include "worker/train/layout.h"

enum { LAYOUTS_MOST = 64 };

/* Zeroed is empty. */
typedef struct Layouts {
    RunLayout layout[LAYOUTS_MOST]; /* [count], by number of stages; owned */
    int count;
    int chosen; /* the fastest that fits; of those that are about as fast, the one of fewest stages; -1: none fits */
} Layouts;

/* All that divide the machine's nodes, or parallel.pipeline alone. False with *err: there is none. */
MUST_USE bool layouts_of(Layouts *layouts, const Config *config, const LayoutMachine *machine, const ModelArch *arch,
                         const SlotTable *table, Err *err);
void layouts_release(Layouts *layouts);

/* Stages that parallel.pipeline: auto stands for: one where a node has room for all of the model, else those of the
 * chosen layout. 0 with *err: none has room; which says how much the best takes. */
int layouts_auto(const Layouts *layouts, const LayoutMachine *machine, Err *err);

#endif
