/* lanes - what sequences have read in earlier calls: the keys and values of each, so that the next token costs one
 * row of each product. They lie in pages, which a lane takes as it needs them, up to what it was promised.
 *
 * A call's sequences stand in lanes, and each goes on behind what its lane has read. A row's numbers do not depend
 * on who else is in the call, nor on how a text was cut into calls.
 *
 * Owner: worker/model/decode. Threads: the caller's one. */
#ifndef WORKER_LAYERS_LANES_H
#define WORKER_LAYERS_LANES_H

#include "worker/layers/pass.h"

enum { LANES_PAGE = 64 }; /* tokens of a page */

typedef struct Lane {
    bool taken;
    int64_t length; /* tokens that it has read before this call */
    int64_t held, promised; /* pages */
    float **pages; /* [longest / LANES_PAGE, rounded up] each [blocks, 2, LANES_PAGE, KD], keys before values */
} Lane;

typedef struct Lanes {
    int64_t count, longest; /* lanes; tokens that one can read */
    int64_t KD; /* kv heads * head size: a row of keys, or of values */
    Lane *lanes; /* [count] */
    int64_t pages, promised, spare; /* all; promised to lanes; taken by none */
    float **spares; /* [spare] of [pages] */
    float *room; /* of all pages */
    AttentionRow *rows; /* [most_rows] of the call */
    int threads;
    float *scores; /* [threads, longest] */
    const int64_t *lane; /* of the call: which lane each sequence of pass->rows is, borrowed */
    struct Lanes *sources; /* the same lanes' sources, which each block that writes has made keys and values of;
                              borrowed; NULL: the model is one stack */
    int64_t first; /* block that keeps something here */
    const int64_t *whole; /* of the call: tokens of each sequence once its prompt is read, borrowed; NULL: now */
} Lanes;

typedef struct LanesOptions {
    int64_t count, longest;
    int64_t tokens; /* that all lanes together can hold; 0: each its longest */
    int64_t most_rows; /* of a call */
    int threads;
    int64_t first, blocks; /* that keep something here, and how many from there on */
} LanesOptions;

/* Takes the memory; false with *err set when there is none (lanes_release is right then, too). */
MUST_USE bool lanes_init(Lanes *lanes, const ModelArch *arch, const LanesOptions *options, Err *err);
void lanes_release(Lanes *lanes);

/* A lane for `most` tokens, all of which it will get; -1: there is no lane, or no room, now. */
int64_t lanes_join(Lanes *lanes, int64_t most);
void lanes_leave(Lanes *lanes, int64_t lane);

/* Begins a call: every lane has the pages of what it is given. */
void lanes_begin(Lanes *lanes, const Rows *rows, const int64_t *lane, const int64_t *whole);
void lanes_end(Lanes *lanes, const Rows *rows);

/* att[N,ldout] of the call's rows: turns q and k of qkv[N,ldqkv] by their places (rope NULL: not), puts keys and values behind those
 * that the lanes have, and attends to all that each has read. */
void lanes_attend(Lanes *lanes, int64_t layer, float *att, float *qkv, const AttentionShape *shape, Rope *rope,
                  Pass *pass);

/* Of lanes of sources: what block `layer` has made of source[count], kv[count, ldkv]. */
void lanes_keep_source(Lanes *sources, int64_t lane, int64_t layer, const float *kv, const AttentionShape *shape,
                       int64_t count);

/* att[N,ldout] of q[N,ldqkv]: the call's rows attend to all of their lanes' sources. */
void lanes_attend_sources(Lanes *lanes, int64_t layer, float *att, const float *q, const AttentionShape *shape,
                          const Rows *rows);

#endif
