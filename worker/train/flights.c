#include "worker/train/flights.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Kinds of messages between neighbours. */
enum { ROWS = 1, GRADIENTS };

static bool has_next(const Flights *f)
{
    return f->lane->rank + 1 < f->lane->size;
}

static size_t bytes_of(const Flight *flight, int64_t width)
{
    return (size_t)(flight->batch.N * width) * sizeof(float);
}

/* ---- memory ----------------------------------------------------------------------------------------- */

static bool floats(float **at, int64_t count, Err *err)
{
    *at = mem_alloc((size_t)count * sizeof **at, err);
    if (*at)
        return true;
    return err_hint(err, "lower parallel.micro_batch_tokens");
}

static bool belt_open(Belt *belt, bool wanted, int64_t count, Err *err)
{
    for (int k = 0; k < FLIGHTS_OUT; k++) {
        belt->ticket[k] = -1;
        if (wanted && !floats(&belt->rows[k], count, err))
            return false;
    }
    return true;
}

static void belt_release(Belt *belt)
{
    for (int k = 0; k < FLIGHTS_OUT; k++)
        free(belt->rows[k]);
    *belt = (Belt){ 0 };
}

bool flights_open(Flights *f, const FlightsOptions *o, Err *err)
{
    const int64_t in = model_width_in(o->model), out = model_width_out(o->model), most = o->most_tokens;
    *f = (Flights){ .lane = o->lane, .model = o->model, .C = o->C, .count = o->count };
    f->flights = xcalloc((size_t)o->count, sizeof *f->flights);
    for (int i = 0; i < o->count; i++)
        if (!batch_room(&f->flights[i].room, &o->size, err) || (in > 0 && !floats(&f->flights[i].in, most * in, err)))
            return false;
    return belt_open(&f->up, out > 0, most * out, err) &&
           belt_open(&f->down, model_pulls(o->model), most * o->C, err) &&
           belt_open(&f->back, model_is_pulled(o->model), most * o->C, err);
}

void flights_release(Flights *f)
{
    for (int i = 0; i < f->count; i++) {
        batch_release(&f->flights[i].room);
        free(f->flights[i].in);
    }
    free(f->flights);
    belt_release(&f->up);
    belt_release(&f->down);
    belt_release(&f->back);
    *f = (Flights){ 0 };
}

/* ---- over the boundaries -------------------------------------------------------------------------------- */

/* Buffer i, whose last message has gone. */
static float *belt_room(const Flights *f, Belt *belt, int64_t i)
{
    const int64_t k = i % FLIGHTS_OUT;
    if (belt->ticket[k] >= 0)
        group_wait(f->lane, belt->ticket[k]);
    belt->ticket[k] = -1;
    return belt->rows[k];
}

static void belt_send(const Flights *f, Belt *belt, int64_t i, int to, int kind, size_t bytes)
{
    const int64_t k = i % FLIGHTS_OUT;
    belt->ticket[k] = group_send(f->lane, to, kind, belt->rows[k], bytes);
}

static void belt_settle(const Flights *f, Belt *belt)
{
    for (int k = 0; k < FLIGHTS_OUT; k++)
        belt_room(f, belt, k);
}

static void expect_rows(const Flights *f, Flight *flight, int64_t width)
{
    if (flight->in)
        flight->ticket = group_receive(f->lane, f->lane->rank - 1, ROWS, flight->in, bytes_of(flight, width));
}

static void await_rows(const Flights *f, Flight *flight)
{
    if (flight->in)
        group_wait(f->lane, flight->ticket);
    flight->batch.rows = flight->in;
}

/* ---- training --------------------------------------------------------------------------------------------- */

static Flight *flight_of(const Flights *f, int64_t i)
{
    return &f->flights[i % f->count];
}

/* Gives places to the gradients of what has gone up, as far as there are any. */
static void expect_gradients(Flights *f)
{
    while (f->back.rows[0] && f->expected < f->gone_up && f->expected < f->come_back + FLIGHTS_OUT) {
        const int64_t k = f->expected % FLIGHTS_OUT;
        f->back.ticket[k] = group_receive(f->lane, f->lane->rank + 1, GRADIENTS, f->back.rows[k],
                                          bytes_of(flight_of(f, f->expected), f->C));
        f->expected++;
    }
}

/* Its examples are known: how long its messages are, too. */
static void prepare(Flights *f, const FlightsWork *work, int64_t i)
{
    if (i >= work->count)
        return;
    Flight *flight = flight_of(f, i);
    flight->failed = false;
    work->fill(work->self, i, flight);
    expect_rows(f, flight, model_width_in(f->model));
}

static void go_up(Flights *f, const FlightsWork *work, int64_t i)
{
    Flight *flight = flight_of(f, i);
    const int64_t width = model_width_out(f->model);
    float *out = width > 0 ? belt_room(f, &f->up, i) : NULL;
    await_rows(f, flight);
    work->begin(work->self, i, flight);
    if (!flight->failed && !(work->ready && i == 0))
        model_forward(f->model, (int)(i % f->count), &flight->batch, work->step, work->out ? work->out : out);
    else if (out)
        memset(out, 0, bytes_of(flight, width));
    if (out)
        belt_send(f, &f->up, i, f->lane->rank + 1, ROWS, bytes_of(flight, width));
    f->gone_up = i + 1;
    expect_gradients(f);
}

static void come_back(Flights *f, const FlightsWork *work, int64_t i)
{
    const int slot = (int)(i % f->count);
    Flight *flight = &f->flights[slot];
    const float *dout = work->pull ? work->pull(work->self, i) : f->back.rows[0] ? belt_room(f, &f->back, i) : NULL;
    float *dx = f->down.rows[0] ? belt_room(f, &f->down, i) : NULL, *grad = work->room(work->self, i);
    BatchLoss loss = { 0 };
    if (flight->failed)
        memset(grad, 0, (size_t)model_slot_size(f->model) * sizeof *grad);
    else
        loss = model_backward(f->model, slot, &flight->batch, work->step, dout, grad, dx);
    if (dx)
        belt_send(f, &f->down, i, f->lane->rank - 1, GRADIENTS, bytes_of(flight, f->C));
    f->come_back = i + 1;
    expect_gradients(f);
    work->end(work->self, i, flight, &loss);
}

void flights_train(Flights *f, const FlightsWork *work)
{
    const int stages = f->lane->size, stage = f->lane->rank;
    f->gone_up = f->come_back = f->expected = 0;
    for (int64_t i = 0; i < f->count; i++)
        prepare(f, work, i);
    for (int64_t k = 0; k < 2 * work->count; k++) {
        const OrderStep step = order_step(stages, stage, work->count, k);
        if (!step.back) {
            go_up(f, work, step.i);
            continue;
        }
        come_back(f, work, step.i);
        prepare(f, work, step.i + f->count);
    }
    flights_settle(f);
}

void flights_settle(Flights *f)
{
    belt_settle(f, &f->up);
    belt_settle(f, &f->down);
}

/* ---- evaluation --------------------------------------------------------------------------------------------- */

void flights_take(Flights *f, Batch *batch)
{
    Flight *flight = &f->flights[0];
    flight->batch = *batch;
    expect_rows(f, flight, f->C);
    await_rows(f, flight);
    *batch = flight->batch;
}

void flights_pass(Flights *f, const Batch *batch, const float *values)
{
    REQUIRE(has_next(f));
    float *out = belt_room(f, &f->up, f->passed);
    model_give_on(f->model, batch, values, out);
    belt_send(f, &f->up, f->passed++, f->lane->rank + 1, ROWS, (size_t)(batch->N * f->C) * sizeof *out);
}
