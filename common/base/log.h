/* log - one line an event on stderr: clock, who, level, area, key=value words.
 *
 *   12:03:55.120 w3 info  train step=40 loss=2.1140
 *
 * Below the lines, on a terminal, may stand one that changes: the bar of a run. A log line goes above it.
 * Where stderr is no terminal there is no such line, and no control character is ever written.
 *
 * `who` is set once, before threads start. Results never go through here.
 * Threads: any; the bar one. */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include "common/base/err.h"

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } LogLevel;

/* who: short name of this process ("ps", "w3"); lines below `least` are dropped. */
void log_setup(const char *who, LogLevel least);
void log_line(LogLevel level, const char *area, const char *format, ...) PRINTF_LIKE(3, 4);

/* A line for a person, as it is; of level info. */
void log_plain(const char *format, ...) PRINTF_LIKE(1, 2);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* From now on `heard` gets each line of level info and above, too: level, area and words, which are lent. Called by the
 * thread that logs, whichever that is; NULL ends it. Set it while no other thread logs. */
void log_listen(void (*heard)(void *self, LogLevel level, const char *area, const char *words), void *self);
const char *log_level_name(LogLevel level); /* "warn" */

/* Columns of the terminal that stderr is, as wide as it is now; 0: it is none. */
int log_columns(void);

/* The line below: `text`, ASCII, shorter than log_columns(). Only on a terminal. */
void log_bar(const char *text);
/* It stays where it is, and what comes goes below. Without a bar nothing happens. */
void log_bar_end(void);
/* From a signal handler, for a process that ends at once: the cursor goes to a new line, if ever there was a bar. */
void log_bar_leave(void);
/* For a program that ends behind a Ctrl-C: what the terminal wrote of it is taken away, the cursor is at the beginning
 * of a line. */
void log_tidy(void);

#endif
