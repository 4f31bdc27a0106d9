/* trace - the steps of a run over time, of server and clients, as Chrome's trace event format (chrome://tracing,
 * ui.perfetto.dev). All times are of the server's clock, so nothing has to be compared between machines.
 *
 *   server     step N: until it was made; made: AdamW, log, checkpoint, and what else was done before the next message
 *   a client   lease: from sending it to the last of its sums; within it what the client says that computing took,
 *              before the first sum came: around it the values and sums travelled; between leases it waited
 *
 * Owner: the server. Threads: one. */
#ifndef PS_TRACE_H
#define PS_TRACE_H

#include "common/wire/message.h"

typedef struct Trace Trace;

enum { TRACE_EVENTS = 2000000 }; /* at most; then it says so, and writes no more */

/* A file that is there is gone on with, as a server does that was started again. */
MUST_USE Trace *trace_open(const char *path, double now, Err *err);
void trace_close(Trace *trace); /* NULL is fine, here and below: nobody wants a trace */

void trace_received(Trace *trace, const Msg *msg, double now); /* before the core has it */
void trace_handled(Trace *trace, int64_t before, int64_t after, double begin, double now); /* versions around it */
void trace_sent(Trace *trace, const Msg *msg, double now);

#endif
