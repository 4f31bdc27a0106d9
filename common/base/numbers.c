#include "common/base/numbers.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Room for n more numbers of `size` bytes behind `count`. */
static void *grow(void *data, int64_t *room, int64_t count, int64_t n, size_t size)
{
    if (count + n <= *room)
        return data;
    *room = *room ? 2 * *room : 64;
    if (*room < count + n)
        *room = count + n;
    return xrealloc(data, (size_t)*room * size);
}

void int32s_add(Int32s *list, const int32_t *values, int64_t n)
{
    if (n <= 0)
        return;
    list->data = grow(list->data, &list->room, list->count, n, sizeof *values);
    memcpy(list->data + list->count, values, (size_t)n * sizeof *values);
    list->count += n;
}

void int32s_put(Int32s *list, int32_t value)
{
    int32s_add(list, &value, 1);
}

void int32s_drop(Int32s *list, int64_t n)
{
    REQUIRE(n >= 0 && n <= list->count);
    list->count -= n;
    if (n > 0 && list->count > 0)
        memmove(list->data, list->data + n, (size_t)list->count * sizeof *list->data);
}

void int32s_release(Int32s *list)
{
    free(list->data);
    *list = (Int32s){ 0 };
}

void int64s_put(Int64s *list, int64_t value)
{
    list->data = grow(list->data, &list->room, list->count, 1, sizeof value);
    list->data[list->count++] = value;
}

void int64s_release(Int64s *list)
{
    free(list->data);
    *list = (Int64s){ 0 };
}

void floats_add(Floats *list, const float *values, int64_t n)
{
    if (n <= 0)
        return;
    list->data = grow(list->data, &list->room, list->count, n, sizeof *values);
    memcpy(list->data + list->count, values, (size_t)n * sizeof *values);
    list->count += n;
}

void floats_release(Floats *list)
{
    free(list->data);
    *list = (Floats){ 0 };
}
