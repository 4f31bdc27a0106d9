#include "worker/tokenizer/scratch.h"

#include "common/base/mem.h"

#include <stdlib.h>

void ids_grow(Ids *ids)
{
    ids->room = ids->room ? 2 * ids->room : 256;
    ids->data = xrealloc(ids->data, (size_t)ids->room * sizeof(ids->data[0]));
}

void pieces_grow(Pieces *pieces)
{
    pieces->room = pieces->room ? 2 * pieces->room : 256;
    pieces->data = xrealloc(pieces->data, pieces->room * sizeof(pieces->data[0]));
}

void scratch_release(Scratch *scratch)
{
    for (int i = 0; i < 2; i++) {
        text_release(&scratch->normal[i]);
        free(scratch->ids[i].data);
    }
    codepoints_release(&scratch->points);
    text_release(&scratch->pre.own);
    free(scratch->pre.pieces.data);
    free(scratch->pre.next.data);
    *scratch = (Scratch){ 0 };
}
