/* log - one line an event on stderr: clock, who, level, area, key=value words.
 *
 *   12:03:55.120 w3 info  train step=40 loss=2.1140
 *
 * `who` is set once, before threads start. Results never go through here. */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include "common/base/err.h"

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } LogLevel;

/* who: short name of this process ("ps", "w3"); lines below `least` are dropped. */
void log_setup(const char *who, LogLevel least);
void log_line(LogLevel level, const char *area, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
