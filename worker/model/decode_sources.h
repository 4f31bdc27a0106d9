/* decode_sources - of a decoder whose model has two stacks, what the first has read for each lane: sources come in
 * pieces, as prompts do, and are read when they are whole; what the blocks that write make of them is kept.
 *
 * A feed begins with a lane's source and the token behind it; the rest goes on to the decoder. With one stack all of
 * this does nothing.
 *
 * Owner: the Decoder. Threads: its caller's one. */
#ifndef WORKER_MODEL_DECODE_SOURCES_H
#define WORKER_MODEL_DECODE_SOURCES_H

#include "worker/layers/lanes.h"
#include "worker/model/adapter_parts.h"
#include "worker/model/decode.h"

/* Zeroed is empty: one stack. */
typedef struct DecodeSources {
    Model *model; /* borrowed */
    Lanes lanes; /* the same as the decoder's, of keys and values of sources */
    int64_t longest;
    int64_t *whole, *got; /* [lanes] tokens of a source, -1: not known yet; that have come */
    int32_t *waiting; /* [lanes, longest] those */
    DecodeFeed feed; /* what is no source of the feed that was given: */
    int64_t *lane, *start, *when, *given; /* [lanes], [lanes + 1], [lanes]; [lanes] its place in that */
    int32_t *ids; /* [most_tokens] */
} DecodeSources;

/* own: the decoder's lanes, which are told where sources lie. */
MUST_USE bool sources_init(DecodeSources *sources, Model *model, Lanes *own, const LanesOptions *options, Err *err);
void sources_release(DecodeSources *sources);
void sources_join(DecodeSources *sources, int64_t lane, int64_t most);
void sources_leave(DecodeSources *sources, int64_t lane);

/* What is left of a feed for the stack that writes, of count 0 perhaps; adapter: of each lane. */
const DecodeFeed *sources_take(DecodeSources *sources, const DecodeFeed *feed, Adapter *const *adapter);

/* Where lane i of what was left stood in the feed. */
int64_t sources_given(const DecodeSources *sources, int64_t i);

#endif
