/* jobs - what requests ask for, computed by one thread with all cores: texts that are written beside each other, or
 * rows that are classified together, of any adapters. A bounded queue stands before it, first come first served.
 *
 * A request is an ServeExchange with one job a prompt or row. It belongs to the network thread until jobs_add, and to both
 * until jobs_end; what both touch is said to be under the lock. Whoever is last frees it.
 *
 * Owner: the service. Threads: those two. */
#ifndef LAUNCH_SERVE_JOBS_H
#define LAUNCH_SERVE_JOBS_H

#include "common/http/http.h"
#include "launch/named_adapter.h"
#include "launch/serve/figures.h"
#include "launch/serve/token_log.h"
#include "worker/eval/writer.h"

/* An adapter that is served, and how many jobs are with it. Under the lock. */
typedef struct ServedAdapter {
    NamedAdapter *named;
    int64_t uses, created;
    bool gone; /* unloaded: the last job frees it */
} ServedAdapter;

typedef enum { JOB_WAITS, JOB_RUNS, JOB_DONE } JobState;
typedef enum { JOB_RIGHT, JOB_LEFT, JOB_LATE_IN_QUEUE, JOB_LATE, JOB_BROKEN, JOB_DRAINED } JobEnd;

typedef struct ServeJob {
    struct ServeExchange *exchange;
    struct ServeJob *next; /* in the queue; under the lock */
    /* a text */
    Writing writing;
    GenerateOptions options;
    DecodeStream *decoder;
    TokenLog *log; /* NULL: none is kept; what it has of the first `tokens` may be read */
    Text fresh; /* written by the compute thread since the last step */
    /* a row */
    Encoding encoding;
    float *pixels; /* owned */
    float *logits; /* owned; written before it is done */
    int64_t logit_count;
    /* under the lock */
    JobState state;
    JobEnd end;
    Text text; /* so far */
    int64_t tokens; /* of the text */
    bool stopped; /* at an end or stop, not at the last token */
} ServeJob;

/* A request as both threads know it. Freed by jobs_end, or by the compute thread behind it. */
typedef struct ServeExchange {
    HttpRequest *request; /* NULL: it is over; under the lock */
    ServedAdapter *served;
    ServeJob *jobs; /* [count] owned */
    int64_t count;
    int64_t open; /* jobs that are not done; under the lock */
    double began, started, first, ended; /* clock_now: asked, left the queue, first token, done; 0: not yet */
    int64_t prompt_tokens;
    /* the network thread's */
    void *form; /* what it has to remember of the request, owned */
    void (*form_free)(void *form);
} ServeExchange;

typedef struct JobsOptions {
    Session *session; /* these are borrowed */
    Figures *figures;
    int64_t most_queue; /* jobs that wait */
    int64_t lanes, kv_tokens; /* texts at a time; tokens that all of them can hold, 0: each the longest */
    int64_t most_labels; /* of an adapter */
    double queue_seconds, request_seconds;
} JobsOptions;

typedef struct Jobs Jobs;

/* Starts the thread. NULL with *err set. */
MUST_USE Jobs *jobs_open(const JobsOptions *options, Err *err);
void jobs_stop(Jobs *jobs); /* what is on its way ends as JOB_DRAINED, and the thread with it */
void jobs_close(Jobs *jobs); /* stops, too; all exchanges have ended */

void jobs_lock(Jobs *jobs);
void jobs_unlock(Jobs *jobs);

ServeExchange *exchange_new(HttpRequest *request, ServedAdapter *served, int64_t count);
void exchange_free(ServeExchange *exchange); /* before jobs_add; behind it jobs_end */

/* Counts a use of the adapter, under the lock; the exchange's end, or this one's opposite, takes it back. */
void jobs_use(ServedAdapter *served);
void jobs_unuse(Jobs *jobs, ServedAdapter *served);

/* False: the queue is full, and nothing was added. */
MUST_USE bool jobs_add(Jobs *jobs, ServeExchange *exchange);

/* The request is over: what it still waits for is given up. */
void jobs_end(Jobs *jobs, ServeExchange *exchange);

/* Under the lock. */
bool jobs_are_done(const ServeExchange *exchange);
JobEnd jobs_fault(const ServeExchange *exchange); /* the first that is not JOB_RIGHT */

void jobs_now(Jobs *jobs, FiguresNow *now); /* fills what it knows of */
double jobs_wait_seconds(Jobs *jobs); /* that a job waits, by the rate of the last ones */

#endif
