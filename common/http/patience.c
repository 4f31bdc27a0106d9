#include "common/http/patience.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct PatienceGuest {
    PatienceGuest *next, **at;
    int socket;
    bool waits; /* for its answer */
    double since;
};

struct Patience {
    double seconds;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below, and of the guests */
    pthread_cond_t over;
    PatienceGuest *first;
    bool closing, started;
};

/* Under the lock. */
static void look(const Patience *p)
{
    const double now = clock_now();
    for (const PatienceGuest *guest = p->first; guest; guest = guest->next)
        if (!guest->waits && now - guest->since > p->seconds)
            shutdown(guest->socket, SHUT_RDWR);
}

static void *watch(void *self)
{
    Patience *p = self;
    pthread_mutex_lock(&p->lock);
    while (!p->closing) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&p->over, &p->lock, &until);
        look(p);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

Patience *patience_open(double seconds, Err *err)
{
    Patience *p = xcalloc(1, sizeof *p);
    pthread_condattr_t monotonic;
    p->seconds = seconds;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->over, &monotonic);
    pthread_condattr_destroy(&monotonic);
    p->started = pthread_create(&p->thread, NULL, watch, p) == 0;
    if (p->started)
        return p;
    err_set(err, ERR_IO, "no thread can be started");
    patience_close(p);
    return NULL;
}

void patience_close(Patience *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    REQUIRE(!p->first);
    p->closing = true;
    pthread_cond_signal(&p->over);
    pthread_mutex_unlock(&p->lock);
    if (p->started)
        pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->over);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

PatienceGuest *patience_join(Patience *p, int socket)
{
    PatienceGuest *guest = xcalloc(1, sizeof *guest);
    guest->socket = socket;
    guest->since = clock_now();
    pthread_mutex_lock(&p->lock);
    guest->next = p->first;
    guest->at = &p->first;
    if (guest->next)
        guest->next->at = &guest->next;
    p->first = guest;
    pthread_mutex_unlock(&p->lock);
    return guest;
}

void patience_leave(Patience *p, PatienceGuest *guest)
{
    pthread_mutex_lock(&p->lock);
    *guest->at = guest->next;
    if (guest->next)
        guest->next->at = guest->at;
    pthread_mutex_unlock(&p->lock);
    free(guest);
}

void patience_asked(Patience *p, PatienceGuest *guest)
{
    pthread_mutex_lock(&p->lock);
    guest->waits = true;
    pthread_mutex_unlock(&p->lock);
}

void patience_answered(Patience *p, PatienceGuest *guest)
{
    pthread_mutex_lock(&p->lock);
    guest->waits = false;
    guest->since = clock_now();
    pthread_mutex_unlock(&p->lock);
}
