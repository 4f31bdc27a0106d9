#include "ps/pieces.h"

#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static void puzzle_release(Puzzle *puzzle)
{
    free(puzzle->gradient);
    free(puzzle->have);
    *puzzle = (Puzzle){ 0 };
}

static void take_away(GradientPieces *pieces, Puzzle *puzzle)
{
    puzzle_release(puzzle);
    *puzzle = pieces->items[--pieces->count];
}

static Puzzle *find(const GradientPieces *pieces, uint64_t client)
{
    for (int i = 0; i < pieces->count; i++)
        if (pieces->items[i].client == client)
            return &pieces->items[i];
    return NULL;
}

static bool is_of(const Puzzle *puzzle, const Msg *push)
{
    const Range range = push->range[0];
    return puzzle && puzzle->range.begin == range.begin && puzzle->range.end == range.end;
}

size_t pieces_bytes(const GradientPieces *pieces, const Msg *push, int64_t size)
{
    if (push->place == PLACE_ALL)
        return push->at == 0 && size > WIRE_PIECE ? (size_t)size * sizeof(float) : 0;
    return sums_bytes(pieces->dtype, msg_piece(size, push->at));
}

bool pieces_is_begun(const GradientPieces *pieces, const Msg *push)
{
    return is_of(find(pieces, push->client), push);
}

bool pieces_has(const GradientPieces *pieces, const Msg *push)
{
    const Puzzle *puzzle = find(pieces, push->client);
    return is_of(puzzle, push) && puzzle->have[push->at / WIRE_PIECE];
}

/* The client's, of this range; NULL: no memory, said. */
static Puzzle *open_puzzle(GradientPieces *pieces, const Msg *push, int64_t size)
{
    const int64_t count = (size + WIRE_PIECE - 1) / WIRE_PIECE;
    const Range range = push->range[0];
    Puzzle *puzzle = find(pieces, push->client);
    Err err = { 0 };
    if (is_of(puzzle, push))
        return puzzle;
    if (puzzle)
        take_away(pieces, puzzle);
    float *gradient = pieces->spare ? pieces->spare : mem_alloc((size_t)size * sizeof *gradient, &err);
    pieces->spare = NULL;
    if (!gradient) {
        log_error("server", "a gradient is dropped: %s", err.what);
        return NULL;
    }
    pieces->items = xrealloc(pieces->items, ((size_t)pieces->count + 1) * sizeof *pieces->items);
    puzzle = &pieces->items[pieces->count++];
    *puzzle = (Puzzle){ .client = push->client, .range = range, .gradient = gradient, .left = count };
    puzzle->have = xcalloc((size_t)count, sizeof *puzzle->have);
    return puzzle;
}

/* A gradient that is one piece. */
static PiecesAnswer take_whole(const GradientPieces *pieces, float **gradient, Msg *push, int64_t size)
{
    Err err = { 0 };
    if (pieces->dtype == WIRE_FP32) {
        *gradient = push->data;
        push->data = NULL;
        return PIECES_WHOLE;
    }
    *gradient = mem_alloc((size_t)size * sizeof **gradient, &err);
    if (!*gradient) {
        log_error("server", "a gradient is dropped: %s", err.what);
        return PIECES_NO_ROOM;
    }
    sums_unpack(pieces->dtype, *gradient, push->data, size);
    return PIECES_WHOLE;
}

/* What has come of it in pieces before is of no use any more. */
static PiecesAnswer copy_all(GradientPieces *pieces, float **gradient, const Msg *push, int64_t size)
{
    Puzzle *puzzle = open_puzzle(pieces, push, size);
    if (!puzzle)
        return PIECES_NO_ROOM;
    memcpy(puzzle->gradient, push->data, (size_t)size * sizeof *puzzle->gradient);
    *gradient = puzzle->gradient;
    puzzle->gradient = NULL;
    take_away(pieces, puzzle);
    return PIECES_WHOLE;
}

PiecesAnswer pieces_add(GradientPieces *pieces, float **gradient, Msg *push, int64_t size)
{
    if (size <= WIRE_PIECE)
        return take_whole(pieces, gradient, push, size);
    if (push->place == PLACE_ALL)
        return copy_all(pieces, gradient, push, size);
    Puzzle *puzzle = open_puzzle(pieces, push, size);
    const int64_t number = push->at / WIRE_PIECE;
    if (!puzzle)
        return PIECES_NO_ROOM;
    if (puzzle->have[number])
        return PIECES_MORE;
    sums_unpack(pieces->dtype, puzzle->gradient + push->at, push->data, msg_piece(size, push->at));
    puzzle->have[number] = true;
    if (--puzzle->left > 0)
        return PIECES_MORE;
    *gradient = puzzle->gradient;
    puzzle->gradient = NULL;
    take_away(pieces, puzzle);
    return PIECES_WHOLE;
}

void pieces_keep(GradientPieces *pieces, float *gradient)
{
    free(pieces->spare);
    pieces->spare = gradient;
}

void pieces_drop(GradientPieces *pieces, uint64_t client)
{
    Puzzle *puzzle = find(pieces, client);
    if (puzzle)
        take_away(pieces, puzzle);
}

void pieces_clear(GradientPieces *pieces)
{
    while (pieces->count > 0)
        take_away(pieces, &pieces->items[0]);
}

void pieces_release(GradientPieces *pieces)
{
    pieces_clear(pieces);
    free(pieces->items);
    free(pieces->spare);
    *pieces = (GradientPieces){ 0 };
}
