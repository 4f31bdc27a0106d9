/* scratch - room that one call of tokenizer_encode works in and the next reuses.
 *
 * Owner: an Encoding, so that a const Tokenizer may serve several threads. */
#ifndef WORKER_TOKENIZER_SCRATCH_H
#define WORKER_TOKENIZER_SCRATCH_H

#include "common/base/text.h"
#include "worker/tokenizer/unicode.h"

#include <stddef.h>
#include <stdint.h>

/* A growing list of token ids; zeroed is empty. */
typedef struct Ids {
    int32_t *data; /* [count], owned */
    int64_t count, room;
} Ids;

/* A word to be: text[at, at + size) of its PreText. */
typedef struct Piece {
    size_t at, size;
} Piece;

typedef struct Pieces {
    Piece *data; /* [count], owned */
    size_t count, room;
} Pieces;

/* What the pre-tokenizers work on. One that rewrites its text (bytes to
 * letters, say) writes to `own` and lets `text` point there. */
typedef struct PreText {
    const char *text; /* borrowed, or own.data */
    Text own;
    Pieces pieces, next; /* now, and those being made */
} PreText;

typedef struct Scratch {
    Text normal[2]; /* the normalizers write from one to the other */
    CodePoints points;
    PreText pre;
    Ids ids[2]; /* of the text and of its pair */
} Scratch;

void scratch_release(Scratch *scratch);
void ids_grow(Ids *ids);
void pieces_grow(Pieces *pieces);

static inline void ids_add(Ids *ids, int32_t id)
{
    if (ids->count == ids->room)
        ids_grow(ids);
    ids->data[ids->count++] = id;
}

static inline void pieces_add(Pieces *pieces, size_t at, size_t size)
{
    if (pieces->count == pieces->room)
        pieces_grow(pieces);
    pieces->data[pieces->count++] = (Piece){ at, size };
}

#endif
