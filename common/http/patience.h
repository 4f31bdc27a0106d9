/* patience - connections from which a whole request has to come in time: whoever sends a byte now and then, of a head or
 * of a body of which no end is to be seen, holds its connection for so long and no longer. It is shut down then. And where more come than there is room for,
 * those make place who sit there in crowds: one address, which opens all the connections there are and is silent, keeps
 * no other out, while a proxy, from which all come, may have them all.
 *
 * Owner: the HTTP server. Threads: one of its own looks once a second; the others' calls come from the network thread. */
#ifndef COMMON_HTTP_PATIENCE_H
#define COMMON_HTTP_PATIENCE_H

#include "common/base/err.h"

#include <sys/socket.h>

typedef struct Patience Patience;
typedef struct PatienceGuest PatienceGuest; /* a connection */

/* most: guests at a time. Starts the thread. NULL with *err set. */
MUST_USE Patience *patience_open(double seconds, int most, Err *err);
void patience_close(Patience *patience); /* all have left; NULL is fine */

/* The socket stays open until patience_leave. Its time begins; if it is one too many, another's ends. */
PatienceGuest *patience_join(Patience *patience, int socket, const struct sockaddr *address);
void patience_leave(Patience *patience, PatienceGuest *guest);

void patience_asked(Patience *patience, PatienceGuest *guest); /* its request is whole: it has all the time */
void patience_answered(Patience *patience, PatienceGuest *guest); /* the time of the next one begins */

#endif
