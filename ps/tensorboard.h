/* tensorboard - the lines of metrics.jsonl as TensorBoard's event files (train.report_to: tensorboard), in
 * OUTPUT/tensorboard, under the tags that Trainer gives: train/loss, eval/accuracy.
 *
 * A file: records of u64 length, masked CRC32C of it, an Event (protocol buffers), masked CRC32C of that. Each server
 * writes a file of its own, which begins with SessionLog START at the step that it goes on from: TensorBoard then drops
 * what an earlier one has of later steps.
 *
 * Threads: one. */
#ifndef PS_TENSORBOARD_H
#define PS_TENSORBOARD_H

#include "common/base/json.h"
#include "common/base/text.h"

typedef struct Run Run;

/* The numbers of a line, where the run wants them; what a full disk swallows is said once. */
void tensorboard_add(Run *run, const json_t *line);

/* One record of a file. */
void tensorboard_record(Text *out, const void *event, size_t size);
uint32_t tensorboard_crc(const void *data, size_t size); /* CRC32C (Castagnoli) */

#endif
