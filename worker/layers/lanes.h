/* lanes - what sequences have said in earlier calls: the keys and values of each, so that
 * the next token costs one row of each product. A call's sequences stand in lanes; with
 * `first` they begin anew, else each goes on behind what its lane has read.
 *
 * Owner: a session (worker/model/decode). Threads: the caller's one. */
#ifndef WORKER_LAYERS_LANES_H
#define WORKER_LAYERS_LANES_H

#include "worker/layers/pass.h"

typedef struct Lanes {
    int64_t count; /* of lanes */
    int64_t longest; /* tokens that a lane can read */
    int64_t KD; /* kv heads * head size: a row of keys, or of values */
    float *keys; /* [layers, count, longest, KD], turned by their places */
    float *values; /* the same */
    float *scores; /* [H, longest] */
    int64_t *length; /* [count] tokens that a lane has read before this call */
    bool first; /* of the call: its lanes are empty */
    const int64_t *lane; /* of the call: which lane each sequence of pass->rows is, borrowed */
} Lanes;

/* Takes the memory; false with *err set when there is none (lanes_release is right then, too). */
MUST_USE bool lanes_init(Lanes *lanes, const ModelArch *arch, int64_t count, int64_t longest, Err *err);
void lanes_release(Lanes *lanes);

/* The call's sequences are not the first that their lanes read. */
bool lanes_go_on(const Lanes *lanes);

/* Puts the layer's keys and values, from qkv[N,ldqkv], behind those that the lanes have. */
void lanes_remember(Lanes *lanes, int64_t layer, const float *qkv, const AttentionShape *shape, const Pass *pass);

/* att[N,ldout] of rows that go on: turns q and k by their places, remembers, and attends to all that
 * their lanes have read. */
void lanes_attend(Lanes *lanes, int64_t layer, float *att, float *qkv, const AttentionShape *shape, Pass *pass);

#endif
