/* piece_tokens - of a run whose file leaves parallel.micro_batch_tokens to the machine: then the first worker that asks
 * says how many there is room for, and all others follow.
 *
 * Threads: one. */
#ifndef PS_PIECE_TOKENS_H
#define PS_PIECE_TOKENS_H

typedef struct Run Run;

/* text: a worker's run file. What is no run file of ours, or comes too late, changes nothing. */
void piece_tokens_take(Run *run, const char *text);

/* A run begins, and nobody said a number: the usual one. */
void piece_tokens_settle(Run *run);

#endif
