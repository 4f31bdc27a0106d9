/* relay - what a job of workers says on stderr: its own words go on to ours, line by line. Open MPI's are
 * kept back: they repeat in many lines what a worker has said in one, but are all there is when MPI itself
 * could not go on.
 *
 * Owner: supervise.c. Threads: one. */
#ifndef LAUNCH_RELAY_H
#define LAUNCH_RELAY_H

#include "common/base/text.h"

typedef struct Relay {
    int heard; /* reading end of the job's stderr, owned; -1: it is closed */
    Text line; /* begun */
    Text kept; /* of Open MPI's words, whole lines, each once */
    bool message; /* between two of its dashed lines */
    bool error; /* a worker said itself what is wrong */
} Relay;

void relay_init(Relay *relay, int heard); /* takes the descriptor */
void relay_release(Relay *relay);

/* Passes on what is there, waiting for it for at most so many seconds. */
void relay_pump(Relay *relay, double seconds);

/* One line without its end. True: it is to be passed on. */
bool relay_take(Relay *relay, const char *line);

#endif
