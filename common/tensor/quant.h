/* quant - matrices of less than a float a number, by the rules of bitsandbytes 0.50 (functional.py, quantize_4bit and
 * int8_vectorwise_quant).
 *
 * int8: a row's numbers are q * scale, q from -127 to 127, scale its largest / 127.
 *
 * nf4: numbers in the order of rows are cut into blocks of 64 (common/base/nf4.h); a number is code * absmax, of its
 * block. Double quantisation stores absmax as a byte, an entry of a table of 256 "dynamic" numbers, times the largest
 * of 256 blocks, plus the mean of all blocks. The entry is the nearest; bitsandbytes' search on a CPU sometimes takes
 * one beside it.
 *
 * Threads: any. */
#ifndef COMMON_TENSOR_QUANT_H
#define COMMON_TENSOR_QUANT_H

#include "common/base/nf4.h"

#include <stdint.h>

enum { NF4_NESTED = 256 }; /* blocks that share a scale of their scales */

static inline int64_t nf4_blocks(int64_t count)
{
    return (count + NF4_BLOCK - 1) / NF4_BLOCK;
}
static inline int64_t nf4_nested(int64_t count)
{
    return (nf4_blocks(count) + NF4_NESTED - 1) / NF4_NESTED;
}

/* q[n] of a row x[n]; returns its scale. A row of zeros has the scale 0. */
float int8_pack(int8_t *q, const float *x, int64_t n);

/* codes[(n + 1) / 2], absmax[nf4_blocks(n)] of x[n]: whole blocks, the last may be short. An odd end is filled up with
 * the code of 0. */
void nf4_pack(uint8_t *codes, float *absmax, const float *x, int64_t n);

/* The sixteen numbers, and the 256 dynamic ones, rising. */
extern const float nf4_numbers[NF4_CODES];
void nf4_dynamic(float table[256]);

/* index[blocks], nested[ceil(blocks / NF4_NESTED)], *offset of absmax[blocks]. */
void nf4_pack_scales(uint8_t *index, float *nested, float *offset, const float *absmax, int64_t blocks,
                     const float table[256]);

/* Back: absmax of block `block`. */
static inline float nf4_scale(const uint8_t *index, const float *nested, float offset, const float *table,
                              int64_t block)
{
    const float scaled = table[index[block]] * nested[block / NF4_NESTED];
    return scaled + offset;
}

#endif
