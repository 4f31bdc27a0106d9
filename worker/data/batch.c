#include "worker/data/batch.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

bool batch_room(BatchRoom *room, int64_t tokens, int64_t examples, int64_t goal_width, Err *err)
{
    room->start = mem_alloc((size_t)(examples + 1) * sizeof *room->start, err);
    room->example = mem_alloc((size_t)examples * sizeof *room->example, err);
    room->ids = mem_alloc((size_t)tokens * sizeof *room->ids, err);
    room->types = mem_alloc((size_t)tokens * sizeof *room->types, err);
    room->goal = mem_alloc((size_t)(examples * goal_width) * sizeof *room->goal, err);
    if (room->start && room->example && room->ids && room->types && room->goal)
        return true;
    batch_release(room);
    return false;
}

void batch_release(BatchRoom *room)
{
    free(room->start);
    free(room->example);
    free(room->ids);
    free(room->types);
    free(room->goal);
    *room = (BatchRoom){ 0 };
}

Batch batch_fill(BatchRoom *room, const Dataset *data, const uint32_t *rows, int64_t count)
{
    int64_t at = 0;
    for (int64_t b = 0; b < count; b++) {
        const int64_t row = rows[b], from = data->start[row], T = data->start[row + 1] - from;
        room->start[b] = at;
        room->example[b] = row;
        memcpy(room->ids + at, data->ids + from, (size_t)T * sizeof *room->ids);
        if (data->types)
            memcpy(room->types + at, data->types + from, (size_t)T * sizeof *room->types);
        memcpy(room->goal + b * data->goal_width, data->goal + row * data->goal_width,
               (size_t)data->goal_width * sizeof *room->goal);
        at += T;
    }
    room->start[count] = at;
    return (Batch){
        .B = count,
        .N = at,
        .start = room->start,
        .ids = room->ids,
        .types = data->types ? room->types : NULL,
        .example = room->example,
        .goal = room->goal,
    };
}
