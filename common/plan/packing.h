/* packing - short rows in packs of about one size: a pack is one example of a step, its rows are sequences of their
 * own. Best fit, longest first, as TRL packs ("bfd").
 *
 * Threads: any. */
#ifndef COMMON_PLAN_PACKING_H
#define COMMON_PLAN_PACKING_H

#include <stdint.h>

/* Puts the rows of each pack together in rows[0, count): pack p is [ends[p-1], ends[p]), of at most `most` tokens
 * unless it is a single longer row. start: token offsets of the data set. Returns the number of packs; the caller
 * frees *ends. */
int64_t packing_group(uint32_t *rows, int64_t count, const int64_t *start, int64_t most, int64_t **ends);

#endif
