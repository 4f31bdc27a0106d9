#include "common/base/log.h"

#include "common/base/visible.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR_BYTES = 512, DEFAULT_COLUMNS = 80 };

static char log_who[32] = "-";
static LogLevel log_least = LOG_INFO;
static void (*log_heard)(void *self, LogLevel level, const char *area, const char *words);
static void *log_hearer;
static char bar[BAR_BYTES]; /* as it was last drawn; stderr's lock guards it */
static volatile sig_atomic_t bar_stands; /* on the terminal's last line */
static volatile sig_atomic_t bar_was_drawn; /* ever */

void log_setup(const char *who, LogLevel least)
{
    snprintf(log_who, sizeof log_who, "%s", who);
    log_least = least;
}

void log_listen(void (*heard)(void *self, LogLevel level, const char *area, const char *words), void *self)
{
    log_heard = heard;
    log_hearer = self;
}

const char *log_level_name(LogLevel level)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    return names[level];
}

int log_columns(void)
{
    const char *kind = getenv("TERM");
    struct winsize size = { 0 };
    if (!isatty(STDERR_FILENO) || (kind && strcmp(kind, "dumb") == 0))
        return 0;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
}

/* Takes the bar off the screen: ours, or that of another program of the run. A terminal that became
 * narrower has broken ours into several lines. */
static void wipe(void)
{
    const int columns = log_columns();
    if (columns == 0)
        return;
    const int above = bar_stands ? (int)strlen(bar) / columns : 0;
    if (above > 0)
        fprintf(stderr, "\033[%dA", above);
    fputs("\r\033[J", stderr);
}

static void draw(void)
{
    if (bar_stands)
        fputs(bar, stderr);
    fflush(stderr);
}

/* before NULL: the line is as it is; else it is one line, whatever names stand in it. */
static void print_above(const char *before, const char *line)
{
    flockfile(stderr);
    wipe();
    fputs(before ? before : line, stderr);
    if (before)
        visible_print(stderr, line);
    fputc('\n', stderr);
    draw();
    funlockfile(stderr);
}

void log_line(LogLevel level, const char *area, const char *format, ...)
{
    if (level < log_least)
        return;
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    char before[128];
    snprintf(before, sizeof before, "%02d:%02d:%02d.%03ld %s %-5s %s ", parts.tm_hour, parts.tm_min, parts.tm_sec,
             now.tv_nsec / 1000000, log_who, log_level_name(level), area);
    char *line = NULL;
    va_list args;
    va_start(args, format);
    const int length = vasprintf(&line, format, args);
    va_end(args);
    if (length < 0)
        return;
    print_above(before, line);
    if (log_heard && level >= LOG_INFO)
        log_heard(log_hearer, level, area, line);
    free(line);
}

void log_plain(const char *format, ...)
{
    char *line = NULL;
    va_list args;
    if (log_least > LOG_INFO)
        return;
    va_start(args, format);
    const int length = vasprintf(&line, format, args);
    va_end(args);
    if (length < 0)
        return;
    print_above(NULL, line);
    free(line);
}

void log_bar(const char *text)
{
    if (log_columns() == 0)
        return;
    flockfile(stderr);
    wipe();
    snprintf(bar, sizeof bar, "%s", text);
    bar_stands = bar_was_drawn = 1;
    draw();
    funlockfile(stderr);
}

void log_bar_end(void)
{
    flockfile(stderr);
    if (bar_stands)
        fputc('\n', stderr);
    bar_stands = 0;
    funlockfile(stderr);
}

void log_tidy(void)
{
    flockfile(stderr);
    wipe();
    draw();
    funlockfile(stderr);
}

void log_bar_leave(void)
{
    if (bar_was_drawn && write(STDERR_FILENO, "\n", 1) < 0)
        bar_stands = 0; /* nobody sees it */
}
