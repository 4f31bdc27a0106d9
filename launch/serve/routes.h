/* routes - which path is answered by whom, to whom it is open, what is counted and logged of each request.
 *
 * Owner: cmd_serve. Threads: the network thread calls the handler. */
#ifndef LAUNCH_SERVE_ROUTES_H
#define LAUNCH_SERVE_ROUTES_H

#include "launch/serve/service.h"

/* Borrows the service. */
HttpHandler routes_handler(Service *service);

#endif
