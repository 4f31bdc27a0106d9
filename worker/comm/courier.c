/* DESIGN. A table of parcels, each FREE, LEFT by the caller, MOVING, or DONE. The caller makes LEFT of FREE and FREE of
 * DONE, the thread makes MOVING of LEFT and DONE of MOVING; a lock guards these steps, no MPI call is made under it.
 * Parcels start to move in the order in which they were left, as MPI keeps the order of a pair's messages. */
#include "worker/comm/courier.h"

#include "common/base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { PARCELS = 256 };

typedef enum { FREE, LEFT, MOVING, DONE } ParcelState;

typedef struct Carriage {
    ParcelState state;
    Parcel parcel;
    MPI_Comm circle;
    MPI_Request request;
} Carriage;

struct Courier {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t left, done; /* something was left, something is done */
    bool stops;
    Carriage places[PARCELS];
    int order[PARCELS]; /* a ring of those that are LEFT */
    int order_first, order_count;
    int moving;
};

/* ---- the thread ----------------------------------------------------------------------------------- */

static void start_moving(Carriage *place)
{
    const Parcel *p = &place->parcel;
    if (p->sends)
        MPI_Isend(p->bytes, (int)p->size, MPI_BYTE, p->peer, p->kind, place->circle, &place->request);
    else
        MPI_Irecv(p->bytes, (int)p->size, MPI_BYTE, p->peer, p->kind, place->circle, &place->request);
}

/* Takes up what was left; true: something was. */
static bool take_up(Courier *c)
{
    bool any = false;
    pthread_mutex_lock(&c->lock);
    while (c->order_count > 0) {
        Carriage *place = &c->places[c->order[c->order_first]];
        c->order_first = (c->order_first + 1) % PARCELS;
        c->order_count--;
        pthread_mutex_unlock(&c->lock);
        start_moving(place);
        pthread_mutex_lock(&c->lock);
        place->state = MOVING;
        c->moving++;
        any = true;
    }
    pthread_mutex_unlock(&c->lock);
    return any;
}

/* True: something arrived. */
static bool look_after(Courier *c)
{
    bool any = false;
    for (int i = 0; i < PARCELS; i++) {
        int done = 0;
        pthread_mutex_lock(&c->lock);
        const bool moves = c->places[i].state == MOVING;
        pthread_mutex_unlock(&c->lock);
        if (!moves)
            continue;
        MPI_Test(&c->places[i].request, &done, MPI_STATUS_IGNORE);
        if (!done)
            continue;
        pthread_mutex_lock(&c->lock);
        c->places[i].state = DONE;
        c->moving--;
        pthread_cond_broadcast(&c->done);
        pthread_mutex_unlock(&c->lock);
        any = true;
    }
    return any;
}

/* Until something is left, or for a while where parcels are moving. */
static bool rest(Courier *c, long nanoseconds)
{
    pthread_mutex_lock(&c->lock);
    if (c->moving == 0) {
        while (!c->stops && c->order_count == 0)
            pthread_cond_wait(&c->left, &c->lock);
    } else if (c->order_count == 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += nanoseconds;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&c->left, &c->lock, &until);
    }
    const bool stops = c->stops && c->moving == 0 && c->order_count == 0;
    pthread_mutex_unlock(&c->lock);
    return !stops;
}

static void *carry(void *self)
{
    const long shortest = 50000, longest = 1000000;
    Courier *c = self;
    long pause = shortest;
    while (rest(c, pause)) {
        const bool took = take_up(c), arrived = look_after(c);
        pause = took || arrived ? shortest : pause < longest ? 2 * pause : longest;
    }
    return NULL;
}

/* ---- the caller ------------------------------------------------------------------------------------- */

Courier *courier_open(Err *err)
{
    Courier *c = xcalloc(1, sizeof *c);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->left, &monotonic);
    pthread_cond_init(&c->done, NULL);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&c->thread, NULL, carry, c) == 0)
        return c;
    err_set(err, ERR_MEMORY, "there is no thread for messages between ranks");
    err_hint(err, "ulimit -u is too low");
    free(c);
    return NULL;
}

void courier_close(Courier *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stops = true;
    pthread_cond_signal(&c->left);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->left);
    pthread_cond_destroy(&c->done);
    free(c);
}

int courier_post(Courier *c, MPI_Comm circle, const Parcel *parcel)
{
    REQUIRE(parcel->size < 1U << 31);
    pthread_mutex_lock(&c->lock);
    int at = 0;
    while (at < PARCELS && c->places[at].state != FREE)
        at++;
    REQUIRE(at < PARCELS);
    c->places[at] = (Carriage){ .state = LEFT, .parcel = *parcel, .circle = circle, .request = MPI_REQUEST_NULL };
    c->order[(c->order_first + c->order_count++) % PARCELS] = at;
    pthread_cond_signal(&c->left);
    pthread_mutex_unlock(&c->lock);
    return at;
}

void courier_wait(Courier *c, int ticket)
{
    REQUIRE(ticket >= 0 && ticket < PARCELS);
    Carriage *place = &c->places[ticket];
    pthread_mutex_lock(&c->lock);
    REQUIRE(place->state != FREE);
    while (place->state != DONE)
        pthread_cond_wait(&c->done, &c->lock);
    place->state = FREE;
    pthread_mutex_unlock(&c->lock);
}
