/* orders - what `lora drain`, `lora checkpoint` and `lora stop` ask of a server: a STATUS message with a word in it.
 *
 * Whoever may connect may give orders; a server that others can reach and that has no keys takes none.
 *
 * Threads: the server's. */
#ifndef PS_ORDERS_H
#define PS_ORDERS_H

#include <stdbool.h>

typedef struct Run Run;

typedef struct OrderAnswer {
    char *said; /* a sentence; owned by the caller. NULL: no order was given */
    bool refused; /* and `said` tells why */
    bool stop; /* the server leaves as for SIGTERM */
} OrderAnswer;

/* word: of the message; NULL: it only asks. workers: is anybody there? */
OrderAnswer orders_take(Run *run, const char *word, bool allowed, bool workers);

#endif
