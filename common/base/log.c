#include "common/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

static char log_who[32] = "-";
static LogLevel log_least = LOG_INFO;

void log_setup(const char *who, LogLevel least)
{
    snprintf(log_who, sizeof log_who, "%s", who);
    log_least = least;
}

void log_line(LogLevel level, const char *area, const char *format, ...)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    if (level < log_least)
        return;
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "%02d:%02d:%02d.%03ld %s %-5s %s %s\n", parts.tm_hour, parts.tm_min,
            parts.tm_sec, now.tv_nsec / 1000000, log_who, names[level], area, line);
}
