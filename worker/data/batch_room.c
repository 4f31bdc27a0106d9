#include "worker/data/batch_room.h"

#include "common/base/mem.h"
#include "worker/data/questions.h"

#include <stdlib.h>
#include <string.h>

bool batch_room(BatchRoom *room, const BatchSize *size, Err *err)
{
    const int64_t tokens = size->tokens, examples = size->examples;
    room->start = mem_alloc((size_t)(examples + 1) * sizeof *room->start, err);
    room->example = mem_alloc((size_t)examples * sizeof *room->example, err);
    room->real = mem_alloc((size_t)examples * sizeof *room->real, err);
    room->ids = mem_alloc((size_t)tokens * sizeof *room->ids, err);
    room->types = mem_alloc((size_t)tokens * sizeof *room->types, err);
    room->goal = mem_alloc((size_t)(examples * size->goal_width) * sizeof *room->goal, err);
    room->token_goal = mem_alloc((size_t)tokens * sizeof *room->token_goal, err);
    room->row = mem_alloc((size_t)examples * sizeof *room->row, err);
    room->pixels = mem_alloc((size_t)(examples * size->pixels) * sizeof *room->pixels, err);
    if (room->start && room->example && room->real && room->ids && room->types && room->goal && room->token_goal &&
        room->row && room->pixels)
        return true;
    batch_release(room);
    return false;
}

void batch_release(BatchRoom *room)
{
    free(room->start);
    free(room->example);
    free(room->real);
    free(room->ids);
    free(room->types);
    free(room->goal);
    free(room->token_goal);
    free(room->row);
    free(room->pixels);
    *room = (BatchRoom){ 0 };
}

/* What stands in a row, copied behind what is there. */
static void add_example(BatchRoom *room, const Dataset *data, int64_t row, int64_t b, int64_t at)
{
    const int64_t from = data->start[row];
    const size_t T = (size_t)(data->start[row + 1] - from);
    room->start[b] = at;
    room->example[b] = row;
    room->row[b] = (uint32_t)row;
    if (data->ids)
        memcpy(room->ids + at, data->ids + from, T * sizeof *room->ids);
    if (data->types)
        memcpy(room->types + at, data->types + from, T * sizeof *room->types);
    if (data->token_goal)
        memcpy(room->token_goal + at, data->token_goal + from, T * sizeof *room->token_goal);
    if (data->goal)
        memcpy(room->goal + b * data->goal_width, data->goal + row * data->goal_width,
               (size_t)data->goal_width * sizeof *room->goal);
}

/* Behind the window that ends at `from`. */
static void add_padding(BatchRoom *room, const Dataset *data, int32_t id, int64_t from, int64_t to)
{
    for (int64_t n = from; n < to; n++) {
        room->ids[n] = id;
        if (data->types)
            room->types[n] = 0;
    }
}

Batch batch_fill(BatchRoom *room, const Dataset *data, const uint32_t *rows, int64_t count, int64_t width)
{
    const Questions questions = data->notes ? questions_view(data->notes) : (Questions){ 0 };
    int64_t at = 0;
    for (int64_t b = 0; b < count; b++) {
        const int64_t T = data->start[rows[b] + 1] - data->start[rows[b]],
                      padded = data->notes && width > T ? width : T;
        add_example(room, data, rows[b], b, at);
        if (data->notes)
            room->real[b] = questions.real[rows[b]];
        add_padding(room, data, questions.pad_id, at + T, at + padded);
        at += padded;
    }
    room->start[count] = at;
    return (Batch){
        .B = count,
        .N = at,
        .start = room->start,
        .real = data->notes ? room->real : NULL,
        .ids = data->ids ? room->ids : NULL,
        .types = data->types ? room->types : NULL,
        .example = room->example,
        .goal = data->goal ? room->goal : NULL,
        .token_goal = data->token_goal ? room->token_goal : NULL,
    };
}
