#include "ps/events.h"

#include "common/base/log.h"
#include "common/base/text.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { KEPT = 64, AREA = 16, LINE = 400 };

typedef struct Event {
    int64_t number;
    double time;
    LogLevel level;
    char area[AREA], line[LINE];
} Event;

/* The log has one sink, so there is one list. */
static struct {
    pthread_mutex_t lock; /* of all the others */
    Event ring[KEPT];
    int64_t count; /* ever */
} events = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Cut where no letter is cut in two. */
static void copy_line(char out[LINE], const char *words)
{
    snprintf(out, LINE, "%s", words);
    out[text_utf8_valid(out, strlen(out))] = '\0';
}

static void hear(void *self, LogLevel level, const char *area, const char *words)
{
    (void)self;
    if (level == LOG_INFO && strcmp(area, "train") == 0 && text_starts(words, "step="))
        return; /* metrics.jsonl has it */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&events.lock);
    Event *event = &events.ring[events.count % KEPT];
    event->number = ++events.count;
    event->time = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    event->level = level;
    snprintf(event->area, AREA, "%s", area);
    copy_line(event->line, words);
    pthread_mutex_unlock(&events.lock);
}

void events_start(void)
{
    log_listen(hear, NULL);
}

void events_stop(void)
{
    log_listen(NULL, NULL);
}

json_t *events_json(void)
{
    json_t *list = json_array();
    pthread_mutex_lock(&events.lock);
    const int64_t first = events.count > KEPT ? events.count - KEPT : 0;
    for (int64_t i = first; i < events.count; i++) {
        const Event *event = &events.ring[i % KEPT];
        json_array_append_new(list, json_pack("{s:I, s:f, s:s, s:s, s:s}", "number", (json_int_t)event->number, "time",
                                              event->time, "level", log_level_name(event->level), "area", event->area,
                                              "text", event->line));
    }
    pthread_mutex_unlock(&events.lock);
    return list;
}
