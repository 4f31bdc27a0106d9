/* decode - a language model that goes on where it was: the keys and values of what it has read are kept,
 * so that the next token costs one row of each product.
 *
 * Texts stand in lanes, each with an adapter; they join and leave between two feeds. feed() gives each of some lanes
 * more tokens (a prompt in pieces, or the token that was chosen) and writes what follows. A lane's logits are, to the
 * bit, a function of its adapter and of the tokens that it has read: not of who else is in a feed, nor of how the
 * prompt was cut, nor of the number of threads. The model is the caller's, and may train and predict between two
 * feeds.
 *
 * Of a model of two stacks a lane's prompt is its source and, last, the token that targets begin behind: the source
 * is read once, when all of it is there, and what each block makes of it is kept.
 *
 * Owner: worker/eval's engine. Threads: one caller; kernels use OpenMP. Collective: no. */
#ifndef WORKER_MODEL_DECODE_H
#define WORKER_MODEL_DECODE_H

#include "worker/model/adapter.h"

typedef struct DecodeOptions {
    int64_t lanes;
    int64_t longest; /* tokens of a lane, read and written; of the model's sequences at the most */
    int64_t tokens; /* that all lanes together can hold; 0: each its longest */
} DecodeOptions;

typedef struct DecodeFeed {
    int64_t count; /* lanes fed */
    const int64_t *lane; /* [count] all different */
    const int64_t *start; /* [count+1]: ids[start[i], start[i+1]) go to lane[i], one at least */
    const int32_t *ids;
    const int64_t *whole; /* [count] tokens that lane[i] will have read when its logits are wanted; NULL: now */
    const float *rows; /* [start[count], C] of a stage behind the first: what the stage before wrote for this feed */
} DecodeFeed;

typedef struct Decoder Decoder;

/* Borrows the model, which has room for all that one feed brings. NULL with *err: no causal language model, no
 * memory. */
MUST_USE Decoder *decode_open(Model *model, const DecodeOptions *options, Err *err);
void decode_close(Decoder *decoder);

/* An empty lane for `most` tokens (of options.longest) that the adapter, lent until it leaves, reads and writes;
 * -1: no lane, or no room for as many tokens, now. */
int64_t decode_join(Decoder *decoder, Adapter *adapter, int64_t most);
void decode_leave(Decoder *decoder, int64_t lane);

/* Tokens up to which a text turns as short ones do, where all of it turns otherwise beyond ("longrope"): whoever lets
 * one grow past that feeds it anew. 0: no such length. */
int64_t decode_turn(const Decoder *decoder);

/* Tokens that lanes were promised, and that there are. */
int64_t decode_promised(const Decoder *decoder);
int64_t decode_room(const Decoder *decoder);

/* out[count, V]: logits of what follows each lane's last token; of lanes whose prompt goes on they are not written. Of a
 * stage before the last (ModelOptions.stage) out[start[count], C]: its rows for the next one; may be feed->rows. Stages
 * whose lanes join, leave and are fed alike give, one behind the other, the logits of the whole. */
void decode_feed(Decoder *decoder, const DecodeFeed *feed, float *out);

#endif
