/* nf4 - the sixteen numbers that four bits stand for: quantiles of the normal distribution, scaled to [-1, 1]
 * (Dettmers 2023, appendix E). Blocks of NF4_BLOCK numbers, row ends or not, share a scale.
 *
 * Threads: any. */
#ifndef COMMON_BASE_NF4_H
#define COMMON_BASE_NF4_H

enum { NF4_BLOCK = 64, NF4_CODES = 16 };

/* F(number), in the order of their codes; read as double they are floats exactly. */
/* clang-format off */
#define NF4_LIST(F) \
    F(-1.0f) F(-0.6961928009986877f) F(-0.5250730514526367f) F(-0.39491748809814453f) \
    F(-0.28444138169288635f) F(-0.18477343022823334f) F(-0.09105003625154495f) F(0.0f) \
    F(0.07958029955625534f) F(0.16093020141124725f) F(0.24611230194568634f) F(0.33791524171829224f) \
    F(0.44070982933044434f) F(0.5626170039176941f) F(0.7229568362236023f) F(1.0f)
/* clang-format on */

#endif
