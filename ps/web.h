/* web - a server's state over HTTP, for people and for Prometheus:
 *
 *   /               the status page: one file, which asks nobody but this server
 *   /status.json    ps/report.h
 *   /metrics.jsonl  the run's file, also in part (Range: bytes=N-)
 *   /metrics        Prometheus' text format
 *   /healthz        200, or 503 with a sentence: the loop does not turn, or steps are not durable
 *
 * Nothing can be changed by it, and it asks for no key: so it listens on loopback, or where ps.insecure allows it.
 * The network thread sees what the server's loop last showed, and the file; never the run or the core.
 *
 * Owner: the server. Threads: web_open, web_show, web_close: the server's. */
#ifndef PS_WEB_H
#define PS_WEB_H

#include "common/base/err.h"

typedef struct Web Web;

typedef struct WebOptions {
    const char *address; /* HOST:PORT; PORT 0: any that is free */
    const char *metrics; /* path of metrics.jsonl */
    bool insecure; /* may listen where others can reach it */
} WebOptions;

/* Copies options. NULL with *err set: no such address, it is taken, or it may not be used. */
MUST_USE Web *web_open(const WebOptions *options, Err *err);
void web_close(Web *web); /* NULL is fine */

int web_port(const Web *web);

/* From now on this is shown. Takes both texts, which were malloc'ed; sick: why /healthz is not well, NULL: it is. */
void web_show(Web *web, char *status, char *metrics, const char *sick);

#endif
