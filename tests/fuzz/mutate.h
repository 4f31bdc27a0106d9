/* mutate - bytes that are almost right, from a generator that a seed repeats.
 *
 * Threads: one Chance each. */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct Chance {
    uint64_t state;
} Chance;

/* xorshift64*; the state must not be 0. */
static inline uint64_t chance_bits(Chance *chance)
{
    uint64_t x = chance->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    chance->state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

/* In [0, n). */
static inline size_t chance_below(Chance *chance, size_t n)
{
    return n > 0 ? (size_t)((chance_bits(chance) >> 16) % n) : 0;
}

/* Changes bytes[0, size) in one to eight places, `room` bytes at the most; the new size. */
static inline size_t mutate(Chance *chance, unsigned char *bytes, size_t size, size_t room)
{
    static const unsigned char odd[] = { 0,    1,    0x7f, 0x80, 0xff, '"',  '\\', '{',  '}',  '[',
                                         ']',  ',',  ':',  '\n', 0xc0, 0xc1, 0xd9, 0xdc, 0xde, 0xdf,
                                         0xcf, 0xd3, 0xdb, 0xdd, '-',  '9',  'e',  ' ',  '&',  '*' };
    for (size_t n = 1 + chance_below(chance, 8); n > 0; n--) {
        const size_t at = chance_below(chance, size), left = size - at;
        const size_t span = chance_below(chance, left < 16 ? left + 1 : 16);
        switch (chance_below(chance, 7)) {
        case 0: /* one bit */
            if (size > 0)
                bytes[at] ^= (unsigned char)(1 << chance_below(chance, 8));
            break;
        case 1: /* one byte */
            if (size > 0)
                bytes[at] = odd[chance_below(chance, sizeof odd)];
            break;
        case 2: /* a span is lost */
            for (size_t i = at; i + span < size; i++)
                bytes[i] = bytes[i + span];
            size -= span;
            break;
        case 3: /* a span comes twice */
            if (size + span <= room) {
                for (size_t i = size; i > at; i--)
                    bytes[i - 1 + span] = bytes[i - 1];
                size += span;
            }
            break;
        case 4: /* a span from elsewhere */
            for (size_t i = 0, from = chance_below(chance, size); i < span && from + i < size; i++)
                bytes[at + i] = bytes[from + i];
            break;
        case 5: /* a number grows */
            for (size_t i = at; i < at + span && i < size; i++)
                bytes[i] = bytes[i] >= '0' && bytes[i] <= '9' ? '9' : 0xff;
            break;
        default: /* the end is lost */
            if (chance_below(chance, 4) == 0)
                size = at;
            break;
        }
    }
    return size;
}

#endif
