#include "worker/images/ahead.h"

#include "common/base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

typedef enum { SLOT_FREE, SLOT_WAITING, SLOT_MAKING, SLOT_READY } SlotState;

typedef struct AheadPicture {
    SlotState state;
    int64_t row, epoch;
    int64_t turn; /* its place among those expected at once */
    bool stale; /* nobody will ask; freed once it is made */
    uint8_t *planes; /* in Ahead.planes */
} AheadPicture;

struct Ahead {
    AheadMake make;
    const void *self;
    int64_t size, room;
    int thread_count;
    pthread_t *thread; /* [thread_count] */
    uint8_t *planes; /* [room, size], owned */
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work; /* wakes makers */
    AheadPicture *slot; /* [room] */
    bool stopping;
};

static void clear(AheadPicture *s)
{
    *s = (AheadPicture){ .planes = s->planes };
}

static AheadPicture *first_in(Ahead *a, SlotState state)
{
    AheadPicture *first = NULL;
    for (int64_t i = 0; i < a->room; i++)
        if (a->slot[i].state == state && (!first || a->slot[i].turn < first->turn))
            first = &a->slot[i];
    return first;
}

static AheadPicture *find(Ahead *a, int64_t row, int64_t epoch)
{
    for (int64_t i = 0; i < a->room; i++) {
        AheadPicture *s = &a->slot[i];
        if (s->state != SLOT_FREE && !s->stale && s->row == row && s->epoch == epoch)
            return s;
    }
    return NULL;
}

/* Called with the lock; gives it up meanwhile. A fault is left to whoever asks for the image. */
static void make_slot(Ahead *a, AheadPicture *s)
{
    s->state = SLOT_MAKING;
    pthread_mutex_unlock(&a->lock);
    const bool ok = a->make(a->self, s->planes, s->row, s->epoch, NULL);
    pthread_mutex_lock(&a->lock);
    if (ok && !s->stale)
        s->state = SLOT_READY;
    else
        clear(s);
}

static void *maker(void *self)
{
    Ahead *a = self;
    const struct sched_param plain = { 0 };
    sched_setscheduler(0, SCHED_IDLE, &plain); /* of this thread; where it is refused, makers take their turns */
    pthread_mutex_lock(&a->lock);
    while (!a->stopping) {
        AheadPicture *s = first_in(a, SLOT_WAITING);
        if (s)
            make_slot(a, s);
        else
            pthread_cond_wait(&a->work, &a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

Ahead *ahead_start(AheadMake make, const void *self, int64_t size, int64_t room, int threads, Err *err)
{
    REQUIRE(size > 0 && room > 0 && threads > 0);
    size_t bytes;
    if (!mem_mul((size_t)size, (size_t)room, &bytes)) {
        err_set(err, ERR_MEMORY, "no room for %lld images ahead", (long long)room);
        return NULL;
    }
    uint8_t *planes = mem_alloc(bytes, err);
    if (!planes)
        return NULL;
    Ahead *a = xcalloc(1, sizeof *a);
    *a = (Ahead){ .make = make, .self = self, .size = size, .room = room, .planes = planes };
    a->slot = xcalloc((size_t)room, sizeof *a->slot);
    a->thread = xcalloc((size_t)threads, sizeof *a->thread);
    for (int64_t i = 0; i < room; i++)
        a->slot[i].planes = planes + i * size;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&a->thread[i], NULL, maker, a) != 0) {
            ahead_stop(a);
            err_set(err, ERR_MEMORY, "no room for a thread that loads images");
            return NULL;
        }
        a->thread_count++;
    }
    return a;
}

void ahead_stop(Ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->stopping = true;
    pthread_cond_broadcast(&a->work);
    pthread_mutex_unlock(&a->lock);
    for (int i = 0; i < a->thread_count; i++)
        pthread_join(a->thread[i], NULL);
    pthread_cond_destroy(&a->work);
    pthread_mutex_destroy(&a->lock);
    free(a->slot);
    free(a->thread);
    free(a->planes);
    free(a);
}

void ahead_expect(Ahead *a, const uint32_t *rows, int64_t count, int64_t epoch)
{
    pthread_mutex_lock(&a->lock);
    for (int64_t i = 0; i < a->room; i++) {
        if (a->slot[i].state == SLOT_MAKING)
            a->slot[i].stale = true;
        else
            clear(&a->slot[i]);
    }
    for (int64_t i = 0; i < count; i++) {
        AheadPicture *s = first_in(a, SLOT_FREE);
        if (!s)
            break;
        *s = (AheadPicture){ .state = SLOT_WAITING, .row = rows[i], .epoch = epoch, .turn = i, .planes = s->planes };
    }
    pthread_cond_broadcast(&a->work);
    pthread_mutex_unlock(&a->lock);
}

/* A maker that has begun is not waited for: it may not get a core for long. */
bool ahead_take(Ahead *a, uint8_t *planes, int64_t row, int64_t epoch, Err *err)
{
    pthread_mutex_lock(&a->lock);
    AheadPicture *s = find(a, row, epoch);
    const bool ready = s && s->state == SLOT_READY;
    if (ready)
        memcpy(planes, s->planes, (size_t)a->size);
    if (s && s->state == SLOT_MAKING)
        s->stale = true;
    else if (s)
        clear(s);
    pthread_mutex_unlock(&a->lock);
    return ready || a->make(a->self, planes, row, epoch, err);
}
