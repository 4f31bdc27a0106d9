/* scratch - room that one call of tokenizer_encode works in and the next reuses.
 *
 * Owner: an Encoding, so that a const Tokenizer may serve several threads.
 * Threads: one at a time, the caller's of the Encoding. */
#ifndef WORKER_TOKENIZER_SCRATCH_H
#define WORKER_TOKENIZER_SCRATCH_H

#include "common/base/text.h"
#include "worker/tokenizer/aligned.h"
#include "worker/tokenizer/unicode.h"

#include <stddef.h>
#include <stdint.h>

/* A token: of bytes [begin, end) of its piece while the model writes it, later of
 * the original text, at last of the code points of that. */
typedef struct Token {
    int32_t id;
    int32_t word;
    uint32_t begin, end;
    uint16_t lead, trail; /* spaces at its ends, for offsets that leave them out */
} Token;

/* A growing list of tokens; zeroed is empty. */
typedef struct Tokens {
    Token *data; /* [count], owned */
    int64_t count, room;
} Tokens;

/* A word to be: text[at, at + size) of its PreText. */
typedef struct Piece {
    size_t at, size;
} Piece;

typedef struct Pieces {
    Piece *data; /* [count], owned */
    size_t count, room;
} Pieces;

/* A match of a pattern, or what lies between two. */
typedef struct Segment {
    size_t begin, end;
    bool match;
} Segment;

typedef struct Segments {
    Segment *data; /* [count], owned */
    size_t count, room;
} Segments;

/* What the pre-tokenizers work on. One that rewrites its text writes to the other of
 * `own` and makes `text` point there. */
typedef struct PreText {
    const Aligned *text; /* borrowed, or one of own */
    Aligned own[2];
    Pieces pieces, next; /* now, and those being made */
    Segments segments; /* of one piece */
    bool words; /* the text is one word of several */
} PreText;

/* Room for the models: symbols of a word that are being merged, best paths. */
typedef struct ModelRoom {
    void *data; /* [size], owned */
    size_t size;
} ModelRoom;

typedef struct Scratch {
    Aligned normal[2]; /* the normalizers write from one to the other */
    CodePoints points, sources; /* being rewritten; where they are from */
    PreText pre;
    Tokens tokens[2]; /* of the text and of its pair */
    Tokens window; /* of one that is cut into windows, those of one */
    ModelRoom model, queue;
    struct WordCache *cache; /* owned; NULL until a model asks */
} Scratch;

void scratch_release(Scratch *scratch);

/* At least `size` bytes, with what was written there before. */
void *model_room(ModelRoom *room, size_t size);

void tokens_grow(Tokens *tokens);
void pieces_grow(Pieces *pieces);
void segments_grow(Segments *segments);

static inline void tokens_add(Tokens *tokens, int32_t id, size_t begin, size_t end)
{
    if (tokens->count == tokens->room)
        tokens_grow(tokens);
    tokens->data[tokens->count++] = (Token){ .id = id, .begin = (uint32_t)begin, .end = (uint32_t)end };
}

static inline void pieces_add(Pieces *pieces, size_t at, size_t size)
{
    if (pieces->count == pieces->room)
        pieces_grow(pieces);
    pieces->data[pieces->count++] = (Piece){ at, size };
}

static inline void segments_add(Segments *segments, size_t begin, size_t end, bool match)
{
    if (segments->count == segments->room)
        segments_grow(segments);
    segments->data[segments->count++] = (Segment){ begin, end, match };
}

#endif
