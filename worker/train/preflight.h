/* preflight - what can be known of a run before anything of it is started: is the model what it says
 * (common/model/base), can this machine compute as the run asks for,
 * is there anything to adapt, can its tokenizer or image processor be used, are the data there, with a first row
 * that can be learnt from, and can be kept encoded?
 *
 * For whoever starts a server together with its workers. Where server and workers are started
 * on different machines, each looks at what it needs: a server's machine need not hold data.
 *
 * Threads: one. Collective: no. */
#ifndef WORKER_TRAIN_PREFLIGHT_H
#define WORKER_TRAIN_PREFLIGHT_H

#include "common/config/config.h"

/* config: as the server gets it. Takes the labels that are found in the data, where they are wanted. */
MUST_USE bool preflight(Config *config, Err *err);

#endif
