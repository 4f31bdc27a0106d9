/* patience - connections from which a whole request has to come in time: whoever sends a byte now and then, of a head or
 * of a body of which no end is to be seen, holds its connection for so long and no longer. It is shut down then.
 *
 * Owner: the HTTP server. Threads: one of its own looks once a second; the others' calls come from the network thread. */
#ifndef COMMON_HTTP_PATIENCE_H
#define COMMON_HTTP_PATIENCE_H

#include "common/base/err.h"

typedef struct Patience Patience;
typedef struct PatienceGuest PatienceGuest; /* a connection */

/* Starts the thread. NULL with *err set. */
MUST_USE Patience *patience_open(double seconds, Err *err);
void patience_close(Patience *patience); /* all have left; NULL is fine */

/* The socket stays open until patience_leave. Its time begins. */
PatienceGuest *patience_join(Patience *patience, int socket);
void patience_leave(Patience *patience, PatienceGuest *guest);

void patience_asked(Patience *patience, PatienceGuest *guest); /* its request is whole: it has all the time */
void patience_answered(Patience *patience, PatienceGuest *guest); /* the time of the next one begins */

#endif
