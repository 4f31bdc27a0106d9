#include "common/http/patience.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The guests of one address. */
typedef struct Crowd {
    struct Crowd *next;
    unsigned char address[8];
    int count;
} Crowd;

struct PatienceGuest {
    PatienceGuest *next, **at;
    Crowd *crowd;
    int socket;
    bool waits; /* for its answer */
    bool cut;
    double since;
};

struct Patience {
    double seconds;
    int most;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below, and of the guests */
    pthread_cond_t over;
    PatienceGuest *first;
    Crowd *crowds;
    int count;
    bool closing, started;
};

/* ---- under the lock ----------------------------------------------------------------------- */

static void cut(PatienceGuest *guest)
{
    guest->cut = true;
    shutdown(guest->socket, SHUT_RDWR);
}

static void look(const Patience *p)
{
    const double now = clock_now();
    for (PatienceGuest *guest = p->first; guest; guest = guest->next)
        if (!guest->waits && now - guest->since > p->seconds)
            cut(guest);
}

/* What tells one who may send from there from others: IPv4's address, the network's half of IPv6's. */
static void key_of(unsigned char key[8], const struct sockaddr *address)
{
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;
    memset(key, 0, 8);
    if (address && address->sa_family == AF_INET)
        memcpy(key, &four->sin_addr, 4);
    else if (address && address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        memcpy(key, six->sin6_addr.s6_addr + 12, 4);
    else if (address && address->sa_family == AF_INET6)
        memcpy(key, six->sin6_addr.s6_addr, 8);
}

static Crowd *join_crowd(Patience *p, const struct sockaddr *address)
{
    unsigned char key[8];
    key_of(key, address);
    Crowd *crowd = p->crowds;
    while (crowd && memcmp(crowd->address, key, sizeof key) != 0)
        crowd = crowd->next;
    if (!crowd) {
        crowd = xcalloc(1, sizeof *crowd);
        memcpy(crowd->address, key, sizeof key);
        crowd->next = p->crowds;
        p->crowds = crowd;
    }
    crowd->count++;
    return crowd;
}

static void leave_crowd(Patience *p, Crowd *crowd)
{
    Crowd **at = &p->crowds;
    if (--crowd->count > 0)
        return;
    while (*at != crowd)
        at = &(*at)->next;
    *at = crowd->next;
    free(crowd);
}

static bool goes_before(const PatienceGuest *a, const PatienceGuest *b)
{
    return a->waits != b->waits ? b->waits : a->since < b->since;
}

/* One goes: of the address with the most guests, and among these who has asked for nothing the longest, or else has
 * waited the longest. Of equal addresses the one that was there first. */
static void make_place(Patience *p)
{
    const Crowd *largest = p->crowds;
    PatienceGuest *goes = NULL;
    for (const Crowd *crowd = p->crowds; crowd; crowd = crowd->next)
        largest = crowd->count >= largest->count ? crowd : largest;
    for (PatienceGuest *guest = p->first; guest; guest = guest->next)
        if (guest->crowd == largest && !guest->cut && (!goes || goes_before(guest, goes)))
            goes = guest;
    if (goes)
        cut(goes);
}

/* ---- life ---------------------------------------------------------------------------------- */

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

Patience *patience_open(double seconds, int most, Err *err)
{
    Patience *p = xcalloc(1, sizeof *p);
    pthread_condattr_t monotonic;
    p->seconds = seconds;
    p->most = most;
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

PatienceGuest *patience_join(Patience *p, int socket, const struct sockaddr *address)
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
    guest->crowd = join_crowd(p, address);
    if (++p->count > p->most)
        make_place(p);
    pthread_mutex_unlock(&p->lock);
    return guest;
}

void patience_leave(Patience *p, PatienceGuest *guest)
{
    pthread_mutex_lock(&p->lock);
    *guest->at = guest->next;
    if (guest->next)
        guest->next->at = guest->at;
    leave_crowd(p, guest->crowd);
    p->count--;
    pthread_mutex_unlock(&p->lock);
    free(guest);
}

void patience_asked(Patience *p, PatienceGuest *guest)
{
    pthread_mutex_lock(&p->lock);
    guest->waits = true;
    guest->since = clock_now();
    pthread_mutex_unlock(&p->lock);
}

void patience_answered(Patience *p, PatienceGuest *guest)
{
    pthread_mutex_lock(&p->lock);
    guest->waits = false;
    guest->since = clock_now();
    pthread_mutex_unlock(&p->lock);
}
