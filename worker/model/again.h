/* again - gradient checkpointing: of a block only the stream before it is kept, and the block is computed again when its
 * backward comes. All blocks' keeps share one place then; the last block is behind no other, and is not computed again.
 * The stream behind a block is known, so its last product is left out.
 *
 * A block's backward makes its input from the rows that the norm before it kept (norm.h), so where norms stand behind,
 * those are kept, too: the same bits as without.
 *
 * Owner: the Model. Threads: its caller's one. */
#ifndef WORKER_MODEL_AGAIN_H
#define WORKER_MODEL_AGAIN_H

#include "worker/model/model_parts.h"

/* Lays out the keeps of blocks [first, end), and the streams before those that will be computed again. */
void again_layout(Keep *keep, const Model *model, Layout *layout, const PassSizes *sizes, int64_t first, int64_t end);

/* Before a block's forward: keeps the stream. */
void again_note(const Model *model, Keep *keep, int64_t layer);

/* Before its backward: its keep as forward left it; the gradient in the stream stays. */
void again_compute(const Model *model, Keep *keep, int64_t layer);

#endif
