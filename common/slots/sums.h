/* sums - how two sums of the tree (tree.h) become one, and what of them travels.
 *
 * With ps.wire_dtype: fp32 a sum is left + right. With bf16 every sum is rounded where it is made, a leaf's and an inner
 * node's, behind an addition in fp32: so 16 bits of each number carry all of it, and a run's bits do not depend on which
 * sums travelled and which were joined where they had been computed.
 *
 * int8 is for modes in which bits depend on who computes: sums are fp32's, and what is pushed is rounded, in groups that have a
 * scale each (their largest number is 127 of it). What rounding takes away is left over, and goes with the next push of the
 * same client (error feedback: Seide et al. 2014, Karimireddy et al. 2019), so that nothing is lost in the long run.
 *
 * Threads: any. */
#ifndef COMMON_SLOTS_SUMS_H
#define COMMON_SLOTS_SUMS_H

#include "common/config/config.h"

#include <stddef.h>
#include <stdint.h>

/* A leaf's sum, as it enters the tree. */
void sums_leaf(WireDtype dtype, float *x, int64_t n);

/* left += right, which do not overlap. */
void sums_add(WireDtype dtype, float *left, const float *right, int64_t n);

size_t sums_bytes(WireDtype dtype, int64_t n); /* that n numbers take on the wire */
void sums_pack(uint16_t *out, const float *x, int64_t n); /* bf16: exact, for what sums_leaf and sums_add have made */
void sums_unpack(WireDtype dtype, float *out, const void *bytes, int64_t n); /* what travelled, as floats */

/* int8: x + left, rounded, into out[sums_bytes]; what that took away is then left[n]. Of a group with a number that is not finite
 * none is, and nothing is left. */
void sums_round(void *out, const float *x, float *left, int64_t n);

#endif
