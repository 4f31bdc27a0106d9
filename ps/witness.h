/* witness - pieces of a step that come twice, from two clients, have the same bits, or one of the two machines computes
 * wrongly. So the digests of this step's pieces and of the last one's are kept (a second answer may come behind the step).
 *
 * Owner: the core. Threads: one. */
#ifndef PS_WITNESS_H
#define PS_WITNESS_H

#include "common/wire/message.h"

typedef struct WitnessEntry {
    Range range; /* empty: free */
    int64_t at;
    uint64_t digest, client;
} WitnessEntry;

/* A table by range and piece, of one step. */
typedef struct WitnessStep {
    int64_t step;
    WitnessEntry *entries; /* [room], a power of two; owned */
    int64_t count, room;
} WitnessStep;

/* Zeroed is empty. */
typedef struct Witness {
    WitnessStep steps[2];
    int64_t differing; /* pieces of which two clients gave other bits */
} Witness;

/* A PUSH with its data. The client that gave the same piece with other bits; 0: none did. */
uint64_t witness_see(Witness *witness, const Msg *push);
void witness_release(Witness *witness);

#endif
