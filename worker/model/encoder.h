/* encoder - of a model of two stacks the one that reads: from a batch whose sequences are a source and a target each to
 * what the other stack attends to (pass->memory), and back.
 *
 * A batch has both one behind the other, told apart by Batch.types. They are parted here, and from then on the model's
 * own batch is that of the targets.
 *
 * Owner: the Model. Threads: its caller's one. */
#ifndef WORKER_MODEL_ENCODER_H
#define WORKER_MODEL_ENCODER_H

#include "worker/model/model_parts.h"

/* Takes memory for the parts and what they become. */
void encoder_layout(Encoder *encoder, Layout *layout, const Model *model);

/* The part of the batch that the model's last stack is about: with one stack the batch itself. */
const Batch *encoder_part(Model *model, const Batch *batch);

/* pass->memory, of the sources. keep NULL: no backward follows. Leaves the pass with the targets' rows. */
void encoder_up(Model *model, Keep *keep);

/* Before a backward of that keep's batch (encoder_part, of a pass with the targets' rows): pass->memory is its. */
void encoder_resume(Model *model, const Keep *keep);

/* From pass->dmemory to the source's part of pass->grad. */
void encoder_down(Model *model, Keep *keep);

/* pass->memory of one source alone, as the decoder asks for it. */
void encoder_read(Model *model, const int32_t *ids, int64_t count);

#endif
