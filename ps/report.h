/* report - the state of a server and its run as one JSON object: what `lora status`, the status page and /metrics show.
 *
 * Keys: state (waiting, training, evaluating, paused, over), draining, degraded (a sentence, or null), step, total_steps, epoch, epochs,
 * loss, learning_rate, tokens_per_second, seconds, seconds_left, evaluation (the last one), best, clients, ranks,
 * quarantined, micro_batches, pieces (of the open round: total, done, runs of [begin, end, owner's place in workers or
 * -1, done]), workers (a row each), traffic, memory, durable, refused, events, and whose it is: run, output_dir, started.
 *
 * Owner: the caller, of the text. Threads: the server's. */
#ifndef PS_REPORT_H
#define PS_REPORT_H

#include "common/base/json.h"
#include "ps/core.h"

typedef struct Run Run;

/* What only the server knows. */
typedef struct ReportServer {
    double started; /* seconds since 1970 */
    int64_t malformed; /* messages */
    const char *address; /* where it listens */
    const char *refusal; /* of the order that is answered; NULL: none, or it was taken */
    const char *answer; /* to the order; NULL: none was given */
    int64_t (*memory_of)(const void *self, uint64_t client); /* bytes of a worker; 0: it has not said */
    const void *self;
} ReportServer;

enum { REPORT_WORKERS = 2000 }; /* rows at the most: it travels in one message */

json_t *report_json(const Run *run, const PsCore *core, const ReportServer *server, double now);
char *report_text(const Run *run, const PsCore *core, const ReportServer *server, double now);

#endif
