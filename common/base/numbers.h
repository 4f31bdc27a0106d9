/* numbers - growing lists of numbers of one type.
 *
 * Owner: whoever holds the list; zeroed is empty and valid. Threads: one at a time. */
#ifndef COMMON_BASE_NUMBERS_H
#define COMMON_BASE_NUMBERS_H

#include <stdint.h>

typedef struct Int32s {
    int32_t *data; /* [count], owned; NULL when nothing was ever added */
    int64_t count, room;
} Int32s;

typedef struct Int64s {
    int64_t *data; /* [count], owned */
    int64_t count, room;
} Int64s;

typedef struct Floats {
    float *data; /* [count], owned */
    int64_t count, room;
} Floats;

/* Copies values[0, n) behind what is there. */
void int32s_add(Int32s *list, const int32_t *values, int64_t n);
void int32s_put(Int32s *list, int32_t value); /* one */
void int32s_drop(Int32s *list, int64_t n); /* the first n */
void int32s_release(Int32s *list);

void int64s_put(Int64s *list, int64_t value);
void int64s_release(Int64s *list);

void floats_add(Floats *list, const float *values, int64_t n);
void floats_release(Floats *list);

#endif
