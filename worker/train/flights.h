/* flights - the micro-batches of a rank that are on their way: through its stage of the model, and over the boundaries to
 * the stages before and behind.
 *
 * Rows come in and gradients come back while others are computed: their places are given to the courier ahead
 * (group.h). What goes out lies in two buffers each way, so that the next may be computed while one travels. A
 * micro-batch without examples is no message, on any stage.
 *
 * Owner: the job's step. Threads: the main thread. Collective: the stages of a lane call flights_train, or flights_pass,
 * for the same micro-batches in the same order. */
#ifndef WORKER_TRAIN_FLIGHTS_H
#define WORKER_TRAIN_FLIGHTS_H

#include "worker/comm/group.h"
#include "worker/data/batch_room.h"
#include "worker/model/model.h"
#include "worker/train/order.h"

enum { FLIGHTS_OUT = 2 }; /* buffers of what goes out, or comes back */

/* A micro-batch between forward and backward. */
typedef struct Flight {
    BatchRoom room;
    Batch batch;
    float *in; /* [most_tokens, width_in] rows that came in; NULL: the first stage */
    int ticket; /* of in */
    bool failed; /* its examples cannot be read: it is nothing but a place in the order */
} Flight;

/* What goes to one neighbour, or comes back from it. */
typedef struct Belt {
    float *rows[FLIGHTS_OUT]; /* NULL: nothing does */
    int ticket[FLIGHTS_OUT]; /* -1: the buffer is free */
} Belt;

/* Zeroed is empty. */
typedef struct Flights {
    const Group *lane; /* the stages, borrowed */
    Model *model; /* borrowed */
    int64_t C;
    int count;
    Flight *flights; /* [count] */
    Belt up, down, back; /* rows to the next stage; gradients to the one before; gradients from the next */
    int64_t gone_up, come_back, expected; /* micro-batches; gradients that have a place */
    int64_t passed; /* chunks of evaluations */
} Flights;

typedef struct FlightsOptions {
    const Group *lane; /* of one rank: the whole model */
    Model *model; /* opened for `count` flights */
    int64_t C, most_tokens;
    int count;
    BatchSize size; /* of a micro-batch */
} FlightsOptions;

MUST_USE bool flights_open(Flights *flights, const FlightsOptions *options, Err *err);
void flights_release(Flights *flights);

/* The i-th of the micro-batches that are trained. */
typedef struct FlightsWork {
    void *self;
    int64_t step, count; /* micro-batches, none of them empty */
    void (*fill)(void *self, int64_t i, Flight *flight); /* sets its batch, all but the pixels */
    void (*begin)(void *self, int64_t i, Flight *flight); /* before its forward: pixels; may say that it failed */
    float *(*room)(void *self, int64_t i); /* where its gradient goes */
    void (*end)(void *self, int64_t i, const Flight *flight, const BatchLoss *loss); /* which is there now */
    /* Of a model that embeds, else NULL: the gradient at its outputs; where those of a forward go. */
    const float *(*pull)(void *self, int64_t i);
    float *out;
    bool ready; /* the first one's forward is made, and kept in flights[0] */
} FlightsWork;

/* Forward and backward of all; the model is bound to the values. Backwards end in the order of the numbers. */
void flights_train(Flights *flights, const FlightsWork *work);

/* One more chunk of an evaluation, in flights[0]: on a stage behind the first its rows come in (batch->rows is set), on
 * one before the last what it makes of them goes on. */
void flights_take(Flights *flights, Batch *batch);
void flights_pass(Flights *flights, const Batch *batch, const float *values);

/* Behind the last chunk: waits until all has gone. */
void flights_settle(Flights *flights);

#endif
