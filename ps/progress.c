#include "ps/progress.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR = 24 };

void progress_init(Progress *progress, int64_t first, int64_t total)
{
    *progress = (Progress){ .total = total, .first = first, .start = clock_now() };
    progress->terminal = isatty(STDERR_FILENO) == 1;
}

static void draw(Progress *progress, int64_t step, double loss, double rate, double left)
{
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++)
        bar[i] = i * progress->total < BAR * step ? '#' : '.';
    bar[BAR] = '\0';
    const long seconds = (long)left;
    fprintf(stderr, "\r[%s] %lld/%lld loss %.4f %.0f tokens/s %ld:%02ld:%02ld left \033[K", bar,
            (long long)step, (long long)progress->total, loss, rate, seconds / 3600,
            seconds / 60 % 60, seconds % 60);
    fflush(stderr);
    progress->open = true;
}

void progress_step(Progress *progress, int64_t step, double loss, double tokens_per_second,
                   bool logged)
{
    const double done = (double)(step - progress->first);
    const double left =
        done > 0 ? (clock_now() - progress->start) / done * (double)(progress->total - step) : 0;
    if (progress->terminal)
        draw(progress, step, loss, tokens_per_second, left);
    else if (logged)
        log_info("train", "step=%lld/%lld loss=%.4f tokens_per_second=%.0f left=%.0fs",
                 (long long)step, (long long)progress->total, loss, tokens_per_second, left);
}

void progress_end(Progress *progress)
{
    if (progress->open)
        fputc('\n', stderr);
    progress->open = false;
}
