#include "worker/images/ahead.h"

#include "common/base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef enum { SLOT_FREE, SLOT_WAITING, SLOT_MAKING, SLOT_READY } SlotState;

typedef struct Slot {
    SlotState state;
    int64_t row, epoch, turn; /* turn: when it was announced */
    bool lent, stale;         /* stale: nobody will ask; freed once it is made */
    Err *fault;               /* owned; NULL: planes are good */
    uint8_t *planes;          /* in Ahead.planes */
} Slot;

struct Ahead {
    AheadMake make;
    const void *self;
    int64_t room;
    int thread_count;
    pthread_t *thread; /* [thread_count] */
    uint8_t *planes;   /* [room+1, size], owned */
    uint8_t *own;      /* the last of them: for what was not announced */
    /* lock guards all below; `work` wakes makers, `made` the caller */
    pthread_mutex_t lock;
    pthread_cond_t work, made;
    Slot *slot; /* [room] */
    int64_t turn;
    bool stopping;
};

static void clear(Slot *s)
{
    free(s->fault);
    *s = (Slot){ .planes = s->planes };
}

/* The slot in this state that was announced first; NULL: none. */
static Slot *first_in(Ahead *a, SlotState state)
{
    Slot *first = NULL;
    for (int64_t i = 0; i < a->room; i++)
        if (a->slot[i].state == state && (!first || a->slot[i].turn < first->turn))
            first = &a->slot[i];
    return first;
}

static Slot *find(Ahead *a, int64_t row, int64_t epoch)
{
    for (int64_t i = 0; i < a->room; i++) {
        Slot *s = &a->slot[i];
        if (s->state != SLOT_FREE && !s->lent && !s->stale && s->row == row && s->epoch == epoch)
            return s;
    }
    return NULL;
}

/* Called with the lock; gives it up meanwhile. */
static void make_slot(Ahead *a, Slot *s)
{
    Err err = { 0 };
    s->state = SLOT_MAKING;
    pthread_mutex_unlock(&a->lock);
    const bool ok = a->make(a->self, s->planes, s->row, s->epoch, &err);
    pthread_mutex_lock(&a->lock);
    s->state = SLOT_READY;
    if (!ok) {
        s->fault = xmalloc(sizeof err);
        *s->fault = err;
    }
    if (s->stale)
        clear(s);
    pthread_cond_signal(&a->made);
}

static void *maker(void *self)
{
    Ahead *a = self;
    pthread_mutex_lock(&a->lock);
    while (!a->stopping) {
        Slot *s = first_in(a, SLOT_WAITING);
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
    if (!mem_mul((size_t)size, (size_t)room + 1, &bytes)) {
        err_set(err, ERR_MEMORY, "no room for %lld images ahead", (long long)room);
        return NULL;
    }
    uint8_t *planes = mem_alloc(bytes, err);
    if (!planes)
        return NULL;
    Ahead *a = xcalloc(1, sizeof *a);
    *a = (Ahead){ .make = make, .self = self, .room = room, .planes = planes, .own = planes + room * size };
    a->slot = xcalloc((size_t)room, sizeof *a->slot);
    a->thread = xcalloc((size_t)threads, sizeof *a->thread);
    for (int64_t i = 0; i < room; i++)
        a->slot[i].planes = planes + i * size;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    pthread_cond_init(&a->made, NULL);
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
    for (int64_t i = 0; i < a->room; i++)
        clear(&a->slot[i]);
    pthread_cond_destroy(&a->work);
    pthread_cond_destroy(&a->made);
    pthread_mutex_destroy(&a->lock);
    free(a->slot);
    free(a->thread);
    free(a->planes);
    free(a);
}

void ahead_expect(Ahead *a, int64_t row, int64_t epoch)
{
    pthread_mutex_lock(&a->lock);
    Slot *s = find(a, row, epoch) ? NULL : first_in(a, SLOT_FREE);
    if (s) {
        *s = (Slot){ .state = SLOT_WAITING, .row = row, .epoch = epoch, .turn = ++a->turn, .planes = s->planes };
        pthread_cond_signal(&a->work);
    }
    pthread_mutex_unlock(&a->lock);
}

static void forget(Slot *s)
{
    if (s->state == SLOT_MAKING)
        s->stale = true;
    else
        clear(s);
}

/* Frees what the caller had, and what was announced before `turn` and passed over. */
static void tidy(Ahead *a, int64_t turn)
{
    for (int64_t i = 0; i < a->room; i++) {
        Slot *s = &a->slot[i];
        if (s->state != SLOT_FREE && (s->lent || s->turn < turn))
            forget(s);
    }
}

const uint8_t *ahead_take(Ahead *a, int64_t row, int64_t epoch, Err *err)
{
    pthread_mutex_lock(&a->lock);
    Slot *s = find(a, row, epoch);
    /* Not announced, though there is no room left to announce in: what is there is of a past plan. */
    tidy(a, s ? s->turn : first_in(a, SLOT_FREE) ? 0 : a->turn + 1);
    if (!s) {
        pthread_mutex_unlock(&a->lock);
        return a->make(a->self, a->own, row, epoch, err) ? a->own : NULL;
    }
    s->lent = true;
    if (s->state == SLOT_WAITING)
        make_slot(a, s);
    while (s->state != SLOT_READY)
        pthread_cond_wait(&a->made, &a->lock);
    const uint8_t *planes = s->fault ? NULL : s->planes;
    if (s->fault && err)
        *err = *s->fault;
    pthread_mutex_unlock(&a->lock);
    return planes;
}
