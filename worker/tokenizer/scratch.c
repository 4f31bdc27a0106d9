#include "worker/tokenizer/scratch.h"

#include "common/base/mem.h"
#include "worker/tokenizer/word_cache.h"

#include <stdlib.h>

enum { FIRST_ROOM = 256 };

void tokens_grow(Tokens *tokens)
{
    tokens->room = tokens->room ? 2 * tokens->room : FIRST_ROOM;
    tokens->data = xrealloc(tokens->data, (size_t)tokens->room * sizeof(tokens->data[0]));
}

void pieces_grow(Pieces *pieces)
{
    pieces->room = pieces->room ? 2 * pieces->room : FIRST_ROOM;
    pieces->data = xrealloc(pieces->data, pieces->room * sizeof(pieces->data[0]));
}

void segments_grow(Segments *segments)
{
    segments->room = segments->room ? 2 * segments->room : FIRST_ROOM;
    segments->data = xrealloc(segments->data, segments->room * sizeof(segments->data[0]));
}

void *model_room(ModelRoom *room, size_t size)
{
    if (size > room->size) {
        room->size = size > 2 * room->size ? size : 2 * room->size;
        room->data = xrealloc(room->data, room->size);
    }
    return room->data;
}

void scratch_release(Scratch *scratch)
{
    for (int i = 0; i < 2; i++) {
        aligned_release(&scratch->normal[i]);
        aligned_release(&scratch->pre.own[i]);
        free(scratch->tokens[i].data);
    }
    free(scratch->window.data);
    codepoints_release(&scratch->points);
    codepoints_release(&scratch->sources);
    free(scratch->pre.pieces.data);
    free(scratch->pre.next.data);
    free(scratch->pre.segments.data);
    free(scratch->model.data);
    free(scratch->queue.data);
    free(scratch->cache);
    *scratch = (Scratch){ 0 };
}
