/* pieces - gradients that come in pieces, until they are whole: one a client, which pushes one after the other.
 *
 * Owner: the core. Threads: one. */
#ifndef PS_PIECES_H
#define PS_PIECES_H

#include "common/slots/sums.h"
#include "common/wire/message.h"

typedef struct Puzzle {
    uint64_t client;
    Range range;
    float *gradient; /* [size], owned */
    bool *have; /* [pieces], owned */
    int64_t left; /* pieces that are still to come */
} Puzzle;

/* Zeroed is empty. */
typedef struct GradientPieces {
    Puzzle *items; /* [count], owned */
    int count;
    WireDtype dtype; /* of what comes; a gradient is floats */
    float *spare; /* [size], owned: the next gradient's room, whose pages are there; NULL: none */
} GradientPieces;

typedef enum { PIECES_WHOLE, PIECES_MORE, PIECES_NO_ROOM } PiecesAnswer;

/* Takes the piece of a PUSH that has been checked, of a gradient of `size` floats. PIECES_WHOLE: it was the last one, and
 * *gradient[size] is the caller's, to be freed; one that is all of its gradient, in floats, is taken from the message,
 * but one that lies in its client's memory (PLACE_ALL), all pieces at once, is copied.
 * PIECES_NO_ROOM: no memory for the gradient, said. */
PiecesAnswer pieces_add(GradientPieces *pieces, float **gradient, Msg *push, int64_t size);

/* Bytes of tensor that a PUSH has to have, of a gradient of `size` floats; 0: there is none like it. */
size_t pieces_bytes(const GradientPieces *pieces, const Msg *push, int64_t size);

/* Is the piece of this PUSH here? */
bool pieces_has(const GradientPieces *pieces, const Msg *push);

/* Has a piece of this PUSH's gradient come before? */
bool pieces_is_begun(const GradientPieces *pieces, const Msg *push);

/* Takes a gradient of as many floats that is of no use any more, for one to come. */
void pieces_keep(GradientPieces *pieces, float *gradient);

void pieces_drop(GradientPieces *pieces, uint64_t client); /* what it has begun */
void pieces_clear(GradientPieces *pieces); /* of all, behind a step; what is kept stays */
void pieces_release(GradientPieces *pieces);

#endif
